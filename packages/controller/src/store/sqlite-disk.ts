/** What the SQLite engine knows of the disk that has its file. */
import { statfsSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreDiskError } from './store.ts';

/** Result codes of SQLite (https://sqlite.org/rescode.html) that come from the disk. */
const CODES = { readOnly: 8, io: 10, full: 13, cannotOpen: 14 };
/** Bytes that have to be free again: a single page may fit where a change does not. */
const ROOM_BYTES = 1 << 20;

export class SqliteDisk {
  readonly #folder: string;
  readonly #probe: StatementSync;
  /** Why nothing can be written, with a remedy. Undefined: the last write has not failed by the disk. */
  fault: string | undefined;

  /** @param db has the table of numbers */
  constructor(file: string, db: DatabaseSync) {
    this.#folder = path.dirname(path.resolve(file));
    // Another value each time: SQLite does not write one that is there.
    this.#probe = db.prepare("INSERT INTO meta VALUES ('probe', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1");
  }

  /** A write has failed. @returns the error to throw: one of the disk has a remedy */
  failed(error: unknown): unknown {
    const code = Number((error as { errcode?: number }).errcode ?? 0) & 0xff;
    if (!Object.values(CODES).includes(code)) {
      return error;
    }
    const { message } = error as Error;
    const isFull = code === CODES.full;
    const outcome = isFull ? 'nothing was changed' : 'whether the change was made is not known';
    const remedy = `${isFull ? 'make room in' : 'mend the disk of'} ${this.#folder} on the host of the controller, and try again`;
    this.fault = `the store cannot be written (${message}): ${remedy}`;
    return new StoreDiskError(`the store cannot be written (${message}), and ${outcome}: ${remedy}`, { cause: error });
  }

  /** The fault, if it still lasts: a small write is tried. */
  look(): string | undefined {
    if (this.fault !== undefined && this.#hasRoom()) {
      try {
        this.#probe.run();
        this.fault = undefined;
      } catch {
        // It lasts.
      }
    }
    return this.fault;
  }

  #hasRoom(): boolean {
    try {
      const { bavail, bsize } = statfsSync(this.#folder);
      return bavail * bsize >= ROOM_BYTES;
    } catch {
      return false;
    }
  }
}
