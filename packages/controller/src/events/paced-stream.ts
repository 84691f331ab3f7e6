/**
 * Server-sent events at the speed of the reader: nothing waits for a reader that is slow, beside a
 * small buffer.
 */
import { Readable } from 'node:stream';
import { withoutControls } from '@mirrorplane/contract';

/** Milliseconds between signs of life. */
export const HEARTBEAT_MS = 15_000;
/** Milliseconds that a reader may read nothing. Then it is disconnected. */
export const STALLED_MS = 60_000;
/** Milliseconds that a reader is asked to wait before it connects again. */
const RECONNECT_MS = 1000;
/** Bytes that wait for the reader at most, beside those in the socket. */
const BUFFERED = 64 * 1024;

export interface PacedOptions {
  /** Default `HEARTBEAT_MS`. */
  heartbeatMs?: number | undefined;
  /** Default `STALLED_MS`. */
  stalledMs?: number | undefined;
}

/**
 * Text goes out while the reader is ready. Who extends it keeps in mind what was sent, and not what
 * was not.
 */
export abstract class PacedStream extends Readable {
  readonly #stalledMs: number;
  readonly #heartbeat: NodeJS.Timeout;
  #ready = false;
  #readyAt = performance.now();

  constructor({ heartbeatMs = HEARTBEAT_MS, stalledMs = STALLED_MS }: PacedOptions) {
    super({ highWaterMark: BUFFERED });
    this.#stalledMs = stalledMs;
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref();
  }

  override _read(): void {
    this.#ready = true;
    this.#readyAt = performance.now();
    this.pump();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stop();
    done(error);
  }

  /** Ends the stream. The reader connects again. Idempotent. */
  end(): void {
    if (!this.destroyed && !this.readableEnded) {
      this.#stop();
      this.push(null);
    }
  }

  /** True if the reader has room for more. */
  protected get ready(): boolean {
    return this.#ready;
  }

  /** Sends text, or bytes, to a reader that is ready. */
  protected send(data: string | Buffer): void {
    this.#ready = this.push(typeof data === 'string' ? withoutControls(data) : data);
  }

  /** The first line of a stream. @param id where a reader that is disconnected can resume */
  protected begin(id: number): void {
    this.push(`retry: ${RECONNECT_MS}\nid: ${id}\n\n`);
  }

  /** Sends what there is to send, as long as the reader is ready. */
  protected abstract pump(): void;

  /** Sends a sign of life to a reader that is ready. */
  protected abstract beat(): void;

  /** Lets go of everything. Called at the end, maybe twice. */
  protected abstract stopped(): void;

  #stop(): void {
    this.#ready = false;
    clearInterval(this.#heartbeat);
    this.stopped();
  }

  #beat(): void {
    if (this.#ready) {
      this.beat();
    } else if (performance.now() - this.#readyAt > this.#stalledMs) {
      this.destroy();
    }
  }
}
