/**
 * The durable log of events: DATA/events.log, one JSON object a line, and the newest events in
 * memory. Writing never blocks the event loop. Events that come while the disk is busy are written
 * together afterwards.
 */
import { Serial } from '@mirrorplane/base';
import { type AgentEvent, type Event, type EventDraft, MAX_EVENTS } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { EventFile } from './file.ts';
import { KeptEvents } from './kept.ts';
import { bounded, type Line, textOf } from './lines.ts';
import { NodeShares, type SharesOptions } from './shares.ts';
import { Told } from './told.ts';
import { EventTotals } from './totals.ts';

interface Waiting extends Omit<Line, 'event'> {
  draft: EventDraft & { at: string };
}

export interface EventLogOptions {
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Logger;
  /** The most stored events. Default `MAX_EVENTS`. */
  limit?: number;
  /** The most bytes of stored events. Default `MAX_LOG_BYTES`. */
  maxBytes?: number;
  /** The share of one node. Default `NODE_SHARE`. */
  shares?: Omit<SharesOptions, 'tell'>;
}

/** Bytes of stored events. The file is rewritten when it is twice as large. */
export const MAX_LOG_BYTES = 16 << 20;
/** An id that exceeds the previous one by this much is damaged. */
const FAR = 1e12;

/** Milliseconds between attempts to write after a failure. */
const RETRY_MS = 1000;

export class EventLog {
  readonly #clock: () => number;
  readonly #log: Logger;
  readonly #limit: number;
  readonly #listeners = new Set<() => void>();
  readonly #told = new Told();
  readonly #maxBytes: number;
  readonly #shares: NodeShares;
  readonly #file: EventFile;
  /** What is on the disk. */
  readonly #kept: KeptEvents;
  #last = 0;
  /** Counts of events written since the start. */
  readonly totals = new EventTotals();
  #waiting: Waiting[] = [];
  readonly #writes = new Serial();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(file: EventFile, options: EventLogOptions) {
    const { clock, log, limit = MAX_EVENTS, maxBytes = MAX_LOG_BYTES, shares } = options;
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.#limit = limit;
    this.#maxBytes = maxBytes;
    this.#kept = new KeptEvents({ limit, maxBytes });
    this.#shares = new NodeShares({ ...shares, tell: (draft) => this.#tellUnbounded(draft) });
  }

  /**
   * Reads the file, and appends from now on. A line that is incomplete, damaged or too long is
   * ignored.
   */
  static async open(filePath: string, options: EventLogOptions): Promise<EventLog> {
    const events = new EventLog(await EventFile.open(filePath), options);
    await events.#read();
    return events;
  }

  /** Id of the newest event. 0: there is none yet. */
  get last(): number {
    return this.#last;
  }

  /** Id of the oldest stored event. 0: there is none. */
  get oldest(): number {
    return this.#kept.oldest;
  }

  /** Stored events with an id above `after`, the oldest first. */
  since(after: number): Generator<Event> {
    return this.#kept.since(after);
  }

  /** Stored events, the newest first. */
  newestFirst(): Generator<Event> {
    return this.#kept.newestFirst();
  }

  /**
   * Resolves when the events are on disk and can be read. @throws Error if the disk refuses; the
   * log tries again
   */
  append(...drafts: EventDraft[]): Promise<void> {
    return this.#enqueue(drafts.map((draft) => ({ draft: this.#dated(draft) })));
  }

  /** As `append`, but without an error: a failing disk must not block the reported change. */
  async note(...drafts: EventDraft[]): Promise<void> {
    await this.append(...drafts).catch(() => undefined);
  }

  /** As `note`, for a change that the store committed at this revision. */
  async noteDecision(revision: number, drafts: readonly EventDraft[]): Promise<void> {
    const waiting = drafts.map((draft) => ({ draft: this.#dated(draft), revision }));
    await this.#enqueue(waiting).catch(() => undefined);
  }

  /** Adds events for committed changes of a controller that was killed before it reported them. */
  async recover(changes: readonly { revision: number; events?: EventDraft[] }[]): Promise<void> {
    for (const { revision, events = [] } of changes) {
      if (!this.#told.hasRevision(revision)) {
        await this.noteDecision(revision, events);
      }
    }
  }

  /**
   * Stores events of an agent. A repeated event is stored once. A gap between the last event and
   * these is reported as lost events.
   * @param translate returns the event to store; undefined: it is about something that the node
   * does not have
   * @returns number of the last event, after all events up to it are on disk
   */
  async take(
    node: string,
    epoch: string,
    events: readonly AgentEvent[],
    translate: (event: AgentEvent) => EventDraft | undefined,
  ): Promise<number> {
    const known = this.#told.newestOf(node, epoch);
    const fresh = events.filter(({ seq }) => seq > known);
    const newest = fresh.at(-1);
    if (newest) {
      this.#told.take({ node, epoch, seq: newest.seq });
    }
    const lost = (fresh[0]?.seq ?? 0) - known - 1;
    const waiting = fresh.flatMap((event): Waiting[] => {
      const draft = translate(event);
      if (draft === undefined) {
        this.#shares.leaveOut(node, 'foreign');
        return [];
      }
      return [{ draft: this.#dated(draft), origin: { node, epoch, seq: event.seq } }];
    });
    if (lost > 0) {
      waiting.unshift({ draft: this.#dated(lostEvent(node, lost)) });
    }
    await this.#enqueue(waiting);
    return Math.max(known, newest?.seq ?? 0);
  }

  /** The node is deleted: forgets which events of its agent were accepted. */
  forget(node: string): void {
    this.#told.forget(node);
    this.#shares.forget(node);
  }

  /** Calls `listener` after events were added. Returns the function that ends this. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes waiting events, and closes the file. Later events are not stored. */
  async close(): Promise<void> {
    this.#shares.flush();
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#writes.settled();
    await this.#file.close();
  }

  #dated(draft: EventDraft): EventDraft & { at: string } {
    return bounded({ ...draft, at: draft.at ?? new Date(this.#clock()).toISOString() });
  }

  async #enqueue(waiting: readonly Waiting[]): Promise<void> {
    if (this.#closed) {
      throw new Error('the event log is closed');
    }
    this.#waiting.push(...waiting.filter(({ draft }) => this.#shares.admit(draft)));
    await this.#write();
  }

  #tellUnbounded(draft: EventDraft): void {
    if (!this.#closed) {
      this.#waiting.push({ draft: this.#dated(draft) });
      void this.#write().catch(() => undefined);
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
    const lines = waiting.map(({ draft, ...rest }) => ({ event: { id: ++id, ...draft }, ...rest }));
    const texts = lines.map((line) => textOf([line]));
    try {
      await this.#file.append(texts);
    } catch (error) {
      this.#failed(waiting, error as Error);
      throw error;
    }
    this.#last = id;
    for (const [index, { event }] of lines.entries()) {
      this.#kept.add(event, Buffer.byteLength(texts[index]!));
      this.totals.add(event);
    }
    this.#told.written(lines);
    for (const listener of this.#listeners) {
      listener();
    }
    if (this.#file.events > 2 * this.#limit || this.#file.bytes > 2 * this.#maxBytes) {
      await this.#rewrite();
    }
  }

  /** What could not be written waits for the next attempt. */
  #failed(waiting: readonly Waiting[], error: Error): void {
    this.#waiting = [...waiting, ...this.#waiting].slice(-this.#limit);
    this.#log.error({ err: error, waiting: this.#waiting.length }, 'events not written');
    clearTimeout(this.#retry);
    if (!this.#closed) {
      this.#retry = setTimeout(() => void this.#write().catch(() => undefined), RETRY_MS).unref();
    }
  }

  /** Leaves out of the file what is not kept any more. */
  async #rewrite(): Promise<void> {
    const events = [...this.#kept.since(0)].map((event): Line => ({ event }));
    try {
      await this.#file.replace([{ last: this.#last }, ...this.#told.lines(), ...events]);
    } catch (error) {
      // It is tried again when as many events have come once more.
      this.#log.warn({ err: error }, 'event log not shortened');
    }
  }

  async #read(): Promise<void> {
    let left = 0;
    let newest = 0;
    for await (const { line, text } of this.#file.read()) {
      this.#told.resume(line);
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

function lostEvent(node: string, count: number): EventDraft {
  return {
    kind: 'eventsLost',
    object: { kind: 'node', name: node },
    message: `${count} ${count === 1 ? 'event' : 'events'} of the agent were lost`,
    cause: { kind: 'agent', name: node },
    count,
  };
}
