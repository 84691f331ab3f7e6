/** Events as a stream of server-sent events that goes at the pace of its reader. */
import { Readable } from 'node:stream';
import type { Event, EventGap } from '@mirrorplane/contract';
import type { EventLog } from './log.ts';

/** Milliseconds between signs of life, and that a reader may leave what it was sent unread. */
export const HEARTBEAT_MS = 15_000;
export const STALLED_MS = 60_000;
/** Milliseconds that a reader is asked to wait before it connects again. */
const RECONNECT_MS = 1000;
/** Bytes that wait for the reader at most, beside those in the socket. */
const BUFFERED = 64 * 1024;

export interface EventStreamOptions {
  /** The stream begins with the event after this one. */
  after: number;
  /** Which events are sent. */
  wanted: (event: Event) => boolean;
  /** Default `HEARTBEAT_MS` and `STALLED_MS`. */
  heartbeatMs?: number;
  stalledMs?: number;
}

/**
 * Nothing is kept for a reader beside the log: one that is slow is served from there when it is ready, and learns by a
 * `gap` what the log has dropped meanwhile. One that reads nothing for long is cut off, and can resume.
 */
export class EventStream extends Readable {
  readonly #events: EventLog;
  readonly #wanted: (event: Event) => boolean;
  readonly #stalledMs: number;
  readonly #unsubscribe: () => void;
  readonly #heartbeat: NodeJS.Timeout;
  /** Everything up to this id is sent, or not wanted. */
  #cursor: number;
  /** The id that the reader knows. */
  #told: number;
  #ready = false;
  #readyAt = performance.now();

  constructor(events: EventLog, { after, wanted, heartbeatMs, stalledMs }: EventStreamOptions) {
    super({ highWaterMark: BUFFERED });
    this.#events = events;
    this.#wanted = wanted;
    this.#stalledMs = stalledMs ?? STALLED_MS;
    this.#cursor = after;
    this.#told = after;
    this.#unsubscribe = events.onAppended(() => this.#pump());
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs ?? HEARTBEAT_MS).unref();
    // With the number, a reader that is cut off before the first event resumes from here as well.
    this.push(`retry: ${RECONNECT_MS}\nid: ${after}\n\n`);
  }

  override _read(): void {
    this.#ready = true;
    this.#readyAt = performance.now();
    this.#pump();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stop();
    done(error);
  }

  /** Ends the stream; the reader connects again. Idempotent. */
  end(): void {
    if (!this.destroyed && !this.readableEnded) {
      this.#stop();
      this.push(null);
    }
  }

  #stop(): void {
    this.#ready = false;
    clearInterval(this.#heartbeat);
    this.#unsubscribe();
  }

  #send(text: string, id: number): void {
    this.#told = id;
    this.#ready = this.push(text);
  }

  #pump(): void {
    const { last, oldest } = this.#events;
    // Ids beyond the last one are of a log that is lost: this one is new.
    if (this.#ready && this.#cursor > last) {
      this.#tellGap((oldest || last + 1) - 1);
    }
    for (const event of this.#events.since(this.#cursor)) {
      if (this.#ready && event.id > this.#cursor + 1) {
        this.#tellGap(event.id - 1);
      }
      if (!this.#ready) {
        return;
      }
      this.#cursor = event.id;
      if (this.#wanted(event)) {
        this.#send(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`, event.id);
      }
    }
    if (this.#ready && this.#cursor < last) {
      this.#tellGap(last);
    }
  }

  /** Events up to this id are not kept any more. */
  #tellGap(resumed: number): void {
    const gap: EventGap = { after: this.#cursor, resumed };
    this.#cursor = resumed;
    this.#send(`event: gap\nid: ${resumed}\ndata: ${JSON.stringify(gap)}\n\n`, resumed);
  }

  #beat(): void {
    if (!this.#ready) {
      if (performance.now() - this.#readyAt > this.#stalledMs) {
        this.destroy();
      }
      return;
    }
    // An id without data moves the reader on past events that it does not want.
    this.#send(this.#told === this.#cursor ? ': alive\n\n' : `id: ${this.#cursor}\n\n`, this.#cursor);
  }
}
