/**
 * Bytes that controllers share beside the records of the store. The view neither reads nor watches
 * them. Only an engine that several controllers can reach has such a space.
 */
import type { Compare, Watch, Watcher } from './store.ts';

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

export interface SharedSpace {
  /**
   * Entries under a prefix in the order of their keys, as they are at one revision, read piece by
   * piece. @throws Error if the revision is no longer stored
   */
  entries(prefix: string, range?: SharedRange): AsyncGenerator<SharedEntry>;
  /** The revision of the engine now. */
  revision(): Promise<number>;
  /** As that of the store: it is carried out once, and only while this controller may write. */
  txn(transaction: {
    compare: readonly Compare[];
    ops: readonly SharedOperation[];
  }): Promise<{ ok: boolean; revision: number }>;
  /** As that of the store. Values are buffers. */
  watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch>;
}

/** All entries under a prefix. */
export async function allEntries(space: SharedSpace, prefix: string, range?: SharedRange): Promise<SharedEntry[]> {
  const found: SharedEntry[] = [];
  for await (const entry of space.entries(prefix, range)) {
    found.push(entry);
  }
  return found;
}
