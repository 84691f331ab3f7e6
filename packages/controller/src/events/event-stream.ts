/** A stream of server-sent events at the speed of its reader. */
import { Readable } from 'node:stream';
import type { Event, EventGap } from '@mirrorplane/contract';
import type { EventLog } from './log.ts';

/**
 * Milliseconds between keep-alive messages, and below it the longest time that a reader may not
 * read.
 */
export const HEARTBEAT_MS = 15_000;
export const STALLED_MS = 60_000;
/** Milliseconds that a reader should wait before it connects again. */
const RECONNECT_MS = 1000;
/** The most bytes that wait for the reader, in addition to those in the socket. */
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
 * The stream stores nothing for a reader. A slow reader gets its events from the log when it is
 * ready. A `gap` message reports events that the log has dropped meanwhile. A reader that reads
 * nothing for a long time is disconnected, and can resume.
 */
export class EventStream extends Readable {
  readonly #events: EventLog;
  readonly #wanted: (event: Event) => boolean;
  readonly #stalledMs: number;
  readonly #unsubscribe: () => void;
  readonly #heartbeat: NodeJS.Timeout;
  /** All events up to this id were sent or skipped. */
  #cursor: number;
  /** The last id that the reader knows. */
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
    // With the id, a reader that is disconnected before the first event can also resume here.
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

  /** Ends the stream. The reader connects again. Idempotent. */
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
    // Ids beyond the last one belong to a lost log. This log is new.
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

  /** Events up to this id are no longer stored. */
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
    // An id without data lets the reader skip events that it does not want.
    this.#send(this.#told === this.#cursor ? ': alive\n\n' : `id: ${this.#cursor}\n\n`, this.#cursor);
  }
}
