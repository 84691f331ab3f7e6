/**
 * The durable log of events: DATA/events.log, one JSON object a line, and the newest events in memory. Writing never
 * blocks the event loop: what comes while the disk is busy is written together afterwards.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { type AgentEvent, type Event, type EventDraft, MAX_EVENTS } from '@mirrorplane/contract';
import type { Logger } from 'pino';
import { syncFolder } from '../auth/files.ts';

/** Which event of which start of which agent it is. */
interface Origin {
  node: string;
  epoch: string;
  seq: number;
}

/** A line of the file. The first lines of a file that was written anew say what had been told by then. */
interface Line {
  event?: Event;
  origin?: Origin;
  /** Store revision of the change that it tells of. */
  revision?: number;
}

interface Waiting extends Omit<Line, 'event'> {
  draft: EventDraft & { at: string };
}

export interface EventLogOptions {
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Logger;
  /** How many events are kept. Default `MAX_EVENTS`. */
  limit?: number;
}

/** Milliseconds between attempts to write to a disk that refuses. */
const RETRY_MS = 1000;
/** More changes than the store can hold as not told yet. */
const MAX_REVISIONS = 1024;

export class EventLog {
  readonly #path: string;
  readonly #clock: () => number;
  readonly #log: Logger;
  readonly #limit: number;
  readonly #listeners = new Set<() => void>();
  /** The newest event of every agent that was taken, and that is on the disk. */
  readonly #taken = new Map<string, Origin>();
  readonly #written = new Map<string, Origin>();
  /** Revisions of the changes that were told last. */
  readonly #revisions = new Set<number>();
  #file: FileHandle;
  /** What is on the disk, the oldest first, ids without gaps. */
  #kept: Event[] = [];
  #lines = 0;
  #last = 0;
  #waiting: Waiting[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #torn = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(file: FileHandle, filePath: string, { clock, log, limit = MAX_EVENTS }: EventLogOptions) {
    this.#file = file;
    this.#path = filePath;
    this.#clock = clock;
    this.#log = log;
    this.#limit = limit;
  }

  /** Reads what is there, and appends from now on. A line that a crash cut short is left out. */
  static async open(filePath: string, options: EventLogOptions): Promise<EventLog> {
    const events = new EventLog(await openForAppending(filePath), filePath, options);
    syncFolder(path.dirname(filePath));
    events.#read(await readFile(filePath, 'utf8'));
    return events;
  }

  /** Id of the newest event; 0: there was none yet. */
  get last(): number {
    return this.#last;
  }

  /** Id of the oldest event that is kept; 0: there is none. */
  get oldest(): number {
    return this.#kept[0]?.id ?? 0;
  }

  /** The events that are kept with an id above `after`, the oldest first. */
  *since(after: number): Generator<Event> {
    // Ids have no gaps, so the place follows from the id.
    for (let at = Math.max(0, after + 1 - this.oldest); at < this.#kept.length; at++) {
      yield this.#kept[at]!;
    }
  }

  /** The events that are kept, the newest first. */
  *newestFirst(): Generator<Event> {
    for (let at = this.#kept.length - 1; at >= 0; at--) {
      yield this.#kept[at]!;
    }
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
      if (!this.#revisions.has(revision)) {
        await this.noteDecision(revision, events);
      }
    }
  }

  /**
   * Keeps what an agent tells, each event once, however often it is told. What is missing between the last one and these
   * is told of as lost.
   * @param translate gives the event as it is kept
   * @returns number of the last one, when all up to it are on the disk
   */
  async take(
    node: string,
    epoch: string,
    events: readonly AgentEvent[],
    translate: (event: AgentEvent) => EventDraft,
  ): Promise<number> {
    const before = this.#taken.get(node);
    const known = before?.epoch === epoch ? before.seq : 0;
    const fresh = events.filter(({ seq }) => seq > known);
    const newest = fresh.at(-1);
    if (newest) {
      this.#taken.set(node, { node, epoch, seq: newest.seq });
    }
    const lost = (fresh[0]?.seq ?? 0) - known - 1;
    const waiting = fresh.map((event): Waiting => {
      return { draft: this.#dated(translate(event)), origin: { node, epoch, seq: event.seq } };
    });
    if (lost > 0) {
      waiting.unshift({ draft: this.#dated(lostEvent(node, lost)) });
    }
    await this.#enqueue(waiting);
    return Math.max(known, newest?.seq ?? 0);
  }

  /** Calls `listener` whenever events were added. Returns what ends that. */
  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes what waits, and lets go of the file. What is told from now on is not kept. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#tail;
    await this.#file.close();
  }

  #dated(draft: EventDraft): EventDraft & { at: string } {
    return { ...draft, at: draft.at ?? new Date(this.#clock()).toISOString() };
  }

  async #enqueue(waiting: readonly Waiting[]): Promise<void> {
    if (this.#closed) {
      throw new Error('the event log is closed');
    }
    this.#waiting.push(...waiting);
    await this.#write();
  }

  /** What waits when the disk is free is written at once; later calls find that nothing is left. */
  #write(): Promise<void> {
    const written = this.#tail.then(() => this.#writeWaiting());
    this.#tail = written.catch(() => undefined);
    return written;
  }

  async #writeWaiting(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting.length === 0) {
      return;
    }
    this.#waiting = [];
    let id = this.#last;
    const lines = waiting.map(({ draft, ...rest }) => ({ event: { id: ++id, ...draft }, ...rest }));
    try {
      await this.#file.appendFile((this.#torn ? '\n' : '') + textOf(lines));
      await this.#file.datasync();
    } catch (error) {
      this.#failed(waiting, error as Error);
      throw error;
    }
    this.#torn = false;
    this.#lines += lines.length;
    this.#keep(lines.map(({ event }) => event));
    this.#remember(lines, this.#written);
    this.#rememberChanges(lines);
    for (const listener of this.#listeners) {
      listener();
    }
    if (this.#lines > 2 * this.#limit) {
      await this.#rewrite();
    }
  }

  /** A disk that is full may have taken a part: whatever is written next begins with a new line. */
  #failed(waiting: readonly Waiting[], error: Error): void {
    this.#torn = true;
    this.#waiting = [...waiting, ...this.#waiting].slice(-this.#limit);
    this.#log.error({ err: error, waiting: this.#waiting.length }, 'events not written');
    clearTimeout(this.#retry);
    if (!this.#closed) {
      this.#retry = setTimeout(() => void this.#write().catch(() => undefined), RETRY_MS).unref();
    }
  }

  #keep(events: readonly Event[]): void {
    this.#kept.push(...events);
    this.#last = events.at(-1)?.id ?? this.#last;
    if (this.#kept.length > this.#limit) {
      this.#kept.splice(0, this.#kept.length - this.#limit);
    }
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

  /** Leaves out of the file what is not kept any more. The new file takes the place of the old one as a whole. */
  async #rewrite(): Promise<void> {
    const temporary = `${this.#path}.new`;
    try {
      const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
      await file.appendFile(
        textOf([
          ...[...this.#written.values()].map((origin): Line => ({ origin })),
          ...[...this.#revisions].map((revision): Line => ({ revision })),
          ...this.#kept.map((event): Line => ({ event })),
        ]),
      );
      await file.datasync();
      await file.close();
      await rename(temporary, this.#path);
      syncFolder(path.dirname(this.#path));
      const old = this.#file;
      this.#file = await openForAppending(this.#path);
      await old.close();
      this.#lines = this.#kept.length;
    } catch (error) {
      // The old file is as good as it was; it is tried again when as many events have come once more.
      this.#lines = 0;
      this.#log.warn({ err: error }, 'event log not shortened');
    }
  }

  #read(text: string): void {
    this.#torn = text !== '' && !text.endsWith('\n');
    const lines = text.split('\n').map(parseLine);
    this.#remember(lines, this.#taken);
    this.#remember(lines, this.#written);
    const events: Event[] = [];
    this.#rememberChanges(lines);
    for (const { event } of lines) {
      // A batch that a full disk had taken in part was written again.
      if (event && event.id > (events.at(-1)?.id ?? 0)) {
        events.push(event);
      }
    }
    this.#lines = lines.length;
    // Where lines in the middle are damaged, what was before them is left out: ids of kept events have no gaps.
    const gap = events.findLastIndex((event, at) => at > 0 && event.id !== events[at - 1]!.id + 1);
    this.#keep(events.slice(Math.max(gap, 0)));
  }
}

function lostEvent(node: string, count: number): EventDraft {
  return {
    kind: 'eventsLost',
    object: { kind: 'node', name: node },
    message: `${count} ${count === 1 ? 'event' : 'events'} of the agent did not come through`,
    cause: { kind: 'agent', name: node },
    count,
  };
}

function textOf(lines: readonly Line[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

function parseLine(line: string): Line {
  try {
    const { event, origin, revision } = JSON.parse(line) as Line;
    return {
      ...(Number.isSafeInteger(event?.id) && { event: event! }),
      ...(origin?.node && { origin }),
      ...(revision !== undefined && { revision }),
    };
  } catch {
    return {};
  }
}

function openForAppending(filePath: string): Promise<FileHandle> {
  return open(filePath, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}
