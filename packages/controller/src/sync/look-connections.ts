/**
 * Connections by which nodes tell what looks see: binary batches, one connection a node, only while
 * it was asked to look. A node is believed about its own interfaces, and of those about the ones
 * that the look is of.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { BATCH_LIMITS, decodeLookBatch, type LookBatch, LookBatchError } from '@mirrorplane/contract';
import { type WebSocket, WebSocketServer } from 'ws';
import type { SeenPacket } from '../looks/kept-packet.ts';
import type { LiveLook } from '../looks/live-look.ts';
import type { Services } from '../services.ts';
import { TokenBucket } from '../token-bucket.ts';
import type { Refused } from './identity.ts';
import { Pings } from './pings.ts';
import { CLOSE, closeText } from './session.ts';

/**
 * CPU time of the controller for all looks together, milliseconds: at once, and in each second. What
 * is beyond it waits on the nodes, which count what they cannot send. So looks delay no program.
 */
const BUSY = { reserve: 100, perSecond: 300 };
/**
 * Milliseconds between two looks at the clock, and the most that one delay takes of `BUSY`: what
 * keeps everything else waiting is taken from looks first.
 */
const DELAY = { everyMs: 50, mostMs: 100 };
/** Milliseconds that looks wait because of delays at the most. More delay adds nothing. */
const MOST_WAIT_MS = 1000;
const NOT_ASKED: Refused = { reason: 'noLook', message: 'this node is not asked to look', status: 409 };

type Host = Pick<Services, 'looks' | 'live' | 'log'>;

export class LookConnections {
  readonly #host: Host;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: BATCH_LIMITS.bytes,
    maxFragments: 64,
    maxBufferedChunks: 4096,
    perMessageDeflate: false,
  });
  readonly #connections = new Map<string, WebSocket>();
  readonly #busy = new TokenBucket(BUSY);
  #clock: NodeJS.Timeout | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Why a node may not connect. Undefined: it may. */
  refusal(node: string): Refused | undefined {
    const asked = this.#host.looks.list().some((look) => !look.complete && look.shares.has(node));
    return asked ? undefined : NOT_ASKED;
  }

  /** Accepts the connection of a node. It replaces an older one. */
  accept(node: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      // At once: a node that reads nothing would have any number of connections that close.
      this.#connections.get(node)?.terminate();
      this.#connections.set(node, webSocket);
      // A new connection waits as an old one would.
      pauseFor(webSocket, this.#busy.spend(0));
      this.#clock ??= this.#watchDelays();
      const pings = new Pings(webSocket, () => webSocket.terminate());
      webSocket.on('message', (data, isBinary) => {
        pings.heard();
        this.#receive(node, webSocket, data as Buffer, isBinary);
      });
      webSocket.on('error', (error) => this.#host.log.debug({ node, err: error }, 'connection for looks failed'));
      webSocket.on('close', () => {
        pings.close();
        if (this.#connections.get(node) === webSocket) {
          this.#connections.delete(node);
          this.#rest();
        }
      });
    });
  }

  /** Ends the connection of a node, with a close code and a reason. */
  end(node: string, code: number, why: string): void {
    this.#connections.get(node)?.close(code, why);
  }

  close(): void {
    clearInterval(this.#clock);
    for (const webSocket of this.#connections.values()) {
      webSocket.close(CLOSE.goingAway, 'the controller stops');
    }
  }

  /** A controller that is late, because of looks or of anything else, takes less of looks. */
  #watchDelays(): NodeJS.Timeout {
    let due = performance.now() + DELAY.everyMs;
    return setInterval(() => {
      const now = performance.now();
      if (this.#busy.spend(0) < MOST_WAIT_MS) {
        this.#busy.spend(Math.min(DELAY.mostMs, Math.max(0, now - due)));
      }
      due = now + DELAY.everyMs;
    }, DELAY.everyMs).unref();
  }

  #rest(): void {
    if (this.#connections.size === 0) {
      clearInterval(this.#clock);
      this.#clock = undefined;
    }
  }

  #receive(node: string, webSocket: WebSocket, data: Buffer, isBinary: boolean): void {
    if (webSocket.readyState !== webSocket.OPEN) {
      return;
    }
    const began = performance.now();
    const problem = isBinary ? this.#take(node, data) : 'a batch has to be binary';
    if (problem !== undefined) {
      this.#host.log.warn({ node, problem }, 'agent sent a bad batch of a look');
      webSocket.close(CLOSE.badMessage, closeText(problem));
      return;
    }
    pauseFor(webSocket, this.#busy.spend(performance.now() - began));
  }

  /** @returns what is wrong; undefined: nothing is */
  #take(node: string, data: Buffer): string | undefined {
    let batch: LookBatch;
    try {
      batch = decodeLookBatch(data);
    } catch (error) {
      if (error instanceof LookBatchError) {
        return `not a batch of a look: ${error.message}`;
      }
      throw error;
    }
    const look = this.#host.looks.get(batch.look);
    if (look === undefined || !look.shares.has(node)) {
      return 'a batch of a look that this node was not asked for';
    }
    if (!batch.packets.every((packet) => look.subjects.has(packet.interface))) {
      return 'a packet of an interface that the look is not of';
    }
    this.#feed(node, look, batch);
    return undefined;
  }

  #feed(node: string, look: LiveLook, { packets, drops, counts, unseen, unheard, run, ended }: LookBatch): void {
    const { live, looks } = this.#host;
    const believed = new Map<string, boolean>();
    for (const { interface: id } of packets) {
      believed.set(id, believed.get(id) ?? live.claims.hasHad(node, id));
    }
    const own = packets.filter((packet) => believed.get(packet.interface));
    looks.feed(look.id, node, {
      run,
      packets: own.map((packet): SeenPacket => Object.assign(packet, { bytes: Buffer.from(packet.bytes) })),
      drops: drops.map((drop) => ({ ...drop, node, bytes: Buffer.from(drop.bytes) })),
      counts,
      unseen,
      unheard,
      unbelieved: packets.length - own.length,
    });
    if (ended !== undefined) {
      looks.nodeEnded(look.id, node, ended);
    }
  }
}

/** Reads no more of a connection for some milliseconds. */
function pauseFor(webSocket: WebSocket, ms: number): void {
  if (ms > 0) {
    webSocket.pause();
    setTimeout(() => webSocket.resume(), ms);
  }
}
