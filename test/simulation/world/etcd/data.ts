/**
 * What an etcd cluster has agreed on: keys with all their versions since the last compaction, leases,
 * and one revision that grows with each change. It passes the contract of all stores, below the real
 * client.
 */

/** A key as it is at one revision. Keys are bytes, one character each, so that they sort as etcd sorts them. */
export interface Version {
  key: string;
  value: Buffer;
  createRevision: number;
  modRevision: number;
  /** 0: none. */
  lease: number;
}

/** What to read. Without `end`: one key. */
export interface Range {
  key: string;
  end: string | undefined;
  /** 0: all. */
  limit: number;
  /** 0: the newest. */
  revision: number;
  newestFirst: boolean;
  keysOnly: boolean;
}

export type Compare = { key: string } & ({ createRevision: number } | { modRevision: number } | { notValue: string });

export type Operation =
  | { type: 'put'; key: string; value: Buffer; lease: number }
  | { type: 'delete'; key: string }
  | { type: 'range'; range: Range }
  | { type: 'txn'; txn: Txn };

export interface Txn {
  compare: readonly Compare[];
  success: readonly Operation[];
  failure: readonly Operation[];
}

export type Result =
  | { type: 'put' }
  | { type: 'delete'; deleted: number }
  | { type: 'range'; found: Found }
  | { type: 'txn'; ok: boolean; results: Result[] };

export interface Found {
  entries: Version[];
  more: boolean;
}

/** One key has changed. Without a value, it is gone. */
export interface Event {
  key: string;
  version: Version | undefined;
}

/** All events of one revision. */
export interface Change<By> {
  revision: number;
  events: readonly Event[];
  /** Who has asked for it. Undefined: a lease has ended. */
  by: By | undefined;
}

/** What etcd refuses, as a status of gRPC. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;
const OUT_OF_RANGE = 11;

interface LeaseRecord {
  ttlMs: number;
  endsAt: number;
}

/** A version, or that there is none since a revision. */
interface Past {
  since: number;
  version: Version | undefined;
}

export interface EtcdDataOptions<By> {
  /** Milliseconds of the clock of the members. */
  clock: () => number;
  /** Runs something after so many milliseconds. */
  after: (ms: number, run: () => void) => void;
  /** Called after each change. */
  changed: (change: Change<By>) => void;
}

/** @typeParam By who asks */
export class EtcdData<By> {
  readonly #options: EtcdDataOptions<By>;
  /** The newest version last. */
  readonly #keys = new Map<string, Past[]>();
  readonly #leases = new Map<number, LeaseRecord>();
  readonly #changes: Change<By>[] = [];
  #revision = 1;
  #compacted = 0;

  constructor(options: EtcdDataOptions<By>) {
    this.#options = options;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The newest version of a key. */
  newest(key: string): Version | undefined {
    return this.#keys.get(key)?.at(-1)?.version;
  }

  /** @throws Refusal if the revision is compacted */
  range({ key, end, limit, revision, newestFirst, keysOnly }: Range): Found {
    if (revision > 0 && revision < this.#compacted) {
      throw new Refusal(OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted');
    }
    const at = revision || this.#revision;
    const found = (end === undefined ? [key] : this.#between(key, end)).flatMap((one) => this.#at(one, at) ?? []);
    found.sort(newestFirst ? (a, b) => b.modRevision - a.modRevision : (a, b) => (a.key < b.key ? -1 : 1));
    const entries = limit > 0 ? found.slice(0, limit) : found;
    return {
      entries: keysOnly ? entries.map((one) => ({ ...one, value: Buffer.alloc(0) })) : entries,
      more: entries.length < found.length,
    };
  }

  /** Carries a transaction out as a whole. @throws Refusal if it names a lease that is not there */
  txn(txn: Txn, by: By): { ok: boolean; results: Result[] } {
    const events: Event[] = [];
    const done = this.#run(txn, events);
    this.#commit(events, by);
    return done;
  }

  /** Changes from a revision on. @returns undefined: they are compacted; the revision that is @see compacted */
  since(revision: number): readonly Change<By>[] | undefined {
    return revision < this.#compacted ? undefined : this.#changes.filter((one) => one.revision >= revision);
  }

  get compacted(): number {
    return this.#compacted;
  }

  /** Forgets what was before a revision. */
  compact(revision: number): void {
    const upTo = Math.min(revision, this.#revision);
    if (upTo <= this.#compacted) {
      throw new Refusal(OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted');
    }
    this.#compacted = upTo;
    while (this.#changes[0] && this.#changes[0].revision < upTo) {
      this.#changes.shift();
    }
    for (const [key, past] of this.#keys) {
      const last = past.findLastIndex(({ since }) => since <= upTo);
      past.splice(0, Math.max(0, last));
      if (past.length === 1 && past[0]!.version === undefined && past[0]!.since <= upTo) {
        this.#keys.delete(key);
      }
    }
  }

  grant(id: number, ttlMs: number): void {
    if (this.#leases.has(id)) {
      throw new Refusal(FAILED_PRECONDITION, 'etcdserver: lease already exists');
    }
    const lease = { ttlMs, endsAt: this.#options.clock() + ttlMs };
    this.#leases.set(id, lease);
    this.#options.after(ttlMs, () => this.#look(id, lease));
  }

  /** @returns milliseconds that it lives; 0: it has ended */
  keepAlive(id: number): number {
    const lease = this.#leases.get(id);
    if (!lease) {
      return 0;
    }
    lease.endsAt = this.#options.clock() + lease.ttlMs;
    return lease.ttlMs;
  }

  /** Milliseconds that a lease has left, and had at first. */
  timeToLive(id: number): { left: number | undefined; granted: number } {
    const lease = this.#leases.get(id);
    return lease
      ? { left: Math.max(0, lease.endsAt - this.#options.clock()), granted: lease.ttlMs }
      : { left: undefined, granted: 0 };
  }

  revoke(id: number): void {
    if (!this.#leases.has(id)) {
      throw new Refusal(NOT_FOUND, 'etcdserver: requested lease not found');
    }
    this.#end(id);
  }

  #look(id: number, lease: LeaseRecord): void {
    const rest = lease.endsAt - this.#options.clock();
    if (this.#leases.get(id) !== lease) {
      return;
    }
    if (rest > 0) {
      this.#options.after(rest, () => this.#look(id, lease));
    } else {
      this.#end(id);
    }
  }

  #end(id: number): void {
    this.#leases.delete(id);
    const events: Event[] = [];
    for (const [key, past] of this.#keys) {
      if (past.at(-1)?.version?.lease === id) {
        this.#set(key, undefined, events);
      }
    }
    this.#commit(events, undefined);
  }

  #run({ compare, success, failure }: Txn, events: Event[]): { ok: boolean; results: Result[] } {
    const ok = compare.every((one) => this.#holds(one));
    const ops = ok ? success : failure;
    const missing = ops.find((op) => op.type === 'put' && op.lease !== 0 && !this.#leases.has(op.lease));
    if (missing) {
      throw new Refusal(NOT_FOUND, 'etcdserver: requested lease not found');
    }
    return { ok, results: ops.map((op) => this.#operate(op, events)) };
  }

  #operate(op: Operation, events: Event[]): Result {
    switch (op.type) {
      case 'put': {
        const { key, value, lease } = op;
        const modRevision = this.#revision + 1;
        const createRevision = this.newest(key)?.createRevision ?? modRevision;
        this.#set(key, { key, value, createRevision, modRevision, lease }, events);
        return { type: 'put' };
      }
      case 'delete': {
        const isThere = this.newest(op.key) !== undefined;
        if (isThere) {
          this.#set(op.key, undefined, events);
        }
        return { type: 'delete', deleted: Number(isThere) };
      }
      case 'range':
        return { type: 'range', found: this.range(op.range) };
      case 'txn':
        return { type: 'txn', ...this.#run(op.txn, events) };
    }
  }

  #holds(compare: Compare): boolean {
    const version = this.newest(compare.key);
    if ('notValue' in compare) {
      // Of a key that is not there, etcd compares no value.
      return version !== undefined && version.value.toString('latin1') !== compare.notValue;
    }
    return 'createRevision' in compare
      ? (version?.createRevision ?? 0) === compare.createRevision
      : (version?.modRevision ?? 0) === compare.modRevision;
  }

  #set(key: string, version: Version | undefined, events: Event[]): void {
    const past = this.#keys.get(key) ?? [];
    past.push({ since: this.#revision + 1, version });
    this.#keys.set(key, past);
    events.push({ key, version });
  }

  #commit(events: readonly Event[], by: By | undefined): void {
    if (events.length > 0) {
      const change = { revision: ++this.#revision, events, by };
      this.#changes.push(change);
      this.#options.changed(change);
    }
  }

  #at(key: string, revision: number): Version | undefined {
    return this.#keys.get(key)?.findLast(({ since }) => since <= revision)?.version;
  }

  #between(key: string, end: string): string[] {
    return [...this.#keys.keys()].filter((one) => one >= key && one < end);
  }
}
