/** Keys of etcd in memory, followed by a watch that begins again whenever it ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../store/etcd/cluster.ts';
import { answers, rangeRequest } from '../store/etcd/messages.ts';
import { EtcdWatch } from '../store/etcd/watch.ts';
import type { StoreEvent } from '../store/store.ts';

/** A key with its value as text. */
export interface FollowedKey {
  value: string;
  /** Revision at which it was created. */
  createRevision: number;
}

/** Milliseconds before all is read again. */
const PAUSE_MS = 200;

export class FollowedKeys {
  readonly #cluster: Cluster;
  readonly #prefix: string;
  readonly #changed: () => void;
  #keys = new Map<string, FollowedKey>();
  #watch: EtcdWatch | undefined;
  #isKnown = false;
  #closed = false;

  /** @param changed called after each change, and when the keys are known for the first time */
  constructor(cluster: Cluster, prefix: string, changed: () => void) {
    this.#cluster = cluster;
    this.#prefix = prefix;
    this.#changed = changed;
  }

  /** Begins to follow. Tries until it is closed. */
  open(): void {
    void this.#follow();
  }

  /** Whether the keys were read once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  values(): ReadonlyMap<string, FollowedKey> {
    return this.#keys;
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  async #follow(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#begin();
        return;
      } catch {
        await sleep(PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  async #begin(): Promise<void> {
    const key = this.#prefix;
    const end = Buffer.from(`${key}\u{10ffff}`);
    const { entries, revision } = answers.range(await this.#cluster.ask('range', rangeRequest({ key, end })));
    this.#keys = new Map(entries.map((one) => [one.key, { ...one, value: one.value.toString() }]));
    this.#isKnown = true;
    this.#changed();
    const watch = new EtcdWatch(this.#cluster, { key, end, toEvent }, revision + 1, {
      onBatch: (events) => this.#take(events),
      onEnd: () => void this.#follow(),
    });
    this.#watch = watch;
    await watch.open();
    if (this.#closed) {
      watch.close();
    }
  }

  #take(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.type === 'put') {
        this.#keys.set(event.entry.key, {
          value: event.entry.value as string,
          createRevision: event.entry.createRevision,
        });
      } else {
        this.#keys.delete(event.key);
      }
    }
    this.#changed();
  }
}

interface WatchedEvent {
  deleted: boolean;
  entry: { key: string; value: Buffer; createRevision: number; modRevision: number };
}

const toEvent = ({ deleted, entry }: WatchedEvent): StoreEvent =>
  deleted ? { type: 'delete', key: entry.key } : { type: 'put', entry: { ...entry, value: entry.value.toString() } };
