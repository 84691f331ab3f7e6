/**
 * What the shared space says of itself: whether controllers share their files by it, and with which
 * key its values are sealed.
 */
import { hostname } from 'node:os';
import path from 'node:path';
import { type Away, awayError } from '../store/away.ts';
import { allEntries } from '../store/shared-space.ts';
import type { SharedOperation, SharedRange, SharedSpace } from '../store/store.ts';
import { clusterKeyFile } from '../store/store-file.ts';
import { ClusterKey, writeClusterKey } from './cluster-key.ts';

export const MARK_KEY = 'about';
/** Sealed, so that a key is known to be the right one. */
const CHECKED = 'mirrorplane';

export interface Mark {
  /**
   * `moving`: files of one data directory are on their way, or are to be. `shared`: all are there.
   * `away`: the store goes on in a file, at `data` on `host`.
   */
  state: 'moving' | 'shared' | 'away';
  /** Of `moving`: which data directory that is (`isMovedFrom`). */
  id?: string;
  /** Of `away`: since when. ISO 8601. */
  at?: string;
  /** Host and data directory of the controller that began. It has the key. */
  host: string;
  data: string;
  /** What was moved, and is not in the audit log yet. */
  moved?: string;
  /** Sealed with the key that seals. Left out where it is written first. */
  check?: string;
  /** Sealed with the key before: some values may be so, too. Absent: none are. */
  former?: string;
}

/** As it is in the store. */
export interface StoredMark extends Mark {
  check: string;
}

/** Undefined: nothing is shared yet. */
export async function readMark(space: SharedSpace, range: SharedRange = {}): Promise<StoredMark | undefined> {
  const found = (await allEntries(space, MARK_KEY, range)).find(({ key }) => key === MARK_KEY);
  return found && parseMark(found.value);
}

/** Reads what `markOperation` has written. */
export function parseMark(value: Buffer): StoredMark {
  return JSON.parse(value.toString()) as StoredMark;
}

/** @throws Error for an operator if the store goes on in a file */
export function requireHere(mark: Mark | undefined): void {
  if (mark?.state === 'away') {
    throw awayError(mark as Mark & Away);
  }
}

/** The operation that writes it. A `check` that it has stays. */
export function markOperation(key: ClusterKey, mark: Mark): SharedOperation {
  const stored: StoredMark = { ...mark, check: mark.check ?? checkOf(key) };
  return { type: 'put', key: MARK_KEY, value: Buffer.from(JSON.stringify(stored)) };
}

/** A text by which a key is known to be the right one. */
export function checkOf(key: ClusterKey): string {
  return key.seal(MARK_KEY, CHECKED).toString('base64');
}

/** Whether the first key of a controller is the one that seals, and no value is sealed with another one. */
export function isSealedBy(key: ClusterKey, { check, former }: StoredMark): boolean {
  return former === undefined && key.hasSealed(MARK_KEY, Buffer.from(check, 'base64'));
}

/**
 * The key of this controller for what is shared. A next key is the first one of it as soon as another
 * controller has sealed with it.
 * @throws Error that says what to copy from where, if there is none, or another one
 */
export function requireKey(data: string, { host, data: where, check, former }: StoredMark): ClusterKey {
  const file = clusterKeyFile(data);
  const isHere = host === hostname() && path.resolve(data) === where;
  const source = isHere
    ? 'cluster.key from your safe place, or from another controller of this cluster,'
    : `${clusterKeyFile(where)} of the host ${host}, or of any other controller of this cluster,`;
  const lost = isHere ? '. If it is lost everywhere, restore a backup' : '';
  const remedy = `copy ${source} to ${file} (mode 0600), and start again${lost}. Nothing was changed`;
  const key = ClusterKey.read(data);
  if (key === undefined) {
    throw new Error(`there is no ${file}, and the store in etcd is sealed with one: ${remedy}`);
  }
  for (const text of [check, ...(former === undefined ? [] : [former])]) {
    try {
      key.open(MARK_KEY, Buffer.from(text, 'base64'));
    } catch {
      throw new Error(`${file} is not the key that the store in etcd is sealed with: ${remedy}`);
    }
  }
  return inUse(key, check);
}

/** A key in the order of a cluster. @param check of its mark */
function inUse(key: ClusterKey, check: string): ClusterKey {
  const isNextUsed = key.hasNext && !key.hasSealed(MARK_KEY, Buffer.from(check, 'base64'));
  return isNextUsed ? key.withNextFirst() : key;
}

/** Leaves only the key that seals in `cluster.key`, if no value needs the one before. A file that may not be written stays. */
export function dropFormerKey(data: string, mark: StoredMark): void {
  const found = ClusterKey.read(data);
  const key = found && inUse(found, mark.check);
  if (key?.hasFormer && isSealedBy(key, mark)) {
    try {
      writeClusterKey(data, key.textAlone());
    } catch {
      // It opens the same values.
    }
  }
}
