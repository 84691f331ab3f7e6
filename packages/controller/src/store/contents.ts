/** All that a store has, apart from its engine: for copies to another store, and for backups. */
import { createHash } from 'node:crypto';
import { awayError, awayOf } from './away.ts';
import { FILLING_KEY, GENERATION_KEY, type GenerationRecord } from './records.ts';
import type { Json, Operation, Snapshot, Store } from './store.ts';

export interface Contents {
  /** Sorted by key. */
  entries: { key: string; value: Json }[];
  /** Revision of the store that had them. */
  revision: number;
}

/** How much one transaction writes: less than etcd takes. */
const MOST_BYTES = 1 << 20;
const MOST_KEYS = 4000;

/** Reads everything at one revision. */
export async function contentsOf(store: { range(prefix: ''): Promise<Snapshot> }): Promise<Contents> {
  const { entries, revision } = await store.range('');
  return {
    entries: entries
      .filter(({ key }) => key !== FILLING_KEY)
      .map(({ key, value, modRevision }) => ({
        key,
        value: key === GENERATION_KEY ? withRevisions(value as GenerationRecord, modRevision) : value,
      })),
    revision,
  };
}

/**
 * The last decisions say which revision they had. In the new store their key gets another one, and
 * the audit log would get their entries twice.
 */
function withRevisions(record: GenerationRecord, revision: number): GenerationRecord {
  return record && { unaudited: record.unaudited.map((one) => ({ revision, ...one })) };
}

/** SHA-256 of all keys and values. */
export function digestOf(entries: Contents['entries']): string {
  const hash = createHash('sha256');
  for (const { key, value } of entries) {
    hash.update(`${JSON.stringify([key, value])}\n`);
  }
  return hash.digest('hex');
}

/**
 * Writes the contents of another store, and reads them back. Until it has ended, no controller
 * starts on this store. An interrupted call can be repeated.
 * @param overwrite true: what is there is removed. False: the store has to be empty
 * @param meanwhile called when the store is marked as incomplete, and before it gets the contents
 * @param filled called when it has them, and before the mark goes
 * @throws Error with a remedy if it is not empty, or has something else afterwards
 */
export async function fill(
  store: Store,
  contents: Contents,
  { overwrite, meanwhile, filled }: { overwrite: boolean; meanwhile?: () => Promise<void>; filled?: () => void },
): Promise<void> {
  const present = (await store.range('')).entries.map(({ key }) => key);
  if (present.length > 0 && !overwrite && !(await isInterrupted(store))) {
    throw new Error(`the store to write has ${present.length} keys: say --overwrite if they may be removed`);
  }
  await store.raiseRevision(contents.revision);
  await write(store, [{ type: 'put', key: FILLING_KEY, value: true }]);
  await meanwhile?.();
  const old = present.filter((key) => key !== FILLING_KEY);
  await write(
    store,
    old.map((key) => ({ type: 'delete', key })),
  );
  await write(
    store,
    contents.entries.map(({ key, value }) => ({ type: 'put', key, value })),
  );
  const there = (await store.range('')).entries.filter(({ key }) => key !== FILLING_KEY);
  if (there.length !== contents.entries.length || digestOf(there) !== digestOf(contents.entries)) {
    throw new Error('the store has other contents than were written to it: is another process writing to it?');
  }
  filled?.();
  await write(store, [{ type: 'delete', key: FILLING_KEY }]);
}

/** @throws Error if there is nothing: it is no store of a controller. @param where, remedy for the operator */
export function requireSome({ entries }: Pick<Contents, 'entries'>, where: string, remedy: string): void {
  if (entries.length === 0) {
    throw new Error(`${where} has no store of a controller, 0 keys: ${remedy} Nothing was changed`);
  }
}

/** Whether `fill` was interrupted. */
export async function isInterrupted(store: Pick<Store, 'get'>): Promise<boolean> {
  return (await store.get(FILLING_KEY)) !== undefined && (await awayOf(store)) === undefined;
}

/** @throws Error with a remedy if `fill` was interrupted, or if the store goes on in a file */
export async function requireWhole(store: Pick<Store, 'get'>): Promise<void> {
  const away = await awayOf(store);
  if (away) {
    throw awayError(away);
  }
  if (await isInterrupted(store)) {
    throw new Error('the store has only a part of a copy or of a backup: run that command again');
  }
}

async function write(store: Store, ops: Operation[]): Promise<void> {
  let next: Operation[] = [];
  let bytes = 0;
  for (const op of ops) {
    const size = op.key.length + (op.type === 'put' ? Buffer.byteLength(JSON.stringify(op.value)) : 0);
    if (next.length > 0 && (next.length === MOST_KEYS || bytes + size > MOST_BYTES)) {
      await store.txn({ compare: [], ops: next });
      next = [];
      bytes = 0;
    }
    next.push(op);
    bytes += size;
  }
  await store.txn({ compare: [], ops: next });
}
