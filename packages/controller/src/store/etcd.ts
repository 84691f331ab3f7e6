/**
 * The store in an etcd cluster, for one controller at a time. Keys are under `/mirrorplane/store/`.
 * What etcd limits is said in `docs/operate.md`.
 */
import { atMost, Serial } from '@mirrorplane/base';
import { Cluster, type EtcdOptions } from './etcd/cluster.ts';
import { EtcdError } from './etcd/errors.ts';
import { Hold, LEADER_KEY } from './etcd/hold.ts';
import { afterPrefix } from './etcd/keys.ts';
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
import { checkSchema, holdSchema } from './etcd/schema.ts';
import { type EtcdOperation, EtcdShared, type FencedWrite } from './etcd/shared.ts';
import { EtcdWatch } from './etcd/watch.ts';
import type {
  Entry,
  Lease,
  Operation,
  Snapshot,
  Store,
  StoreEvent,
  StoreLostError,
  StoreState,
  Transaction,
  Watch,
  Watcher,
} from './store.ts';
import { CompactedError, LeaseExpiredError } from './store.ts';

export interface EtcdStoreOptions extends EtcdOptions {
  /** Number of past revisions that a watch can start from. Default 1000. */
  keepRevisions?: number;
  /** Milliseconds until another controller may take over from one that is gone. Default 10,000. */
  leaseMs?: number;
  /** Called once if another controller may write now. Nothing is written after that. */
  onLost?: (error: StoreLostError) => void;
  /** True: the store is only read, also while a controller has it. Default false. */
  readOnly?: boolean;
  /** The right to write, where it was taken before. Default: it is taken. */
  hold?: Hold;
}

const ROOT = '/mirrorplane/store/';
/** Key of what is added to etcd's revisions: `raiseRevision` writes it. */
const OFFSET_KEY = '/mirrorplane/offset';
/** Keys that one read returns, so that no answer is long. */
const PAGE = 1000;
/** Bytes of values after which the past is dropped though it is short: etcd's database is bounded. */
const PAST_BYTES = 32 << 20;
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
    // Before the right to write is taken: it is not taken from a controller of a newer release.
    await checkSchema(cluster);
    const hold = options.readOnly
      ? undefined
      : (options.hold ?? (await Hold.take(cluster, { ttlMs: leaseMs, onLost })));
    await hold?.required(() => holdSchema(cluster, hold));
    const offset = answers.range(await cluster.ask('range', rangeRequest({ key: OFFSET_KEY }))).entries[0];
    return new EtcdStore({ cluster, hold, keep: keepRevisions, offset: Number(offset?.value ?? 0) });
  } catch (error) {
    cluster.close();
    const where = options.endpoints.join(', ');
    throw new Error(`cannot open the store in etcd (${where}): ${(error as Error).message}`);
  }
}

interface Parts {
  cluster: Cluster;
  /** The right to write. Undefined: the store is only read. */
  hold: Hold | undefined;
  /** Revisions to keep. */
  keep: number;
  /** Revisions of the store are those of etcd and this number. */
  offset: number;
}

class EtcdStore implements Store {
  readonly #cluster: Cluster;
  readonly #hold: Hold | undefined;
  readonly #keep: number;
  #offset: number;
  readonly #serial = new Serial();
  readonly #watches = new Set<Watch>();
  readonly shared: EtcdShared;
  #compacted: number | undefined;
  /** Bytes that were written since the past was dropped. */
  #written = 0;
  #closed = false;

  constructor({ cluster, hold, keep, offset }: Parts) {
    this.#cluster = cluster;
    this.#hold = hold;
    this.#keep = keep;
    this.#offset = offset;
    const write: FencedWrite = async (compare, ops, mark) => {
      this.#checkOpen();
      return this.#write(compare, ops, mark);
    };
    this.shared = new EtcdShared(cluster, write, (watch) => this.#watches.add(watch));
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    const { entries } = answers.range(await this.#cluster.ask('range', rangeRequest({ key: ROOT + key })));
    return entries[0] && this.#entry(entries[0]);
  }

  async range(prefix: string): Promise<Snapshot> {
    this.#checkOpen();
    const end = afterPrefix(ROOT + prefix);
    const entries: Entry[] = [];
    let revision = 0;
    for (let key = ROOT + prefix; ; ) {
      const request = rangeRequest({ key, end, limit: PAGE, revision });
      const page = answers.range(await orCompacted(revision, this.#cluster.ask('range', request)));
      revision ||= page.revision;
      entries.push(...page.entries.map((entry) => this.#entry(entry)));
      if (!page.more) {
        return { entries, revision: revision + this.#offset };
      }
      key = `${page.entries.at(-1)!.key}\0`;
    }
  }

  async txn({ compare, ops }: Transaction) {
    this.#checkOpen();
    if (new Set(ops.map((op) => op.key)).size !== ops.length) {
      throw new Error('a transaction may name a key once');
    }
    return this.#serial.run(async () => {
      const conditions = compare.map(({ key, modRevision }) => ({
        key: ROOT + key,
        modRevision: this.#inEtcd(modRevision),
      }));
      const { ok, revision } = await this.#write(conditions, ops.map(toOperation));
      return { ok, revision: revision + this.#offset };
    });
  }

  async watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch> {
    this.#checkOpen();
    const toEvent = ({ deleted, entry }: { deleted: boolean; entry: KeyValue }): StoreEvent =>
      deleted ? { type: 'delete', key: entry.key.slice(ROOT.length) } : { type: 'put', entry: this.#entry(entry) };
    const range = { key: ROOT + prefix, end: afterPrefix(ROOT + prefix), toEvent };
    const onBatch = (events: StoreEvent[], revision: number) => watcher.onBatch(events, revision + this.#offset);
    const onEnd = (error: Error) => watcher.onEnd(error);
    const from = Math.max(1, fromRevision - this.#offset);
    const watch = new EtcdWatch(this.#cluster, range, from, { onBatch, onEnd });
    this.#watches.add(watch);
    await watch.open();
    return watch;
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#checkOpen();
    const lease = await EtcdLease.grant(this.#cluster, ttlMs);
    return { id: lease.id, revoke: () => lease.revoke(), keepAlive: () => orExpired(lease.id, lease.keepAlive()) };
  }

  async raiseRevision(revision: number): Promise<void> {
    this.#checkOpen();
    const { revision: now } = answers.range(await this.#cluster.ask('range', rangeRequest({ key: OFFSET_KEY })));
    const offset = Math.max(this.#offset, revision - now);
    await this.#cluster.ask('txn', txnRequest([], [operations.put(OFFSET_KEY, String(offset))]));
    this.#offset = offset;
  }

  async state(): Promise<StoreState> {
    return { engine: 'etcd', members: await this.#cluster.members() };
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
    if (this.#hold) {
      await atMost(this.#hold.release(), RELEASE_MS);
    }
    this.#cluster.close();
  }

  #entry({ key, value, createRevision, modRevision }: KeyValue): Entry {
    return {
      key: key.slice(ROOT.length),
      value: JSON.parse(value.toString()),
      createRevision: createRevision + this.#offset,
      modRevision: modRevision + this.#offset,
    };
  }

  /** The revision that etcd knows. 0 is that of an absent key. Older ones than etcd has fit no key. */
  #inEtcd(revision: number): number {
    return revision === 0 ? 0 : revision > this.#offset ? revision - this.#offset : Number.MAX_SAFE_INTEGER;
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
   * @param mark another key for that value. `compare` has its revision then, so that the write is not
   * repeated
   */
  async #write(
    compare: readonly Condition[],
    ops: readonly EtcdOperation[],
    mark = LEADER_KEY,
  ): Promise<{ ok: boolean; revision: number }> {
    const hold = this.#hold;
    if (hold === undefined) {
      throw new Error('the store was opened to read it');
    }
    hold.requireHeld();
    const value = hold.nextValue();
    const isOwn = mark === LEADER_KEY;
    const isPut = !isOwn || ops.some((op) => op.isPut);
    const marked = isOwn ? hold.mark(value) : operations.put(mark, value);
    const success = [...ops.map(({ bytes }) => bytes), ...(isPut ? [marked] : [])];
    const failure = [operations.range({ key: LEADER_KEY }), operations.range(NEWEST), operations.range({ key: mark })];
    const conditions = isOwn ? hold.conditions(value) : [hold.held];
    const request = txnRequest([...conditions, ...compare], nested(success), failure);
    const answer = answers.txn(await orExpired('of a key', this.#cluster.ask('txn', request)));
    const isChanged = answer.ok && (isPut || answer.deleted > 0);
    if (isChanged) {
      await this.#compact(answer.revision, request.length);
      return { ok: true, revision: answer.revision };
    }
    if (answer.ok) {
      return { ok: true, revision: await this.#newest() };
    }
    const [leader, newest, last] = answer.ranges;
    hold.checkFound(leader?.entries[0]);
    const done = last?.entries[0];
    if (done?.value.toString() === value) {
      return { ok: true, revision: done.modRevision };
    }
    return { ok: false, revision: newest!.entries[0]?.modRevision ?? 0 };
  }

  /** Revision of the last write under the root. Others may have written to etcd since. */
  async #newest(): Promise<number> {
    const { entries } = answers.range(await this.#cluster.ask('range', rangeRequest(NEWEST)));
    return entries[0]?.modRevision ?? 0;
  }

  /**
   * Sometimes drops the past that no watch needs: a tenth of it is left when many bytes were
   * written. A failure is harmless: the next one drops more.
   */
  async #compact(revision: number, bytes: number): Promise<void> {
    this.#written += bytes;
    const isLarge = this.#written > PAST_BYTES;
    this.#compacted ??= revision - this.#keep - 1;
    const upTo = revision - Math.ceil(isLarge ? this.#keep / 10 : this.#keep);
    if (upTo > this.#compacted && upTo > 0 && (isLarge || upTo - this.#compacted >= this.#keep / 4)) {
      this.#compacted = upTo;
      this.#written = 0;
      await this.#cluster.ask('compact', compactRequest(upTo)).catch(() => undefined);
    }
  }
}

/** The key that was written last. */
const NEWEST = { key: ROOT, end: afterPrefix(ROOT), limit: 1, keysOnly: true, newestFirst: true };

function toOperation(op: Operation): EtcdOperation {
  const key = ROOT + op.key;
  return op.type === 'put'
    ? { isPut: true, bytes: operations.put(key, JSON.stringify(op.value), leaseNumber(op.lease)) }
    : { isPut: false, bytes: operations.remove(key) };
}

/** @throws LeaseExpiredError where etcd does not know the lease any more */
async function orExpired<T>(lease: string, promise: Promise<T>): Promise<T> {
  return promise.catch((error: unknown) => {
    throw error instanceof EtcdError && isLeaseGone(error)
      ? new LeaseExpiredError(`the lease ${lease} has expired`)
      : error;
  });
}

/** @throws CompactedError where etcd has forgotten the revision between two pages of a read */
async function orCompacted<T>(revision: number, promise: Promise<T>): Promise<T> {
  return promise.catch((error: unknown) => {
    throw error instanceof EtcdError && error.isCompacted
      ? new CompactedError(`revision ${revision} is compacted`)
      : error;
  });
}
