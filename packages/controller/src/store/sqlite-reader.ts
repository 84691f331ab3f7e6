/** Reads an embedded store that a controller may be using. It goes on writing meanwhile. */
import { DatabaseSync } from 'node:sqlite';
import { requireSchema } from './schema.ts';
import { type Row, toEntry } from './sqlite-rows.ts';
import type { Entry, Snapshot } from './store.ts';

/** Milliseconds that a controller that opens or closes the store is waited for. */
const WAIT_MS = 5000;

/** What a backup needs of a store. */
export interface StoreReader {
  get(key: string): Promise<Entry | undefined>;
  range(prefix: ''): Promise<Snapshot>;
  close(): Promise<void>;
}

/** @throws Error with a message for the operator if it cannot be read */
export function openSqliteReader(file: string): StoreReader {
  const db = new DatabaseSync(file, { timeout: WAIT_MS });
  try {
    return reader(db);
  } catch (error) {
    db.close();
    const { message } = error as Error;
    const remedy = /locked|busy/i.test(message) ? '; a controller of an earlier release has to be stopped first' : '';
    throw new Error(`cannot read the store ${file}: ${message}${remedy}`);
  }
}

function reader(db: DatabaseSync): StoreReader {
  const meta = db.prepare('SELECT value FROM meta WHERE name = ?');
  const numberOf = (name: string) => Number(meta.get(name)?.value ?? 0);
  requireSchema(numberOf('schema'));
  const one = db.prepare('SELECT key, value, created, modified FROM entries WHERE key = ?');
  const all = db.prepare('SELECT key, value, created, modified FROM entries ORDER BY key');
  return {
    async get(key) {
      const row = one.get(key) as unknown as Row | undefined;
      return row && toEntry(row);
    },
    async range() {
      // One snapshot. It ends at once: while it lasts, the log of the store cannot be shortened.
      db.exec('BEGIN');
      try {
        const rows = all.all() as unknown as Row[];
        return { entries: rows.map(toEntry), revision: numberOf('revision') };
      } finally {
        db.exec('COMMIT');
      }
    },
    close: async () => db.close(),
  };
}
