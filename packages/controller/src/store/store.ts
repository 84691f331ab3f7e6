/**
 * What the controller keeps, modelled on etcd: keys with JSON values, one revision that grows with every transaction
 * that changes something, compare-and-swap transactions, watches from a revision, and leases. `sqlite.ts` is the engine
 * for one machine. Every engine passes `test/store/contract.ts`.
 */

/** A value that JSON can carry. */
export type Json = unknown;

/** A key as it was at some revision. */
export interface Entry {
  key: string;
  value: Json;
  /** Revision of the transaction that made the key. */
  createRevision: number;
  /** Revision of the transaction that wrote the key last. */
  modRevision: number;
}

/** All entries under a prefix, as they were together at `revision`, in the order of their keys. */
export interface Snapshot {
  entries: Entry[];
  revision: number;
}

/** True where the key was written last at `modRevision`; 0: where it does not exist. */
export interface Compare {
  key: string;
  modRevision: number;
}

/** Deleting a key that does not exist changes nothing. `lease`: the key goes when that lease goes. */
export type Operation = { type: 'put'; key: string; value: Json; lease?: string } | { type: 'delete'; key: string };

/** Operations that happen together, or not at all where one comparison does not hold. */
export interface Transaction {
  compare: readonly Compare[];
  ops: readonly Operation[];
}

/** `revision` is that of the store after the transaction: a new one where `ok` and something was changed. */
export interface TransactionResult {
  ok: boolean;
  revision: number;
}

/** A change of one key. A batch holds all changes that one transaction made under the prefix of the watch. */
export type StoreEvent = { type: 'put'; entry: Entry } | { type: 'delete'; key: string };

/** Where a watch hands over what it sees. */
export interface Watcher {
  /** Called once a transaction, in the order of revisions, without a gap. */
  onBatch(events: StoreEvent[], revision: number): void;
  /** The watch ended: it fell behind the compaction, or the engine failed. Take a new snapshot and watch again. */
  onEnd(error: Error): void;
}

/** A running watch. */
export interface Watch {
  close(): void;
}

/** Keys put with the lease vanish when it is not kept alive for its time to live. */
export interface Lease {
  id: string;
  /** Starts the time to live again. @throws LeaseExpiredError where it has run out already. */
  keepAlive(): Promise<void>;
  /** Deletes the lease and its keys now. */
  revoke(): Promise<void>;
}

/** The revision that a watch asked for is no longer kept. */
export class CompactedError extends Error {
  override name = 'CompactedError';
}

/** The lease has run out, or was revoked. */
export class LeaseExpiredError extends Error {
  override name = 'LeaseExpiredError';
}

export interface Store {
  get(key: string): Promise<Entry | undefined>;
  range(prefix: string): Promise<Snapshot>;
  /** An acknowledged transaction survives the end of the process at any moment, and the loss of power. */
  txn(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Follows all changes of keys under `prefix`, the first of them those of `fromRevision`. With `snapshot.revision + 1`
   * nothing is lost between a snapshot and the watch. @throws CompactedError where that revision is not kept any more.
   */
  watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch>;
  /** @param ttlMs time to live in milliseconds, at least 1. */
  lease(ttlMs: number): Promise<Lease>;
  /** Ends all watches without a word and lets go of the engine. Idempotent. */
  close(): Promise<void>;
}
