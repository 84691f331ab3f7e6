/** A WebSocket of a simulated process, as the library `ws` has them, over a simulated wire. */
import { EventEmitter } from 'node:events';
import type { Process } from '../core/process.ts';

/** What goes over a wire. `reset`: the other end has ended without a word. */
export type Frame =
  | { type: 'text'; text: string }
  | { type: 'ping' }
  | { type: 'pong' }
  | { type: 'close'; code: number; reason: string }
  | { type: 'reset' };

/** The way to the other end. */
export interface Wire {
  send(frame: Frame): void;
  /** Runs a step of the own process soon. */
  soon(run: () => void): void;
}

/** As in RFC 6455: closed without a close frame. */
const ABNORMAL = 1006;

export class VirtualSocket extends EventEmitter {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly OPEN = VirtualSocket.OPEN;
  readonly bufferedAmount = 0;
  readyState: number = VirtualSocket.CONNECTING;
  readonly owner: Process;
  #wire: Wire | undefined;
  #paused = false;
  readonly #inbox: Frame[] = [];

  constructor(owner: Process) {
    super();
    this.owner = owner;
  }

  /** The wire to the other end is there. */
  connect(wire: Wire): void {
    this.#wire = wire;
    if (this.readyState === VirtualSocket.CONNECTING) {
      this.readyState = VirtualSocket.OPEN;
    }
  }

  /** The connection could not be made. */
  fail(message: string): void {
    if (this.readyState === VirtualSocket.CONNECTING) {
      this.emit('error', new Error(message));
      this.#closed(ABNORMAL, '');
    }
  }

  send(text: string): void {
    if (this.readyState === VirtualSocket.OPEN) {
      this.#wire?.send({ type: 'text', text });
    }
  }

  ping(): void {
    if (this.readyState === VirtualSocket.OPEN) {
      this.#wire?.send({ type: 'ping' });
    }
  }

  close(code = 1000, reason = ''): void {
    if (this.readyState === VirtualSocket.OPEN) {
      this.readyState = VirtualSocket.CLOSING;
      this.#wire?.send({ type: 'close', code, reason });
    }
  }

  terminate(): void {
    if (this.readyState === VirtualSocket.CONNECTING) {
      this.fail('the connection was ended before it was established');
    } else if (this.readyState !== VirtualSocket.CLOSED) {
      this.readyState = VirtualSocket.CLOSING;
      this.#wire?.send({ type: 'reset' });
      this.#wire?.soon(() => this.#closed(ABNORMAL, ''));
    }
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wire?.soon(() => {
      while (!this.#paused && this.#inbox.length > 0) {
        this.#take(this.#inbox.shift()!);
      }
    });
  }

  /** A frame has come over the wire. */
  receive(frame: Frame): void {
    if (this.#paused || this.#inbox.length > 0) {
      this.#inbox.push(frame);
    } else {
      this.#take(frame);
    }
  }

  #take(frame: Frame): void {
    if (this.readyState === VirtualSocket.CLOSED) {
      return;
    }
    switch (frame.type) {
      case 'text':
        this.emit('message', Buffer.from(frame.text), false);
        break;
      case 'ping':
        this.emit('ping');
        if (this.readyState === VirtualSocket.OPEN) {
          this.#wire?.send({ type: 'pong' });
        }
        break;
      case 'pong':
        this.emit('pong');
        break;
      case 'close':
        if (this.readyState === VirtualSocket.OPEN) {
          this.#wire?.send(frame);
        }
        this.#closed(frame.code, frame.reason);
        break;
      case 'reset':
        this.#closed(ABNORMAL, '');
        break;
    }
  }

  #closed(code: number, reason: string): void {
    if (this.readyState !== VirtualSocket.CLOSED) {
      this.readyState = VirtualSocket.CLOSED;
      this.emit('close', code, Buffer.from(reason));
    }
  }
}
