/**
 * Connections to a port of the controller without a proven identity. Their number is bounded, in
 * total and for each address, and so is their time. So they can neither exhaust the controller nor
 * block agents and operators.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { originOf } from './origin.ts';

/**
 * The most connections in total, and below it for one address. For IPv6, a /64 network counts as
 * one address.
 */
export const MAX_STRANGERS = 1024;
export const MAX_STRANGERS_OF_ADDRESS = 128;
/**
 * Connections that the kernel may hold until the process accepts them; it takes net.core.somaxconn
 * at most. More than the bound of strangers, so that a burst of them is refused at once by the rule
 * below. If the queue were full instead, the kernel would drop the connections of everybody, and
 * they would be tried again only after seconds.
 */
export const ACCEPT_QUEUE = 4096;
/** Milliseconds in which a connection must be admitted, or get its answer. */
export const STRANGER_TIMEOUT_MS = 15_000;
const SWEEP_MS = 1000;
/** Milliseconds that the other end has to close a refused connection. */
const DISMISSED_MS = 250;

interface Stranger {
  socket: Socket;
  origin: string;
  since: number;
}

export interface StrangersOptions {
  /**
   * Milliseconds in which a connection must be admitted. Default `STRANGER_TIMEOUT_MS`; Infinity:
   * it may stay while there is room.
   */
  timeoutMs?: number;
  /**
   * The most connections of one address. A new connection beyond it is ended. Default
   * `MAX_STRANGERS_OF_ADDRESS`; Infinity: only the total is bounded, and an old connection is ended.
   */
  mostOfAddress?: number;
  /** Whose connection it is, where another controller has handed it on. Default: the other end. */
  addressOf?: (socket: Socket) => string | undefined;
}

export class Strangers {
  /** By address and port of the other end, the oldest first. */
  readonly #open = new Map<string, Stranger>();
  readonly #origins = new Map<string, number>();
  readonly #timeoutMs: number;
  readonly #mostOfAddress: number;
  readonly #addressOf: NonNullable<StrangersOptions['addressOf']>;
  readonly #sweep: NodeJS.Timeout;
  readonly #refused: (address: string) => void;

  /** @param refused called with the address of each connection that is ended because of a bound */
  constructor(
    refused: (address: string) => void,
    {
      timeoutMs = STRANGER_TIMEOUT_MS,
      mostOfAddress = MAX_STRANGERS_OF_ADDRESS,
      addressOf = (socket) => socket.remoteAddress,
    }: StrangersOptions = {},
  ) {
    this.#addressOf = addressOf;
    this.#refused = refused;
    this.#timeoutMs = timeoutMs;
    this.#mostOfAddress = mostOfAddress;
    this.#sweep = setInterval(() => this.#endOld(), Math.min(SWEEP_MS, timeoutMs)).unref();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Adds a new connection. A connection beyond the bounds is destroyed. */
  add(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const address = this.#addressOf(socket) ?? remoteAddress;
    const origin = originOf(address);
    // The new connection is destroyed, and not an older one: otherwise agents behind one address
    // would push each other out.
    if ((this.#origins.get(origin) ?? 0) >= this.#mostOfAddress) {
      this.#refused(address);
      reset(socket);
      return;
    }
    const key = keyOf(remoteAddress, remotePort);
    this.#open.set(key, { socket, origin, since: performance.now() });
    this.#origins.set(origin, (this.#origins.get(origin) ?? 0) + 1);
    socket.once('close', () => this.#forget(key, socket));
    if (this.#open.size > MAX_STRANGERS) {
      this.#endOldestOfBusiest();
    }
  }

  /** The other end has proven who it is, so its connection no longer counts here. */
  admit({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#forget(keyOf(remoteAddress, remotePort));
  }

  /**
   * The other end has its answer. It has a moment to close the connection; then the connection is
   * reset.
   */
  dismiss({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const stranger = this.#open.get(keyOf(remoteAddress, remotePort));
    if (stranger) {
      setTimeout(() => reset(stranger.socket), DISMISSED_MS).unref();
    }
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  /** @param socket if given, the entry is only removed if it is this connection */
  #forget(key: string, socket?: Socket): void {
    const stranger = this.#open.get(key);
    if (!stranger || (socket && stranger.socket !== socket)) {
      return;
    }
    this.#open.delete(key);
    const left = this.#origins.get(stranger.origin)! - 1;
    if (left > 0) {
      this.#origins.set(stranger.origin, left);
    } else {
      this.#origins.delete(stranger.origin);
    }
  }

  #end(key: string, stranger: Stranger): void {
    this.#forget(key);
    this.#refused(stranger.origin);
    reset(stranger.socket);
  }

  #endOld(): void {
    const before = performance.now() - this.#timeoutMs;
    for (const [key, stranger] of this.#open) {
      if (stranger.since > before) {
        return;
      }
      this.#end(key, stranger);
    }
  }

  #endOldestOfBusiest(): void {
    const [busiest] = [...this.#origins].reduce((a, b) => (b[1] > a[1] ? b : a));
    for (const [key, stranger] of this.#open) {
      if (stranger.origin === busiest) {
        this.#end(key, stranger);
        return;
      }
    }
  }
}

/**
 * Resets the connection. After a mere destroy, the kernel would wait for the other end, and the
 * other end for us.
 */
function reset(socket: Socket): void {
  if (socket instanceof TLSSocket) {
    // A connection within one of another controller: there is nothing to reset.
    socket.destroy();
  } else if (!socket.destroyed) {
    socket.resetAndDestroy();
  }
}

function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}
