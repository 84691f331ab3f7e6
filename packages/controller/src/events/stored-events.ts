/** The numbered events on disk, and the events that wait to be written. */
import { inTurns, mappedInSteps, Serial } from '@mirrorplane/base';
import { type Event, type EventDraft, MAX_EVENTS } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { EventFile } from './file.ts';
import { KeptEvents } from './kept.ts';
import { type Line, textOf } from './lines.ts';
import { Told } from './told.ts';
import { EventTotals } from './totals.ts';

/** An event that has no number yet. */
export interface Waiting extends Omit<Line, 'event'> {
  draft: EventDraft & { at: string };
}

/** Takes events before they are in the file, so that other controllers have them. */
export interface EventCopy {
  /** @throws Error if it is not known that it has them. The next ones take their place then */
  append(lines: readonly { number: number; line: string }[]): Promise<void>;
  /**
   * Leaves only these lines.
   * @param told lines of what was told of events that are no longer there
   */
  rewrite(kept: readonly { number: number; line: string }[], told: string): Promise<void>;
}

export interface StoredEventsOptions {
  log: Logger;
  /** Has events first. The file follows it then: it need not be on the disk. */
  copy?: EventCopy | undefined;
  /** The most stored events. Default `MAX_EVENTS`. */
  limit?: number;
  /** The most bytes of stored events. Default `MAX_LOG_BYTES`. */
  maxBytes?: number;
}

/** Bytes of stored events. The file is rewritten when it is twice as large. */
export const MAX_LOG_BYTES = 16 << 20;
/** An id that exceeds the previous one by this much is damaged. */
const FAR = 1e12;
/** Milliseconds between attempts to write after a failure. */
const RETRY_MS = 1000;

export class StoredEvents {
  readonly #log: Logger;
  readonly #copy: EventCopy | undefined;
  readonly #limit: number;
  readonly #maxBytes: number;
  readonly #file: EventFile;
  readonly #listeners = new Set<() => void>();
  readonly #writes = new Serial();
  /** What is on the disk. */
  readonly #kept: KeptEvents;
  #last = 0;
  #waiting: Waiting[] = [];
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  readonly told = new Told();
  /** Counts of events written since the start. */
  readonly totals = new EventTotals();

  private constructor(
    file: EventFile,
    { log, copy, limit = MAX_EVENTS, maxBytes = MAX_LOG_BYTES }: StoredEventsOptions,
  ) {
    this.#file = file;
    this.#log = log;
    this.#copy = copy;
    this.#limit = limit;
    this.#maxBytes = maxBytes;
    this.#kept = new KeptEvents({ limit, maxBytes });
  }

  /**
   * Reads the file, and appends from now on. A line that is incomplete, damaged or too long is
   * ignored.
   */
  static async open(filePath: string, options: StoredEventsOptions): Promise<StoredEvents> {
    const events = new StoredEvents(await EventFile.open(filePath, options.copy === undefined), options);
    await events.#read();
    return events;
  }

  /** Id of the newest event. 0: there is none yet. */
  get last(): number {
    return this.#last;
  }

  get kept(): Pick<KeptEvents, 'oldest' | 'since' | 'newestFirst'> {
    return this.#kept;
  }

  /** Resolves when the events are on disk. @throws Error if the disk refuses; it is tried again */
  async add(waiting: readonly Waiting[]): Promise<void> {
    if (this.#closed) {
      throw new Error('the event log is closed');
    }
    for (const one of waiting) {
      this.#waiting.push(one);
    }
    await this.#write();
  }

  /** Calls `listener` after events were added. Returns the function that ends this. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes waiting events, and closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#writes.settled();
    await this.#file.close();
    if (this.#waiting.length > 0) {
      this.#log.warn({ events: this.#waiting.length }, 'events not written: those of changes come with the next start');
    }
  }

  /** Writes all waiting events at once. Later calls then find nothing to write. */
  #write(): Promise<void> {
    return this.#writes.run(() => this.#writeWaiting());
  }

  async #writeWaiting(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting.length === 0) {
      return;
    }
    this.#waiting = [];
    let id = this.#last;
    const lines = waiting.map(({ draft, ...rest }): Line & { event: Event } => ({
      event: { id: ++id, ...draft },
      ...rest,
    }));
    const texts = lines.map((line) => textOf([line]));
    try {
      await this.#put(lines, texts);
    } catch (error) {
      this.#failed(waiting, error as Error);
      throw error;
    }
    this.#last = id;
    for (const [index, { event }] of lines.entries()) {
      this.#kept.add(event, Buffer.byteLength(texts[index]!));
      this.totals.add(event);
    }
    this.told.written(lines);
    for (const listener of this.#listeners) {
      listener();
    }
    if (this.#file.events > 2 * this.#limit || this.#file.bytes > 2 * this.#maxBytes) {
      await this.#rewrite();
    }
  }

  async #put(lines: readonly { event: Event }[], texts: readonly string[]): Promise<void> {
    if (this.#copy === undefined) {
      await this.#file.append(texts);
      return;
    }
    await this.#copy.append(texts.map((text, index) => ({ number: lines[index]!.event.id, line: text.trimEnd() })));
    // The next start writes the file again by the copy.
    await this.#file
      .append(texts)
      .catch((error: unknown) => this.#log.warn({ err: error }, 'events are not in the file'));
  }

  /** Events that could not be written wait for the next attempt. */
  #failed(waiting: readonly Waiting[], error: Error): void {
    this.#waiting = [...waiting, ...this.#waiting].slice(-this.#limit);
    this.#log.error({ err: error, waiting: this.#waiting.length }, 'events not written');
    clearTimeout(this.#retry);
    if (!this.#closed) {
      this.#retry = setTimeout(() => void this.#write().catch(() => undefined), RETRY_MS).unref();
    }
  }

  /** Removes old events from the file, in turns with everything else. No event is added meanwhile. */
  async #rewrite(): Promise<void> {
    try {
      const events = [...this.#kept.since(0)];
      const lines = await inTurns(mappedInSteps(events, (event) => JSON.stringify({ event })));
      if (this.#copy) {
        const kept = events.map(({ id }, index) => ({ number: id, line: lines[index]! }));
        await this.#copy.rewrite(kept, textOf(this.#head()));
      }
      await this.#file.replace(this.#head(), lines);
    } catch (error) {
      // It is tried again when as many events have come once more.
      this.#log.warn({ err: error }, 'event log not shortened');
    }
  }

  #head(): Line[] {
    return [{ last: this.#last }, ...this.told.lines()];
  }

  async #read(): Promise<void> {
    let left = 0;
    let newest = 0;
    for await (const { line, text } of this.#file.read()) {
      this.told.resume(line);
      this.#last = Math.max(this.#last, line.last ?? 0);
      // A batch that a full disk had taken in part was written again.
      if (line.event && line.event.id > newest && (newest === 0 || line.event.id < newest + FAR)) {
        newest = line.event.id;
        this.#kept.add(line.event, Buffer.byteLength(text));
      } else if (Object.keys(line).length === 0) {
        left++;
      }
    }
    this.#last = Math.max(this.#last, newest);
    if (left > 0) {
      this.#log.warn({ path: this.#file.path, lines: left }, 'lines of the event log cannot be read');
    }
    if (this.#file.bytes > 2 * this.#maxBytes) {
      await this.#rewrite();
    }
  }
}
