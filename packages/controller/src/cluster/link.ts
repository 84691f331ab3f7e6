/**
 * The link between a follower and its leader: a WebSocket on the agents' port of the leader, by
 * which the follower hears that the leader is there and still leads.
 */
import type { ConnectionOptions } from 'node:tls';
import { type RawData, WebSocket } from 'ws';
import * as z from 'zod';
import { connectSoon } from './connect.ts';

/** Path of the link. */
export const LINK_PATH = '/controllers/link';
/** Header with the id of the follower. */
export const ID_HEADER = 'mirrorplane-controller';
/** Milliseconds between two signs of life of a leader. */
export const BEAT_MS = 200;

/** A sign of life of a leader. */
export const Beat = z.object({
  type: z.literal('beat'),
  term: z.number().int(),
  /** Whether it knows by etcd that it leads. */
  isSure: z.boolean(),
  /** The longest time that it was busy with one thing in the last minutes, milliseconds. */
  busyMs: z.number(),
  /** For how long it leads, milliseconds. Absent: an older version does not say it. */
  leadsMs: z.number().optional(),
});
export type Beat = z.infer<typeof Beat>;

/** A follower has seen that another one leads. */
export const Deposed = z.object({ type: z.literal('deposed'), term: z.number().int() });

/** Milliseconds without a sign of life after which a leader counts as dead: the least, and the most. */
const SILENT_MS = { least: 1200, most: 5000 };
/**
 * Milliseconds of a term in which only a refused connection counts: in trouble of all, the place
 * does not go from one to the next.
 */
const FIRST_MS = 10_000;
/** Looks in turn in which etcd has to answer this one before it blames a leader that does not reach it. */
const WELL_LOOKS = 6;
/** Looks in which a leader that is well has said that it is sure. */
const SURE_LOOKS = 4;
/** Milliseconds between two looks. */
const LOOK_MS = 100;
/** Milliseconds before another try to connect to a leader that was never reached. */
const PAUSE_MS = 200;
/** Milliseconds for TLS and the upgrade. */
const HANDSHAKE_MS = 3000;

export interface LinkOptions {
  /** HOST:PORT of the leader's port for agents. */
  leader: string;
  term: number;
  /** Id of this controller. */
  id: string;
  tls: () => Promise<ConnectionOptions | undefined>;
  /** Whether etcd answers this one. Takes less than a second, and rejects never. */
  reachesEtcd: () => Promise<boolean>;
  /**
   * The leader is dead, or not sure that it leads. May be called again.
   * @param isDead whether that is still so
   */
  broken: (why: string, isDead: () => boolean) => void;
}

/**
 * Judges one leader. Only a leader that was reached before is judged dead: a way that never was
 * open says nothing of the leader.
 */
export class LeaderLink {
  readonly #options: LinkOptions;
  readonly #timer: NodeJS.Timeout;
  #socket: WebSocket | undefined;
  #redial: NodeJS.Timeout | undefined;
  #isReached = false;
  /** Looks since the last sign of life. They are counted, because this process may have slept. */
  #silentLooks = 0;
  #unsureLooks = 0;
  /** Looks in turn in which etcd has answered this one, while the leader was not sure. */
  #wellLooks = 0;
  #isAsking = false;
  #busyMs = 0;
  /** How long the leader has led at its last sign of life. */
  #leadsMs = 0;
  /** Signs of life. */
  #beats = 0;
  /** Attempts in turn to connect without any answer. */
  #failures = 0;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
    void this.#dial();
  }

  /** Whether the leader was reached. */
  get isReached(): boolean {
    return this.#isReached;
  }

  /** Says that another one leads. */
  tellDeposed(term: number): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: 'deposed', term }));
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#redial);
    // What was said last may still be on its way.
    this.#socket?.close();
    const socket = this.#socket;
    setTimeout(() => socket?.terminate(), 1000).unref();
  }

  async #dial(): Promise<void> {
    const { leader, id, tls } = this.#options;
    const options = await tls().catch(() => undefined);
    if (this.#closed) {
      return;
    }
    if (options === undefined) {
      this.#dialLater(PAUSE_MS);
      return;
    }
    const socket = new WebSocket(`wss://${leader}${LINK_PATH}`, {
      ...options,
      headers: { [ID_HEADER]: id },
      createConnection: (more: object) => connectSoon({ ...options, ...more, servername: options.servername! }),
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: 4096,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let failure = '';
    socket.on('message', (data) => this.#take(data));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure ||= error.message || String(error.code);
    });
    socket.on('close', () => this.#ended(failure));
  }

  #ended(failure: string): void {
    if (this.#closed) {
      return;
    }
    // A connection that was open and broke is tried again at once: a refusal says that nobody is there.
    // Where nobody answers, one packet may have been lost. A reset says nothing: a leader that is
    // there bounds its strangers so.
    this.#failures += Number(/does not answer|EHOSTUNREACH/.test(failure));
    const isGone = this.#isReached && (/ECONNREFUSED/.test(failure) || this.#failures > 1);
    if (isGone) {
      const beats = this.#beats;
      this.#options.broken(`its port does not answer: ${failure}`, () => this.#beats === beats);
    }
    this.#dialLater(this.#isReached && !isGone ? 10 : PAUSE_MS);
  }

  #dialLater(ms: number): void {
    clearTimeout(this.#redial);
    this.#redial = setTimeout(() => void this.#dial(), ms);
  }

  #take(data: RawData): void {
    const beat = readBeat(data);
    // Of another term: the address leads to another leader by now.
    if (beat?.term !== this.#options.term) {
      return;
    }
    this.#isReached = true;
    this.#beats++;
    this.#failures = 0;
    this.#silentLooks = 0;
    this.#busyMs = beat.busyMs;
    this.#leadsMs = beat.leadsMs ?? FIRST_MS;
    if (beat.isSure) {
      this.#unsureLooks = 0;
      this.#wellLooks = 0;
    }
  }

  #look(): void {
    if (!this.#isReached) {
      return;
    }
    this.#silentLooks++;
    this.#unsureLooks++;
    if (this.#unsureLooks > SURE_LOOKS) {
      void this.#ask();
    }
    const why = this.#why();
    if (why !== undefined) {
      this.#options.broken(why, () => this.#why() !== undefined);
    }
  }

  /** Why the leader counts as dead by what it says, or does not say. Undefined: it does not. */
  #why(): string | undefined {
    const limit = Math.min(SILENT_MS.most, Math.max(SILENT_MS.least, this.#busyMs * 2)) / LOOK_MS;
    if (this.#closed || this.#leadsMs + this.#silentLooks * LOOK_MS < FIRST_MS) {
      return undefined;
    }
    if (this.#silentLooks > limit) {
      return `no sign of life for ${this.#silentLooks * LOOK_MS} ms`;
    }
    // When etcd is back, the leader needs a moment to know it.
    return this.#unsureLooks > limit && this.#wellLooks >= WELL_LOOKS ? 'it does not reach etcd' : undefined;
  }

  /** Looks whether etcd answers this one: else the leader is not to blame. */
  async #ask(): Promise<void> {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    const answers = await this.#options.reachesEtcd();
    this.#isAsking = false;
    this.#wellLooks = answers ? this.#wellLooks + 1 : 0;
  }
}

function readBeat(data: RawData): Beat | undefined {
  try {
    return Beat.parse(JSON.parse(data.toString()));
  } catch {
    return undefined;
  }
}
