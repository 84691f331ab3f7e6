/**
 * Keeps other controllers away from an embedded store, and lets backups read it. The kernel frees
 * the lock when the process ends in any way.
 */
import { closeSync, fchownSync, openSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Milliseconds that a lock of a process that is about to end is waited for. */
const WAIT_MS = 1000;

/**
 * Takes the lock of a store: a second controller on the same file would plan without the first
 * one's knowledge.
 * @param file of the store
 * @returns the function that frees it
 * @throws Error of SQLite that says `locked` if another process has it
 */
export function lockSqlite(file: string): () => void {
  const lock = `${file}-lock`;
  makeFile(lock);
  const db = new DatabaseSync(lock, { timeout: WAIT_MS });
  try {
    // The transaction never ends, and writes nothing.
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    throw error;
  }
  return () => db.close();
}

/**
 * A command that root runs leaves a file that the controller can use, as SQLite does. One that is
 * there keeps its owner: it may be a link to a file of another user.
 */
function makeFile(file: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      return;
    }
    throw error;
  }
  if (process.geteuid?.() === 0) {
    const { uid, gid } = statSync(path.dirname(file));
    fchownSync(descriptor, uid, gid);
  }
  closeSync(descriptor);
}
