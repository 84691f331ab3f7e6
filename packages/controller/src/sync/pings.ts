/** Whether the other end of a connection is still there: it is asked by pings. */
import type { WebSocket } from 'ws';

/** Milliseconds between two pings. */
const PING_INTERVAL_MS = 10_000;
/** A connection that leaves this many pings without an answer is dead. */
const MAX_MISSED_PINGS = 3;

export class Pings {
  readonly #socket: WebSocket;
  readonly #timer: NodeJS.Timeout;
  readonly #dead: () => void;
  #missed = 0;

  /** @param dead called when too many pings were left without an answer */
  constructor(socket: WebSocket, dead: () => void) {
    this.#socket = socket;
    this.#dead = dead;
    this.#timer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    socket.on('pong', () => this.heard());
  }

  /** Something came: the other end is there. */
  heard(): void {
    this.#missed = 0;
  }

  /** Pings, and resolves with whether anything came within `limitMs` milliseconds. */
  answered(limitMs: number): Promise<boolean> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      const end = (answered: boolean) => {
        clearTimeout(timer);
        socket.off('pong', yes).off('message', yes).off('close', no);
        resolve(answered);
      };
      const [yes, no] = [() => end(true), () => end(false)];
      const timer = setTimeout(no, limitMs);
      socket.on('pong', yes).on('message', yes).on('close', no);
      if (socket.readyState === socket.OPEN) {
        socket.ping();
      } else {
        no();
      }
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #ping(): void {
    if (this.#missed >= MAX_MISSED_PINGS) {
      this.#dead();
      return;
    }
    this.#missed++;
    this.#socket.ping();
  }
}
