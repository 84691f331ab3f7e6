/**
 * The durable log of events: DATA/events.log, one JSON object a line, and the newest events in
 * memory. Writing never blocks the event loop. Events that come while the disk is busy are written
 * together afterwards.
 */
import type { AgentEvent, Event, EventDraft } from '@mirrorplane/contract';
import { bounded } from './lines.ts';
import { NodeShares, type SharesOptions } from './shares.ts';
import { StoredEvents, type StoredEventsOptions, type Waiting } from './stored-events.ts';
import type { EventTotals } from './totals.ts';

export interface EventLogOptions extends StoredEventsOptions {
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The share of one node. Default `NODE_SHARE`. */
  shares?: Omit<SharesOptions, 'tell'>;
}

export class EventLog {
  readonly #clock: () => number;
  readonly #stored: StoredEvents;
  readonly #shares: NodeShares;

  private constructor(stored: StoredEvents, { clock, shares }: EventLogOptions) {
    this.#stored = stored;
    this.#clock = clock;
    // A report of events that were left out counts in no share.
    const tell = (draft: EventDraft) => void this.#stored.add([{ draft: this.#dated(draft) }]).catch(() => undefined);
    this.#shares = new NodeShares({ ...shares, tell });
  }

  /**
   * Reads the file, and appends from now on. A line that is incomplete, damaged or too long is
   * ignored.
   */
  static async open(filePath: string, options: EventLogOptions): Promise<EventLog> {
    return new EventLog(await StoredEvents.open(filePath, options), options);
  }

  /** Counts of events written since the start. */
  get totals(): EventTotals {
    return this.#stored.totals;
  }

  /** Id of the newest event. 0: there is none yet. */
  get last(): number {
    return this.#stored.last;
  }

  /** Id of the oldest stored event. 0: there is none. */
  get oldest(): number {
    return this.#stored.kept.oldest;
  }

  /** Stored events with an id above `after`, the oldest first. */
  since(after: number): Generator<Event> {
    return this.#stored.kept.since(after);
  }

  /** Stored events, the newest first. */
  newestFirst(): Generator<Event> {
    return this.#stored.kept.newestFirst();
  }

  /**
   * Resolves when the events are on disk and can be read.
   * @throws Error if the disk refuses; the log tries again
   */
  append(...drafts: EventDraft[]): Promise<void> {
    return this.#enqueue(drafts.map((draft) => ({ draft: this.#dated(draft) })));
  }

  /** As `append`, but without an error: a failing disk must not block the reported change. */
  note(...drafts: EventDraft[]): Promise<void> {
    return this.noteAll(drafts);
  }

  /** As `note`, for any number of events. */
  async noteAll(drafts: readonly EventDraft[]): Promise<void> {
    await this.#enqueue(drafts.map((draft) => ({ draft: this.#dated(draft) }))).catch(() => undefined);
  }

  /** As `note`, for a change that the store committed at this revision. */
  async noteDecision(revision: number, drafts: readonly EventDraft[]): Promise<void> {
    const waiting = drafts.map((draft) => ({ draft: this.#dated(draft), revision }));
    await this.#enqueue(waiting).catch(() => undefined);
  }

  /** Adds events for committed changes of a controller that was killed before it reported them. */
  async recover(changes: readonly { revision: number; events?: EventDraft[] }[]): Promise<void> {
    for (const { revision, events = [] } of changes) {
      if (!this.#stored.told.hasRevision(revision)) {
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
    const known = this.#stored.told.newestOf(node, epoch);
    const fresh = events.filter(({ seq }) => seq > known);
    const newest = fresh.at(-1);
    if (newest) {
      this.#stored.told.take({ node, epoch, seq: newest.seq });
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
    this.#stored.told.forget(node);
    this.#shares.forget(node);
  }

  /** Calls `listener` after events were added. Returns the function that ends this. */
  onAppended(listener: () => void): () => void {
    return this.#stored.onAppended(listener);
  }

  /** Writes waiting events, and closes the file. Later events are not stored. */
  async close(): Promise<void> {
    this.#shares.flush();
    await this.#stored.close();
  }

  #dated(draft: EventDraft): EventDraft & { at: string } {
    return bounded({ ...draft, at: draft.at ?? new Date(this.#clock()).toISOString() });
  }

  async #enqueue(waiting: readonly Waiting[]): Promise<void> {
    await this.#stored.add(waiting.filter(({ draft }) => this.#shares.admit(draft)));
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
