/** The followers of this leader: their links, by which they hear that it is there. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { BEAT_MS, type Beat, Deposed, ID_HEADER } from './link.ts';

/** Milliseconds for which the longest busy time is remembered. */
const BUSY_MS = 10 * 60 * 1000;

export interface FollowersOptions {
  term: number;
  /** Whether this one knows by etcd that it leads. */
  isSure: () => boolean;
  /** A follower says that another one leads. */
  doubted: () => void;
}

export class Followers {
  readonly #options: FollowersOptions;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: 4096, perMessageDeflate: false });
  readonly #links = new Map<WebSocket, string>();
  readonly #timer: NodeJS.Timeout;
  readonly #began = performance.now();
  #lastBeat = performance.now();
  #isLeaving = false;
  #busy = { ms: 0, at: Number.NEGATIVE_INFINITY };

  constructor(options: FollowersOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  /** Takes the link of a follower, which has proven to be a controller. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.handleUpgrade(request, socket, head, (link) => {
      this.#links.set(link, String(request.headers[ID_HEADER]));
      link.on('error', () => undefined);
      link.on('close', () => this.#links.delete(link));
      link.on('message', (data) => {
        if (isNewer(data.toString(), this.#options.term)) {
          this.#options.doubted();
        }
      });
      link.send(this.#text());
    });
  }

  /** Ids of followers that have a link. */
  get linked(): ReadonlySet<string> {
    return new Set(this.#links.values());
  }

  /** Tells all that this one closes its ports, and gives its place up as soon as it has written all. */
  leave(): void {
    this.#isLeaving = true;
    this.#beat();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const link of this.#links.keys()) {
      link.terminate();
    }
  }

  #beat(): void {
    const now = performance.now();
    const late = now - this.#lastBeat - BEAT_MS;
    this.#lastBeat = now;
    if (late > this.#busy.ms || now - this.#busy.at > BUSY_MS) {
      this.#busy = { ms: Math.max(0, Math.round(late)), at: now };
    }
    const text = this.#text();
    for (const link of this.#links.keys()) {
      link.send(text);
    }
  }

  #text(): string {
    const { term, isSure } = this.#options;
    const leadsMs = Math.round(performance.now() - this.#began);
    const isLeaving = this.#isLeaving;
    const beat: Beat = { type: 'beat', term, isSure: isSure(), busyMs: this.#busy.ms, leadsMs, isLeaving };
    return JSON.stringify(beat);
  }
}

function isNewer(text: string, term: number): boolean {
  try {
    return Deposed.parse(JSON.parse(text)).term > term;
  } catch {
    return false;
  }
}
