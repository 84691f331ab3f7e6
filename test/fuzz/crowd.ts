/** Clients that want nothing: they connect, send slowly or not at all, and read nothing. */
import { connect, type Socket } from 'node:net';

/** Milliseconds between two bytes of a slow client. */
const TRICKLE_MS = 500;

export class Crowd {
  readonly #port: number;
  readonly #sockets: Socket[] = [];
  readonly #trickle: NodeJS.Timeout;
  readonly #slow = new Set<Socket>();
  #ended = 0;

  constructor(port: number) {
    this.#port = port;
    this.#trickle = setInterval(() => {
      for (const socket of this.#slow) {
        socket.write('x');
      }
    }, TRICKLE_MS).unref();
  }

  /** Connections that the controller has ended. */
  get ended(): number {
    return this.#ended;
  }

  /**
   * Connects.
   * @param count connections
   * @param text what each sends at once
   * @param isSlow whether it then sends a byte twice a second
   * @param isDeaf whether it reads nothing
   */
  add(count: number, text: string, { isSlow = false, isDeaf = false } = {}): void {
    for (let at = 0; at < count; at++) {
      // Several addresses, as of several hosts.
      const socket = connect({ port: this.#port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (at % 8)}` });
      this.#sockets.push(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#ended++;
        this.#slow.delete(socket);
      });
      if (isDeaf) {
        socket.pause();
      } else {
        socket.resume();
      }
      socket.once('connect', () => {
        socket.write(text);
        if (isSlow) {
          this.#slow.add(socket);
        }
      });
    }
  }

  /** Ends all. */
  disperse(): void {
    clearInterval(this.#trickle);
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }
}
