/**
 * The store in an etcd cluster, for one controller at a time. Keys are under `/mirrorplane/store/`.
 * What etcd limits is said in `docs/operate.md`.
 */
import { atMost, Serial } from '@mirrorplane/base';
import { Cluster, type EtcdOptions } from './etcd/cluster.ts';
import { EtcdError } from './etcd/errors.ts';
import { Hold, LEADER_KEY } from './etcd/hold.ts';
import { EtcdLease, isLeaseGone, leaseNumber } from './etcd/lease.ts';
import {
  answers,
  type Condition,
  compactRequest,
  type KeyValue,
  operations,
  rangeRequest,
  txnRequest,
} from './etcd/messages.ts';
import { nested } from './etcd/nested.ts';
import { EtcdWatch } from './etcd/watch.ts';
import type { Entry, Lease, Operation, Snapshot, Store, StoreLostError, Transaction, Watch, Watcher } from './store.ts';
import { LeaseExpiredError } from './store.ts';

export interface EtcdStoreOptions extends EtcdOptions {
  /** Number of past revisions that a watch can start from. Default 1000. */
  keepRevisions?: number;
  /** Milliseconds until another controller may take over from one that is gone. Default 10,000. */
  leaseMs?: number;
  /** Called once if another controller may write now. Nothing is written after that. */
  onLost?: (error: StoreLostError) => void;
}

const ROOT = '/mirrorplane/store/';
/** Keys that one read returns, so that no answer is long. */
const PAGE = 1000;
/** Milliseconds that giving the right to write back may take. Without it, it expires. */
const RELEASE_MS = 2000;

/**
 * Connects to etcd.
 * @throws Error with a message for the operator if no member answers, etcd refuses, or another
 * controller uses the store
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const cluster = new Cluster(options);
  const { leaseMs = 10_000, onLost = () => undefined, keepRevisions = 1000 } = options;
  try {
    return new EtcdStore(cluster, await Hold.take(cluster, leaseMs, onLost), keepRevisions);
  } catch (error) {
    cluster.close();
    const where = options.endpoints.join(', ');
    throw new Error(`cannot open the store in etcd (${where}): ${(error as Error).message}`);
  }
}

class EtcdStore implements Store {
  readonly #cluster: Cluster;
  readonly #hold: Hold;
  readonly #keep: number;
  readonly #serial = new Serial();
  readonly #watches = new Set<EtcdWatch>();
  #compacted: number | undefined;
  #closed = false;

  constructor(cluster: Cluster, hold: Hold, keep: number) {
    this.#cluster = cluster;
    this.#hold = hold;
    this.#keep = keep;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    const { entries } = answers.range(await this.#cluster.ask('range', rangeRequest({ key: ROOT + key })));
    return entries[0] && toEntry(entries[0]);
  }

  async range(prefix: string): Promise<Snapshot> {
    this.#checkOpen();
    const end = afterPrefix(ROOT + prefix);
    const entries: Entry[] = [];
    let revision = 0;
    for (let key = ROOT + prefix; ; ) {
      const request = rangeRequest({ key, end, limit: PAGE, revision });
      const page = answers.range(await this.#cluster.ask('range', request));
      revision ||= page.revision;
      entries.push(...page.entries.map(toEntry));
      if (!page.more) {
        return { entries, revision };
      }
      key = `${page.entries.at(-1)!.key}\0`;
    }
  }

  async txn(transaction: Transaction) {
    this.#checkOpen();
    const { ops } = transaction;
    if (new Set(ops.map((op) => op.key)).size !== ops.length) {
      throw new Error('a transaction may name a key once');
    }
    return this.#serial.run(() => this.#write(transaction));
  }

  async watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch> {
    this.#checkOpen();
    const range = { key: ROOT + prefix, end: afterPrefix(ROOT + prefix), toEvent };
    const watch = new EtcdWatch(this.#cluster, range, fromRevision, watcher);
    this.#watches.add(watch);
    await watch.open();
    return watch;
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#checkOpen();
    const lease = await EtcdLease.grant(this.#cluster, ttlMs);
    return { id: lease.id, revoke: () => lease.revoke(), keepAlive: () => orExpired(lease.id, lease.keepAlive()) };
  }

  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    for (const watch of this.#watches) {
      watch.close();
    }
    await this.#serial.settled();
    await atMost(this.#hold.release(), RELEASE_MS);
    this.#cluster.close();
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new Error('the store is closed');
    }
  }

  /**
   * Writes exactly once. If an answer gets lost, the request is repeated; the value of the leader's
   * key tells then whether the first one was carried out. A transaction that only deletes does not
   * write that key, because it may change nothing: deleting twice is as deleting once.
   */
  async #write({ compare, ops }: Transaction): Promise<{ ok: boolean; revision: number }> {
    this.#hold.requireHeld();
    const value = this.#hold.nextValue();
    const conditions: Condition[] = [
      ...this.#hold.conditions(value),
      ...compare.map(({ key, modRevision }) => ({ key: ROOT + key, modRevision })),
    ];
    const success = [
      ...ops.map(toOperation),
      ...(ops.some(({ type }) => type === 'put') ? [this.#hold.mark(value)] : []),
    ];
    const failure = [operations.range({ key: LEADER_KEY }), operations.range(NEWEST)];
    const request = txnRequest(conditions, nested(success), failure);
    const answer = answers.txn(await orExpired('of a key', this.#cluster.ask('txn', request)));
    const isChanged = answer.ok && (ops.some(({ type }) => type === 'put') || answer.deleted > 0);
    if (isChanged) {
      await this.#compact(answer.revision);
      return { ok: true, revision: answer.revision };
    }
    if (answer.ok) {
      return { ok: true, revision: await this.#newest() };
    }
    const [leader, newest] = answer.ranges;
    this.#hold.checkFound(leader?.entries[0]);
    if (leader!.entries[0]!.value.toString() === value) {
      return { ok: true, revision: leader!.entries[0]!.modRevision };
    }
    return { ok: false, revision: newest!.entries[0]?.modRevision ?? 0 };
  }

  /** Revision of the last write under the root. Others may have written to etcd since. */
  async #newest(): Promise<number> {
    const { entries } = answers.range(await this.#cluster.ask('range', rangeRequest(NEWEST)));
    return entries[0]?.modRevision ?? 0;
  }

  /** Sometimes drops the past that no watch needs. A failure is harmless: the next one drops more. */
  async #compact(revision: number): Promise<void> {
    this.#compacted ??= revision - this.#keep - 1;
    const upTo = revision - this.#keep;
    if (upTo > 0 && upTo - this.#compacted >= this.#keep / 4) {
      this.#compacted = upTo;
      await this.#cluster.ask('compact', compactRequest(upTo)).catch(() => undefined);
    }
  }
}

/** The key that was written last. */
const NEWEST = { key: ROOT, end: afterPrefix(ROOT), limit: 1, keysOnly: true, newestFirst: true };

/** The first key behind all keys that begin with `prefix`. No byte of UTF-8 is 255. */
function afterPrefix(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1]! += 1;
  return end;
}

function toEntry({ key, value, createRevision, modRevision }: KeyValue): Entry {
  return { key: key.slice(ROOT.length), value: JSON.parse(value.toString()), createRevision, modRevision };
}

function toEvent({ deleted, entry }: { deleted: boolean; entry: KeyValue }) {
  return deleted
    ? { type: 'delete' as const, key: entry.key.slice(ROOT.length) }
    : { type: 'put' as const, entry: toEntry(entry) };
}

function toOperation(op: Operation): Buffer {
  const key = ROOT + op.key;
  return op.type === 'put'
    ? operations.put(key, JSON.stringify(op.value), leaseNumber(op.lease))
    : operations.remove(key);
}

/** @throws LeaseExpiredError where etcd does not know the lease any more */
async function orExpired<T>(lease: string, promise: Promise<T>): Promise<T> {
  return promise.catch((error: unknown) => {
    throw error instanceof EtcdError && isLeaseGone(error)
      ? new LeaseExpiredError(`the lease ${lease} has expired`)
      : error;
  });
}
