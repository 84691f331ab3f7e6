/**
 * The watches of the SQLite engine: each sees every change below its prefix, one transaction at a
 * time.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { StoreEvent, Watch, Watcher } from './store.ts';

interface LogRow {
  revision: number;
  key: string;
  value: string | null;
  created: number;
}
interface ActiveWatch {
  prefix: string;
  next: number;
  watcher: Watcher;
}

export class SqliteWatches {
  readonly #events: StatementSync;
  readonly #watches = new Set<ActiveWatch>();
  #revision: number;
  #pumping = false;

  /** @param revision of the store */
  constructor(db: DatabaseSync, revision: number) {
    this.#events = db.prepare(
      'SELECT revision, key, value, created FROM log WHERE revision >= ? ORDER BY revision, key',
    );
    this.#revision = revision;
  }

  /** The oldest revision that a watch has not seen; infinity where there is no watch. */
  get next(): number {
    return Math.min(...[...this.#watches].map(({ next }) => next));
  }

  /** Begins a watch with the changes of this revision. */
  add(prefix: string, next: number, watcher: Watcher): Watch {
    const watch: ActiveWatch = { prefix, next, watcher };
    this.#watches.add(watch);
    this.#schedulePump();
    return { close: () => this.#watches.delete(watch) };
  }

  /** The store has this revision now. */
  advance(revision: number): void {
    this.#revision = revision;
    this.#schedulePump();
  }

  /** Ends all watches without a word. */
  close(): void {
    this.#watches.clear();
  }

  #schedulePump(): void {
    if (!this.#pumping && this.#watches.size > 0) {
      this.#pumping = true;
      queueMicrotask(() => {
        this.#pumping = false;
        for (const watch of [...this.#watches]) {
          this.#pump(watch);
        }
      });
    }
  }

  #pump(watch: ActiveWatch): void {
    if (!this.#watches.has(watch) || watch.next > this.#revision) {
      return;
    }
    const rows = this.#events.all(watch.next) as unknown as LogRow[];
    watch.next = this.#revision + 1;
    let batch: StoreEvent[] = [];
    rows.forEach((row, index) => {
      if (row.key.startsWith(watch.prefix)) {
        batch.push(toEvent(row));
      }
      const last = rows[index + 1]?.revision !== row.revision;
      if (last && batch.length > 0 && this.#watches.has(watch)) {
        watch.watcher.onBatch(batch, row.revision);
        batch = [];
      }
    });
  }
}

function toEvent(row: LogRow): StoreEvent {
  if (row.value === null) {
    return { type: 'delete', key: row.key };
  }
  const { key, revision, created, value: text } = row;
  // Whoever does not look at the value pays nothing for it.
  let read: { value: unknown } | undefined;
  const entry = {
    key,
    get value() {
      read ??= { value: JSON.parse(text) };
      return read.value;
    },
    createRevision: created,
    modRevision: revision,
  };
  return { type: 'put', entry };
}
