/**
 * Connections to the agents' port whose other end has not proven who it is. They are bounded in number, altogether and for
 * each address, and in time, so that they can neither use up the controller nor keep agents out.
 */
import type { Socket } from 'node:net';
import { originOf } from '../auth/origin.ts';

/** Connections at most, altogether and of one address; of IPv6, one network of 64 bits counts as one address. */
export const MAX_STRANGERS = 1024;
export const MAX_STRANGERS_OF_ADDRESS = 128;
/** Milliseconds in which a connection has to become that of an agent, or to have its answer. */
export const STRANGER_TIMEOUT_MS = 15_000;
const SWEEP_MS = 1000;
/** Milliseconds that the other end has to close a connection that was refused. */
const DISMISSED_MS = 250;

interface Stranger {
  socket: Socket;
  origin: string;
  since: number;
}

export class Strangers {
  /** By address and port of the other end, the oldest first. */
  readonly #open = new Map<string, Stranger>();
  readonly #origins = new Map<string, number>();
  readonly #timeoutMs: number;
  readonly #sweep: NodeJS.Timeout;
  readonly #refused: (address: string) => void;

  /**
   * @param refused called with the address of every connection that is ended because of the bounds
   * @param timeoutMs default `STRANGER_TIMEOUT_MS`
   */
  constructor(refused: (address: string) => void, timeoutMs = STRANGER_TIMEOUT_MS) {
    this.#refused = refused;
    this.#timeoutMs = timeoutMs;
    this.#sweep = setInterval(() => this.#endOld(), Math.min(SWEEP_MS, timeoutMs)).unref();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a connection that was just accepted; one too many is destroyed. */
  add(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const origin = originOf(remoteAddress);
    // Not an older one of the same address: agents behind one address that all come at once would only push each other out.
    if ((this.#origins.get(origin) ?? 0) >= MAX_STRANGERS_OF_ADDRESS) {
      this.#refused(remoteAddress);
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

  /** The other end has proven that it is an agent: its connection is no stranger's any more. */
  admit({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#forget(keyOf(remoteAddress, remotePort));
  }

  /** The other end has its answer, and a moment to close the connection; then it is reset. */
  dismiss({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const stranger = this.#open.get(keyOf(remoteAddress, remotePort));
    if (stranger) {
      setTimeout(() => reset(stranger.socket), DISMISSED_MS).unref();
    }
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  /** @param socket only where the connection is still this one */
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

/** Not destroyed alone: the kernel would wait for the other end, and the other end for us. */
function reset(socket: Socket): void {
  if (!socket.destroyed) {
    socket.resetAndDestroy();
  }
}

function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}
