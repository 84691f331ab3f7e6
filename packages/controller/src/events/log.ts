/**
 * The durable log of events: DATA/events.log, one JSON object a line, and the newest events in memory. Writing never
 * blocks the event loop: what comes while the disk is busy is written together afterwards.
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
  /** How many events are kept. Default `MAX_EVENTS`. */
  limit?: number;
  /** How many bytes of events are kept. Default `MAX_LOG_BYTES`. */
  maxBytes?: number;
  /** How much of that one node may cause. Default `NODE_SHARE`. */
  shares?: Omit<SharesOptions, 'tell'>;
}

/** Bytes of events that are kept. The file is written again when it is twice as large. */
export const MAX_LOG_BYTES = 16 << 20;
/** An id that is so far above the one before it is damage. */
const FAR = 1e12;

/** Milliseconds between attempts to write to a disk that refuses. */
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
  /** Of what was written since the start. */
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

  /** Reads what is there, and appends from now on. A line that is cut short, damaged or too long is left out. */
  static async open(filePath: string, options: EventLogOptions): Promise<EventLog> {
    const events = new EventLog(await EventFile.open(filePath), options);
    await events.#read();
    return events;
  }

  /** Id of the newest event; 0: there was none yet. */
  get last(): number {
    return this.#last;
  }

  /** Id of the oldest event that is kept; 0: there is none. */
  get oldest(): number {
    return this.#kept.oldest;
  }

  /** The events that are kept with an id above `after`, the oldest first. */
  since(after: number): Generator<Event> {
    return this.#kept.since(after);
  }

  /** The events that are kept, the newest first. */
  newestFirst(): Generator<Event> {
    return this.#kept.newestFirst();
  }

  /** Resolves when the events are on the disk and can be read. @throws Error where the disk refuses; it is tried again. */
  append(...drafts: EventDraft[]): Promise<void> {
    return this.#enqueue(drafts.map((draft) => ({ draft: this.#dated(draft) })));
  }

  /** As `append`, but a disk that refuses is left to the log: an event never stands in the way of what it tells. */
  async note(...drafts: EventDraft[]): Promise<void> {
    await this.append(...drafts).catch(() => undefined);
  }

  /** As `note`, of a change that the store committed at this revision. */
  async noteDecision(revision: number, drafts: readonly EventDraft[]): Promise<void> {
    const waiting = drafts.map((draft) => ({ draft: this.#dated(draft), revision }));
    await this.#enqueue(waiting).catch(() => undefined);
  }

  /** Adds the events of changes that were committed by a controller which was killed before it told them. */
  async recover(changes: readonly { revision: number; events?: EventDraft[] }[]): Promise<void> {
    for (const { revision, events = [] } of changes) {
      if (!this.#told.hasRevision(revision)) {
        await this.noteDecision(revision, events);
      }
    }
  }

  /**
   * Keeps what an agent tells, each event once, however often it is told. What is missing between the last one and these
   * is reported as lost.
   * @param translate gives the event as it is kept, or undefined: it is about what the node does not have
   * @returns number of the last one, when all up to it are on the disk
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

  /** The node is deleted: which events of its agent were taken need not be known any more. */
  forget(node: string): void {
    this.#told.forget(node);
    this.#shares.forget(node);
  }

  /** Calls `listener` whenever events were added. Returns what ends that. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes what waits, and lets go of the file. What is told from now on is not kept. */
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

  /** What waits when the disk is free is written at once; later calls find that nothing is left. */
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
