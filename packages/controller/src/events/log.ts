/**
 * The durable log of events: DATA/events.log, one JSON object a line, and the newest events in
 * memory. Writing never blocks the event loop. Events that come while the disk is busy are written
 * together afterwards.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { Serial, syncFolder } from '@mirrorplane/base';
import { type AgentEvent, type Event, type EventDraft, MAX_EVENTS } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { KeptEvents } from './kept.ts';
import { bounded, type Line, type Origin, parseLine, readLines, textOf } from './lines.ts';
import { NodeShares, type SharesOptions } from './shares.ts';
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
/** More revisions than the store can have as not reported yet. */
const MAX_REVISIONS = 1024;

export class EventLog {
  readonly #path: string;
  readonly #clock: () => number;
  readonly #log: Logger;
  readonly #limit: number;
  readonly #listeners = new Set<() => void>();
  /** By agent: the newest accepted event, and the newest on disk. */
  readonly #taken = new Map<string, Origin>();
  readonly #written = new Map<string, Origin>();
  /** Revisions of the last reported changes. */
  readonly #revisions = new Set<number>();
  readonly #maxBytes: number;
  readonly #shares: NodeShares;
  #file: FileHandle;
  /** The events on disk. */
  readonly #kept: KeptEvents;
  #lines = 0;
  #bytes = 0;
  #last = 0;
  /** Counts of events written since the start. */
  readonly totals = new EventTotals();
  #newestRead = 0;
  #waiting: Waiting[] = [];
  readonly #writes = new Serial();
  #torn = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(file: FileHandle, filePath: string, options: EventLogOptions) {
    const { clock, log, limit = MAX_EVENTS, maxBytes = MAX_LOG_BYTES, shares } = options;
    this.#file = file;
    this.#path = filePath;
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
    const events = new EventLog(await openForAppending(filePath), filePath, options);
    syncFolder(path.dirname(filePath));
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
      if (!this.#revisions.has(revision)) {
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
    const before = this.#taken.get(node);
    const known = before?.epoch === epoch ? before.seq : 0;
    const fresh = events.filter(({ seq }) => seq > known);
    const newest = fresh.at(-1);
    if (newest) {
      this.#taken.set(node, { node, epoch, seq: newest.seq });
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
    this.#taken.delete(node);
    this.#written.delete(node);
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
      await this.#file.appendFile((this.#torn ? '\n' : '') + texts.join(''));
      await this.#file.datasync();
    } catch (error) {
      this.#failed(waiting, error as Error);
      throw error;
    }
    this.#torn = false;
    this.#last = id;
    for (const [index, { event }] of lines.entries()) {
      this.#keep(event, texts[index]!);
      this.totals.add(event);
    }
    this.#remember(lines, this.#written);
    this.#rememberChanges(lines);
    for (const listener of this.#listeners) {
      listener();
    }
    if (this.#lines > 2 * this.#limit || this.#bytes > 2 * this.#maxBytes) {
      await this.#rewrite();
    }
  }

  /** A full disk may have written a part of a line, so the next write begins with a line end. */
  #failed(waiting: readonly Waiting[], error: Error): void {
    this.#torn = true;
    this.#waiting = [...waiting, ...this.#waiting].slice(-this.#limit);
    this.#log.error({ err: error, waiting: this.#waiting.length }, 'events not written');
    clearTimeout(this.#retry);
    if (!this.#closed) {
      this.#retry = setTimeout(() => void this.#write().catch(() => undefined), RETRY_MS).unref();
    }
  }

  #keep(event: Event, text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#kept.add(event, bytes);
    this.#lines++;
    this.#bytes += bytes;
  }

  #rememberChanges(lines: readonly Line[]): void {
    for (const { revision } of lines) {
      if (revision !== undefined) {
        this.#revisions.add(revision);
      }
    }
    for (const revision of this.#revisions) {
      if (this.#revisions.size <= MAX_REVISIONS) {
        return;
      }
      this.#revisions.delete(revision);
    }
  }

  #remember(lines: readonly Line[], origins: Map<string, Origin>): void {
    for (const { origin } of lines) {
      if (origin) {
        origins.set(origin.node, origin);
      }
    }
  }

  /**
   * Rewrites the file without events that are no longer stored. The new file replaces the old one
   * atomically.
   */
  async #rewrite(): Promise<void> {
    const temporary = `${this.#path}.new`;
    try {
      const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
      await file.appendFile(
        textOf([
          { last: this.#last },
          ...[...this.#written.values()].map((origin): Line => ({ origin })),
          ...[...this.#revisions].map((revision): Line => ({ revision })),
          ...[...this.#kept.since(0)].map((event): Line => ({ event })),
        ]),
      );
      await file.datasync();
      await file.close();
      await rename(temporary, this.#path);
      syncFolder(path.dirname(this.#path));
      const old = this.#file;
      this.#file = await openForAppending(this.#path);
      await old.close();
      this.#lines = this.#kept.size;
      this.#bytes = (await this.#file.stat()).size;
    } catch (error) {
      // The old file is unchanged. The next attempt comes after as many further events.
      this.#lines = 0;
      this.#bytes = 0;
      this.#log.warn({ err: error }, 'event log not shortened');
    }
  }

  async #read(): Promise<void> {
    let left = 0;
    const file = await open(this.#path, 'r');
    try {
      for await (const { text, ended } of readLines(file)) {
        this.#torn = !ended;
        const line = parseLine(text);
        this.#remember([line], this.#taken);
        this.#remember([line], this.#written);
        this.#rememberChanges([line]);
        this.#last = Math.max(this.#last, line.last ?? 0);
        // A batch that a full disk had written in part was written again.
        const newest = this.#newestRead;
        if (line.event && line.event.id > newest && (newest === 0 || line.event.id < newest + FAR)) {
          this.#newestRead = line.event.id;
          this.#keep(line.event, text);
        } else if (Object.keys(line).length === 0) {
          left++;
        }
      }
    } finally {
      await file.close();
    }
    this.#last = Math.max(this.#last, this.#newestRead);
    this.#bytes = (await this.#file.stat()).size;
    if (left > 0) {
      this.#log.warn({ path: this.#path, lines: left }, 'lines of the event log cannot be read');
    }
    if (this.#bytes > 2 * this.#maxBytes) {
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

function openForAppending(filePath: string): Promise<FileHandle> {
  return open(filePath, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}
