/** A store in memory with the semantics of etcd. It passes the contract of all stores. */
import {
  CompactedError,
  type Entry,
  type Lease,
  LeaseExpiredError,
  type Operation,
  type Snapshot,
  type Store,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
  type Watch,
  type Watcher,
} from '@mirrorplane/controller/testing/control';

/** All changes of one transaction. */
interface Change {
  revision: number;
  events: StoreEvent[];
}

interface Kept extends Omit<Entry, 'value'> {
  /** JSON. */
  text: string;
  lease: string | undefined;
}

interface Open {
  prefix: string;
  watcher: Watcher;
  /** The next revision that it is told. */
  next: number;
}

export interface MemoryStoreOptions {
  /** Past revisions that a watch can begin at. Default 256 */
  keepRevisions?: number;
  /** Runs something later, so that a watch is not told within the transaction. */
  later?: (run: () => void) => void;
  /** Milliseconds, for leases. */
  clock?: () => number;
}

/** The data. `handle` gives stores on it. */
export class MemoryStore {
  readonly #keep: number;
  readonly #later: (run: () => void) => void;
  readonly #clock: () => number;
  readonly #entries = new Map<string, Kept>();
  readonly #log: Change[] = [];
  readonly #watches = new Set<Open>();
  readonly #leases = new Map<string, { ttlMs: number; endsAt: number }>();
  #revision = 0;
  #compacted = 0;
  #leaseCount = 0;
  #handles = 0;

  constructor({ keepRevisions = 256, later = setImmediate, clock = () => performance.now() }: MemoryStoreOptions = {}) {
    this.#keep = keepRevisions;
    this.#later = later;
    this.#clock = clock;
  }

  /** Another handle on the same data. */
  handle(): Store {
    const id = ++this.#handles;
    const own = new Set<Open>();
    let closed = false;
    const check = () => {
      if (closed) {
        throw new Error(`the store is closed (handle ${id})`);
      }
    };
    const checked =
      <A extends unknown[], R>(work: (...values: A) => R) =>
      async (...values: A): Promise<Awaited<R>> => {
        check();
        return await work(...values);
      };
    return {
      get: checked((key) => this.#read(key)),
      range: checked((prefix) => this.#list(prefix)),
      txn: checked((transaction) => this.#commit(transaction)),
      watch: checked((prefix, from, watcher) => this.#follow(prefix, from, watcher, own)),
      lease: checked((ttlMs) => this.#grant(ttlMs)),
      raiseRevision: checked((revision) => {
        this.#revision = Math.max(this.#revision, revision);
      }),
      state: checked(() => ({ engine: 'file' as const, members: [] })),
      close: async () => {
        closed = true;
        for (const open of own) {
          this.#watches.delete(open);
        }
      },
    };
  }

  #read(key: string): Entry | undefined {
    this.#expire();
    const kept = this.#entries.get(key);
    return kept && entryOf(kept);
  }

  #list(prefix: string): Snapshot {
    this.#expire();
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return { entries: found.sort((a, b) => (a.key < b.key ? -1 : 1)).map(entryOf), revision: this.#revision };
  }

  /** Carries out a transaction. @throws LeaseExpiredError, Error if it names a key twice */
  #commit({ compare, ops }: Transaction): TransactionResult {
    this.#expire();
    if (new Set(ops.map(({ key }) => key)).size !== ops.length) {
      throw new Error('a transaction may name a key once');
    }
    if (compare.some(({ key, modRevision }) => (this.#entries.get(key)?.modRevision ?? 0) !== modRevision)) {
      return { ok: false, revision: this.#revision };
    }
    for (const op of ops) {
      if (op.type === 'put' && op.lease !== undefined && !this.#leases.has(op.lease)) {
        throw new LeaseExpiredError(`lease ${op.lease} has expired`);
      }
    }
    this.#write(ops);
    return { ok: true, revision: this.#revision };
  }

  /** @throws CompactedError */
  #follow(prefix: string, from: number, watcher: Watcher, own: Set<Open>): Watch {
    if (from <= this.#compacted) {
      throw new CompactedError(`revision ${from} is compacted; the oldest kept is ${this.#compacted + 1}`);
    }
    const open = { prefix, watcher, next: from };
    this.#watches.add(open);
    own.add(open);
    this.#later(() => this.#tell(open));
    return { close: () => this.#watches.delete(open) };
  }

  #grant(ttlMs: number): Lease {
    const id = `${++this.#leaseCount}`;
    this.#leases.set(id, { ttlMs, endsAt: this.#clock() + ttlMs });
    const check = () => {
      this.#expire();
      if (!this.#leases.has(id)) {
        throw new LeaseExpiredError(`lease ${id} has expired`);
      }
    };
    return {
      id,
      keepAlive: async () => {
        check();
        this.#leases.get(id)!.endsAt = this.#clock() + ttlMs;
      },
      revoke: async () => this.#end(id),
    };
  }

  #write(ops: readonly Operation[]): void {
    const revision = this.#revision + 1;
    const events: StoreEvent[] = [];
    for (const op of ops) {
      const before = this.#entries.get(op.key);
      if (op.type === 'put') {
        const { key, lease, value } = op;
        const createRevision = before?.createRevision ?? revision;
        const kept = { key, text: JSON.stringify(value), createRevision, modRevision: revision, lease };
        this.#entries.set(key, kept);
        events.push({ type: 'put', entry: entryOf(kept) });
      } else if (before) {
        this.#entries.delete(op.key);
        events.push({ type: 'delete', key: op.key });
      }
    }
    if (events.length === 0) {
      return;
    }
    this.#revision = revision;
    this.#log.push({ revision, events });
    while (this.#log.length > this.#keep) {
      this.#compacted = this.#log.shift()!.revision;
    }
    for (const open of this.#watches) {
      this.#later(() => this.#tell(open));
    }
  }

  #tell(open: Open): void {
    for (const { revision, events } of this.#log) {
      if (revision < open.next || !this.#watches.has(open)) {
        continue;
      }
      open.next = revision + 1;
      const keyOf = (event: StoreEvent) => (event.type === 'put' ? event.entry.key : event.key);
      const own = events.filter((event) => keyOf(event).startsWith(open.prefix));
      if (own.length > 0) {
        open.watcher.onBatch(own, revision);
      }
    }
  }

  #expire(): void {
    for (const [id, { endsAt }] of this.#leases) {
      if (endsAt <= this.#clock()) {
        this.#end(id);
      }
    }
  }

  #end(lease: string): void {
    this.#leases.delete(lease);
    const own = [...this.#entries.values()].filter((kept) => kept.lease === lease);
    this.#write(own.map(({ key }) => ({ type: 'delete', key })));
  }
}

function entryOf({ key, text, createRevision, modRevision }: Kept): Entry {
  return { key, value: JSON.parse(text), createRevision, modRevision };
}
