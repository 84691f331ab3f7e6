/** Events as a stream of server-sent events, at the speed of the reader. */
import type { Event, EventGap } from '@mirrorplane/contract';
import type { EventLog } from './log.ts';
import { type PacedOptions, PacedStream } from './paced-stream.ts';

export interface EventStreamOptions extends PacedOptions {
  /** The stream begins with the event after this id. */
  after: number;
  /** Decides which events are sent. */
  wanted: (event: Event) => boolean;
}

/**
 * The stream stores nothing for a reader. A slow reader gets its events from the log when it is
 * ready. A `gap` message reports events that the log has dropped meanwhile. A reader that reads
 * nothing for a long time is disconnected, and can resume.
 */
export class EventStream extends PacedStream {
  readonly #events: EventLog;
  readonly #wanted: (event: Event) => boolean;
  readonly #unsubscribe: () => void;
  /** All events up to this id were sent or skipped. */
  #cursor: number;
  /** The last id that the reader knows. */
  #told: number;

  constructor(events: EventLog, { after, wanted, ...options }: EventStreamOptions) {
    super(options);
    this.#events = events;
    this.#wanted = wanted;
    this.#cursor = after;
    this.#told = after;
    this.#unsubscribe = events.onAppended(() => this.pump());
    // With the id, a reader that is disconnected before the first event can also resume here.
    this.begin(after);
  }

  protected override stopped(): void {
    this.#unsubscribe();
  }

  protected override pump(): void {
    const { last, oldest } = this.#events;
    // Ids beyond the last one belong to a lost log. This log is new.
    if (this.ready && this.#cursor > last) {
      this.#tellGap((oldest || last + 1) - 1);
    }
    for (const event of this.#events.since(this.#cursor)) {
      if (this.ready && event.id > this.#cursor + 1) {
        this.#tellGap(event.id - 1);
      }
      if (!this.ready) {
        return;
      }
      this.#cursor = event.id;
      if (this.#wanted(event)) {
        this.#tell(`id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`, event.id);
      }
    }
    if (this.ready && this.#cursor < last) {
      this.#tellGap(last);
    }
  }

  protected override beat(): void {
    // An id without data lets the reader skip events that it does not want.
    this.#tell(this.#told === this.#cursor ? ': alive\n\n' : `id: ${this.#cursor}\n\n`, this.#cursor);
  }

  /** Events up to this id are no longer stored. */
  #tellGap(resumed: number): void {
    const gap: EventGap = { after: this.#cursor, resumed };
    this.#cursor = resumed;
    this.#tell(`event: gap\nid: ${resumed}\ndata: ${JSON.stringify(gap)}\n\n`, resumed);
  }

  #tell(text: string, id: number): void {
    this.#told = id;
    this.send(text);
  }
}
