/**
 * The connection for what looks see. There is one only while there are looks, so that packets never
 * stand before a program.
 */
import { EventEmitter } from 'node:events';
import { WebSocket } from 'ws';
import { type Logger, reason } from '../log.ts';
import { type Credentials, HANDSHAKE_TIMEOUT_MS, keepAlive, readText, tlsOf } from './connection.ts';

export interface LooksClientOptions {
  /** HOST:PORT of the controller to connect to, asked at each connect. */
  controller: string | (() => string);
  credentials: Credentials;
  log: Logger;
  /** Milliseconds between pings. Default 5000 */
  ping?: number;
}

/** Unsent bytes from which on batches are refused: what one look may see in two seconds. */
const CONGESTED = 1 << 20;
/** Milliseconds before the next attempt. The wait doubles, up to a half is left out at random. */
const WAIT = { least: 200, most: 10_000 };

interface LooksClientEvents {
  open: [];
}

/** Dials while the connection is wanted. */
export class LooksClient extends EventEmitter<LooksClientEvents> {
  readonly #options: LooksClientOptions;
  #credentials: Credentials;
  #socket: WebSocket | undefined;
  #wanted = false;
  #wait = WAIT.least;
  #redial: NodeJS.Timeout | undefined;
  #failure = '';

  constructor(options: LooksClientOptions) {
    super();
    this.#options = options;
    this.#credentials = options.credentials;
  }

  get open(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Uses other credentials from the next connection on. */
  use(credentials: Credentials): void {
    this.#credentials = credentials;
  }

  /** Dials, or closes when what was sent has gone. */
  want(wanted: boolean): void {
    if (wanted === this.#wanted) {
      return;
    }
    this.#wanted = wanted;
    if (!wanted) {
      clearTimeout(this.#redial);
      this.#redial = undefined;
      this.#socket?.close(1000);
    } else if (this.#socket === undefined) {
      this.#wait = WAIT.least;
      this.#dial();
    }
  }

  /** @returns false: it was not sent, because there is no connection, or it is congested */
  send(batch: Uint8Array): boolean {
    if (!this.open || this.#socket!.bufferedAmount > CONGESTED) {
      return false;
    }
    this.#socket!.send(batch);
    return true;
  }

  close(): void {
    this.#wanted = false;
    clearTimeout(this.#redial);
    this.#socket?.terminate();
    this.removeAllListeners();
  }

  #dial(): void {
    const { controller: named, log, ping = 5000 } = this.#options;
    const controller = typeof named === 'string' ? named : named();
    const socket = new WebSocket(`wss://${controller}/looks`, {
      ...tlsOf(this.#credentials),
      // The controller sends nothing here.
      maxPayload: 1024,
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#socket = socket;
    let failure = '';
    keepAlive(socket, () => ping);
    socket.on('open', () => {
      log.debug({ controller }, 'connection for looks is open');
      this.#failure = '';
      this.#wait = WAIT.least;
      this.emit('open');
    });
    socket.on('error', (error) => {
      failure ||= reason(error) || String((error as NodeJS.ErrnoException).code);
    });
    socket.on('unexpected-response', (_request, response) => {
      readText(response, (body) => {
        failure = `HTTP ${response.statusCode}: ${body.trim()}`;
        socket.terminate();
      });
    });
    socket.on('close', (code, text) => this.#ended(failure || `${code} ${text.toString()}`.trim()));
  }

  #ended(why: string): void {
    this.#socket = undefined;
    if (!this.#wanted) {
      return;
    }
    // An absent controller is logged once, not with every attempt.
    if (why !== this.#failure) {
      this.#failure = why;
      this.#options.log.warn({ reason: why }, 'connection for looks lost');
    }
    const wait = this.#wait / 2 + Math.random() * (this.#wait / 2);
    this.#wait = Math.min(this.#wait * 2, WAIT.most);
    this.#redial = setTimeout(() => this.#dial(), wait);
  }
}
