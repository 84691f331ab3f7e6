/**
 * A watch that goes on at another member when its own ends. It begins there with the revision after
 * the last one that it has told, so that nothing is lost or told twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreEvent, Watch, Watcher } from '../store.ts';
import { CompactedError, StoreUnavailableError } from '../store.ts';
import type { Cluster } from './cluster.ts';
import { EtcdError } from './errors.ts';
import type { Running } from './member.ts';
import { answers, rangeRequest, watchRequest } from './messages.ts';

/** Milliseconds before the watch begins again. */
const PAUSE_MS = 100;

/** What is watched, in keys of etcd. */
export interface WatchedRange {
  key: string;
  end: Uint8Array;
  /** Event for an entry of etcd. */
  toEvent(event: {
    deleted: boolean;
    entry: { key: string; value: Buffer; createRevision: number; modRevision: number };
  }): StoreEvent;
}

export class EtcdWatch implements Watch {
  readonly #cluster: Cluster;
  readonly #range: WatchedRange;
  readonly #watcher: Watcher;
  /** The first revision that was not told. */
  #next: number;
  #running: Running | undefined;
  #closed = false;

  constructor(cluster: Cluster, range: WatchedRange, fromRevision: number, watcher: Watcher) {
    this.#cluster = cluster;
    this.#range = range;
    this.#next = fromRevision;
    this.#watcher = watcher;
  }

  /**
   * Resolves when a member has accepted the watch.
   * @throws CompactedError if the revision is no longer stored
   */
  async open(): Promise<void> {
    await this.#requireStored();
    await new Promise<void>((resolve, reject) => {
      this.#begin(resolve).catch(reject);
    });
  }

  close(): void {
    this.#closed = true;
    this.#running?.end();
  }

  /**
   * Etcd accepts a watch from the compacted revision itself, although deletions of that revision
   * may be gone. A read at the revision before is refused then.
   */
  async #requireStored(): Promise<void> {
    const revision = Math.max(1, this.#next - 1);
    try {
      await this.#cluster.ask('range', rangeRequest({ key: this.#range.key, revision, keysOnly: true }));
    } catch (error) {
      throw error instanceof EtcdError && error.isCompacted
        ? new CompactedError(`revision ${this.#next} is compacted`)
        : error;
    }
  }

  async #begin(accepted: () => void): Promise<void> {
    this.#running = await this.#cluster.watch(watchRequest(this.#range.key, this.#range.end, this.#next), {
      message: (bytes) => this.#take(answers.watch(bytes), accepted),
      done: () => void this.#again(accepted),
    });
    if (this.#closed) {
      this.#running.end();
    }
  }

  #take(answer: ReturnType<typeof answers.watch>, accepted: () => void): void {
    if (this.#closed) {
      return;
    }
    if (answer.created) {
      accepted();
    }
    if (answer.canceled) {
      this.#running?.end();
      if (answer.compacted > 0) {
        this.#end(new CompactedError(`revision ${this.#next} is compacted`));
      } else {
        void this.#again(accepted);
      }
      return;
    }
    const batches = new Map<number, StoreEvent[]>();
    for (const event of answer.events) {
      const { modRevision } = event.entry;
      const batch = batches.get(modRevision) ?? [];
      batch.push(this.#range.toEvent(event));
      batches.set(modRevision, batch);
    }
    for (const [revision, events] of batches) {
      // Told already: the member began with an earlier revision than it was asked for.
      if (revision >= this.#next && !this.#closed) {
        this.#next = revision + 1;
        this.#watcher.onBatch(events, revision);
      }
    }
  }

  /** Begins again until a member accepts. */
  async #again(accepted: () => void): Promise<void> {
    while (!this.#closed) {
      await sleep(PAUSE_MS);
      try {
        await this.#requireStored();
        await this.#begin(accepted);
        return;
      } catch (error) {
        // Nobody answers: again. Anything else stays as it is.
        if (!(error instanceof StoreUnavailableError || (error instanceof EtcdError && error.isPassing))) {
          this.#end(error as Error);
        }
      }
    }
  }

  #end(error: Error): void {
    if (!this.#closed) {
      this.#closed = true;
      this.#watcher.onEnd(error);
    }
  }
}
