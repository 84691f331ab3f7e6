/**
 * Forgets the latest time that controllers have seen: the way out where a clock was ahead. It is in
 * the data directory, and with etcd also there, from where the next start would take it again.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { syncFolder } from '@mirrorplane/base';
import { LATEST_TIME_FILE } from '../shared/local-files.ts';
import { readMark, requireKey } from '../shared/mark.ts';
import { isMovedFrom, movedElsewhere } from '../shared/moving.ts';
import { SharedFiles } from '../shared/shared-files.ts';
import { SharedWriter } from '../shared/writer.ts';
import type { Json, Store } from '../store/store.ts';
import { type Author, author, type NoteParts, tellNote } from './notes.ts';

const RESET_KEY = 'meta/timeReset';

interface ResetRecord extends Author {
  /** The time that was forgotten, and when that was by the clock of the host. ISO 8601. */
  was: string;
  at: string;
}

/**
 * Removes the latest time from the data directory and from the store, and notes it there.
 * @returns the time, ISO 8601. Undefined: none was kept, and nothing is changed
 * @throws Error with a remedy if `cluster.key` is missing or another one; nothing is changed then
 */
export async function resetTime(data: string, store: Store, now: Date): Promise<string | undefined> {
  const shared = await sharedFiles(data, store);
  const file = path.join(data, LATEST_TIME_FILE);
  const kept = [readIfThere(file), shared?.contents.get(LATEST_TIME_FILE)].filter((time) => time !== undefined);
  const was = kept
    .map((time) => time.trim())
    .sort()
    .at(-1);
  if (was === undefined) {
    return undefined;
  }
  const record: ResetRecord = { was, at: now.toISOString(), ...author() };
  // The note first: what follows can be repeated.
  await store.txn({ compare: [], ops: [{ type: 'put', key: RESET_KEY, value: record as unknown as Json }] });
  await shared?.write({ [LATEST_TIME_FILE]: undefined });
  rmSync(file, { force: true });
  syncFolder(data);
  return was;
}

/** Tells in the audit log that the latest time was forgotten, if nobody has told it. */
export function tellTimeReset(parts: NoteParts): Promise<void> {
  return tellNote<ResetRecord>(RESET_KEY, parts, ({ was, at, host, user }) => ({
    action: 'remove',
    resource: 'store/latest-time',
    detail: `${user} on host ${host} has removed the latest time seen, ${was}, at ${at}: tokens, sessions and policies end by the clock of the host again`,
  }));
}

/** The files that controllers share. Undefined: they are in the data directory alone. */
async function sharedFiles(data: string, { shared: space }: Store): Promise<SharedFiles | undefined> {
  const mark = space && (await readMark(space));
  if (mark === undefined) {
    return undefined;
  }
  if (mark.state === 'moving') {
    if (!isMovedFrom(data, mark)) {
      throw movedElsewhere(mark);
    }
    // The next start moves the files of this directory.
    return undefined;
  }
  return SharedFiles.open(new SharedWriter(space!), requireKey(data, mark), []);
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
