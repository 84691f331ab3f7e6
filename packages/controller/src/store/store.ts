/**
 * Interface of the store, modelled on etcd: keys with JSON values, one revision that grows with
 * every changing transaction, compare-and-swap transactions, watches from a revision, and leases.
 * `sqlite.ts` is the engine for one machine, `etcd.ts` keeps the data in an etcd cluster. Every
 * engine passes `test/store/contract.ts`.
 */

/** A JSON value. */
export type Json = unknown;

/** A key and its value at one revision. */
export interface Entry {
  key: string;
  value: Json;
  /** Revision of the transaction that created the key. */
  createRevision: number;
  /** Revision of the transaction that wrote the key last. */
  modRevision: number;
}

/** All entries under a prefix at `revision`, sorted by key. */
export interface Snapshot {
  entries: Entry[];
  revision: number;
}

/** True if the last write of the key was at `modRevision`. 0: if the key does not exist. */
export interface Compare {
  key: string;
  modRevision: number;
}

/** Deleting an absent key changes nothing. `lease`: the key is deleted when the lease ends. */
export type Operation = { type: 'put'; key: string; value: Json; lease?: string } | { type: 'delete'; key: string };

/** Operations that are carried out together, or not at all if one comparison is false. */
export interface Transaction {
  compare: readonly Compare[];
  ops: readonly Operation[];
}

/** `revision` of the store after the transaction. It is new if `ok` and something was changed. */
export interface TransactionResult {
  ok: boolean;
  revision: number;
}

/**
 * A change of one key. A batch has all changes of one transaction under the prefix of the watch.
 */
export type StoreEvent = { type: 'put'; entry: Entry } | { type: 'delete'; key: string };

/** Callbacks of a watch. */
export interface Watcher {
  /** Called once for each transaction, in order of revisions, without a gap. */
  onBatch(events: StoreEvent[], revision: number): void;
  /**
   * The watch has ended: its revisions were compacted, or the engine failed. Take a new snapshot,
   * and watch again.
   */
  onEnd(error: Error): void;
}

/** The engine, for operators. */
export interface StoreState {
  engine: 'file' | 'etcd';
  /** Members of etcd. `answers`: within a second, and it reaches most of them. */
  members: { url: string; answers: boolean }[];
  /** Why nothing can be written, with a remedy. Absent: nothing is known of that. */
  fault?: string;
}

/** A running watch. */
export interface Watch {
  close(): void;
}

/** A lease. Its keys are deleted if it is not kept alive within its time to live. */
export interface Lease {
  id: string;
  /** Restarts the time to live. @throws LeaseExpiredError if the lease has expired */
  keepAlive(): Promise<void>;
  /** Deletes the lease and its keys now. */
  revoke(): Promise<void>;
}

/** The start revision of a watch is no longer stored. */
export class CompactedError extends Error {
  override name = 'CompactedError';
}

/** The lease has expired, or was revoked. */
export class LeaseExpiredError extends Error {
  override name = 'LeaseExpiredError';
}

/**
 * The engine cannot be reached, or has no majority. Whether a transaction was carried out is not
 * known.
 */
export class StoreUnavailableError extends Error {
  override name = 'StoreUnavailableError';
}

/** The disk of the engine is full, or broken. Its message says so, and what to do. */
export class StoreDiskError extends Error {
  override name = 'StoreDiskError';
}

/** Another controller has taken the store over. This one cannot write to it any more. */
export class StoreLostError extends Error {
  override name = 'StoreLostError';
}

/** A key and its bytes. Revisions are those of the engine. */
export interface SharedEntry {
  key: string;
  /** Empty where only keys were asked for. */
  value: Buffer;
  modRevision: number;
}

/** Deleting an absent key changes nothing. */
export type SharedOperation = { type: 'put'; key: string; value: Buffer } | { type: 'delete'; key: string };

/** What to read. */
export interface SharedRange {
  /** The first key. Default: the first one with the prefix. */
  from?: string;
  keysOnly?: boolean;
  /** Of the engine. Default: the newest. */
  revision?: number;
}

/**
 * Bytes that controllers share beside the records of the store. The view neither reads nor watches
 * them. Only an engine that several controllers can reach has such a space.
 */
export interface SharedSpace {
  /**
   * Entries under a prefix in the order of their keys, as they are at one revision, read piece by
   * piece. @throws Error if the revision is no longer stored
   */
  entries(prefix: string, range?: SharedRange): AsyncGenerator<SharedEntry>;
  /** The revision of the engine now. */
  revision(): Promise<number>;
  /**
   * As that of the store: it is carried out once, and only while this controller may write. It also
   * writes `WRITES_KEY`, of which `compare` has the revision, and does not wait for writes to the
   * store.
   */
  txn(transaction: {
    compare: readonly Compare[];
    ops: readonly SharedOperation[];
  }): Promise<{ ok: boolean; revision: number }>;
  /** As that of the store. Values are buffers. */
  watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch>;
}

export interface Store {
  /** Bytes that controllers share. Undefined: the engine is of one controller. */
  readonly shared?: SharedSpace;
  get(key: string): Promise<Entry | undefined>;
  range(prefix: string): Promise<Snapshot>;
  /**
   * Carries out a transaction. An acknowledged transaction survives a crash and a power failure.
   */
  txn(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Follows all changes of keys under `prefix` from `fromRevision` on. With `snapshot.revision +
   * 1`, no change between snapshot and watch is lost. @throws CompactedError if this revision is no
   * longer stored
   */
  watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch>;
  /** @param ttlMs time to live in milliseconds, at least 1. */
  lease(ttlMs: number): Promise<Lease>;
  /**
   * Every later transaction gets a higher revision than this one. For contents of another store: no
   * revision means two things. Nobody may watch.
   */
  raiseRevision(revision: number): Promise<void>;
  /** Asks each part of the engine. Takes a second at most. Never rejects. */
  state(): Promise<StoreState>;
  /** Ends all watches without a callback, and closes the engine. Idempotent. */
  close(): Promise<void>;
}
