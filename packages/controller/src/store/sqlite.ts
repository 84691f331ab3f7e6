/** The embedded engine of the store: one SQLite file, for one controller. */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { requireSchema, SCHEMA } from './schema.ts';
import { SqliteDisk } from './sqlite-disk.ts';
import { SqliteLeases } from './sqlite-leases.ts';
import { lockSqlite } from './sqlite-lock.ts';
import { type Row, toEntry } from './sqlite-rows.ts';
import { SqliteWatches } from './sqlite-watches.ts';
import type { Entry, Lease, Operation, Snapshot, Store, StoreState, Transaction, Watch, Watcher } from './store.ts';
import { CompactedError } from './store.ts';

/** Options of the engine. */
export interface SqliteOptions {
  /** Number of past revisions that a watch can start from. Default 256. */
  keepRevisions?: number;
}

const TABLES = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  key TEXT PRIMARY KEY, value TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL, lease TEXT);
CREATE INDEX IF NOT EXISTS entries_lease ON entries (lease) WHERE lease IS NOT NULL;
-- One row a changed key. A null value is a deletion.
CREATE TABLE IF NOT EXISTS log (
  revision INTEGER NOT NULL, key TEXT NOT NULL, value TEXT, created INTEGER NOT NULL, PRIMARY KEY (revision, key));
CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, ttl INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('revision', 0), ('compacted', 0), ('schema', ${SCHEMA});
`;

/** The smallest text above all texts that begin with `prefix`. Undefined if there is none. */
function afterPrefix(prefix: string): string | undefined {
  return prefix === '' ? undefined : `${prefix}\u{10ffff}`;
}

/**
 * Opens the file, or makes it.
 * @throws Error with a message for the operator if the file cannot be used:
 * another process has it open, it is damaged, or its folder is not writable
 */
export function openSqliteStore(file: string, options: SqliteOptions = {}): Store {
  let db: DatabaseSync | undefined;
  let unlock: (() => void) | undefined;
  try {
    unlock = lockSqlite(file);
    // SQLite gives its additional files the same mode.
    closeSync(openSync(file, 'a', 0o600));
    db = new DatabaseSync(file, { timeout: 1000 });
    // Each change is synced. Backups read meanwhile, which no other mode allows.
    const mode = db.prepare('PRAGMA journal_mode = WAL').get()!.journal_mode;
    if (mode !== 'wal') {
      throw new Error(`its file system has no memory that processes share (journal_mode ${mode})`);
    }
    db.exec('PRAGMA synchronous = FULL;');
    db.exec(`BEGIN IMMEDIATE; ${TABLES} COMMIT;`);
    return new SqliteStore(file, db, unlock, options.keepRevisions ?? 256);
  } catch (error) {
    db?.close();
    unlock?.();
    const { message } = error as Error;
    if (/locked|busy/i.test(message)) {
      throw new Error(`another process uses the store ${file}; stop that controller first`);
    }
    throw new Error(`cannot open the store ${file}: ${message}`);
  }
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #unlock: () => void;
  readonly #keep: number;
  readonly #sql;
  readonly #watches: SqliteWatches;
  readonly #leases: SqliteLeases;
  readonly #disk: SqliteDisk;
  #revision: number;
  #compacted: number;
  #closed = false;

  constructor(file: string, db: DatabaseSync, unlock: () => void, keep: number) {
    this.#db = db;
    this.#unlock = unlock;
    this.#keep = keep;
    this.#sql = {
      get: db.prepare('SELECT key, value, created, modified FROM entries WHERE key = ?'),
      all: db.prepare('SELECT key, value, created, modified FROM entries ORDER BY key'),
      range: db.prepare('SELECT key, value, created, modified FROM entries WHERE key >= ? AND key < ? ORDER BY key'),
      put: db.prepare(
        `INSERT INTO entries (key, value, created, modified, lease) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified, lease = excluded.lease`,
      ),
      remove: db.prepare('DELETE FROM entries WHERE key = ?'),
      log: db.prepare('INSERT OR REPLACE INTO log (revision, key, value, created) VALUES (?, ?, ?, ?)'),
      compact: db.prepare('DELETE FROM log WHERE revision <= ?'),
      setMeta: db.prepare('UPDATE meta SET value = ? WHERE name = ?'),
    };
    this.#disk = new SqliteDisk(file, db);
    const meta = new Map<string, number>();
    for (const row of db.prepare('SELECT name, value FROM meta').all()) {
      meta.set(String(row.name), Number(row.value));
    }
    requireSchema(meta.get('schema') ?? 0);
    this.#revision = meta.get('revision') ?? 0;
    this.#compacted = meta.get('compacted') ?? 0;
    this.#watches = new SqliteWatches(db, this.#revision);
    this.#leases = new SqliteLeases(db, (keys, removeLease) => {
      this.#write(
        keys.map((key) => ({ type: 'delete', key })),
        removeLease,
      );
    });
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    const row = this.#sql.get.get(key) as unknown as Row | undefined;
    return row && toEntry(row);
  }

  async range(prefix: string): Promise<Snapshot> {
    this.#checkOpen();
    const end = afterPrefix(prefix);
    const rows = (end === undefined ? this.#sql.all.all() : this.#sql.range.all(prefix, end)) as unknown as Row[];
    return { entries: rows.map(toEntry), revision: this.#revision };
  }

  async txn(transaction: Transaction) {
    this.#checkOpen();
    const keys = new Set(transaction.ops.map((op) => op.key));
    if (keys.size !== transaction.ops.length) {
      throw new Error('a transaction may name a key once');
    }
    for (const { key, modRevision } of transaction.compare) {
      const row = this.#sql.get.get(key) as unknown as Row | undefined;
      if ((row?.modified ?? 0) !== modRevision) {
        return { ok: false, revision: this.#revision };
      }
    }
    this.#write(transaction.ops);
    return { ok: true, revision: this.#revision };
  }

  async watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch> {
    this.#checkOpen();
    if (fromRevision <= this.#compacted) {
      throw new CompactedError(`revision ${fromRevision} is compacted; the oldest kept is ${this.#compacted + 1}`);
    }
    return this.#watches.add(prefix, fromRevision, watcher);
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#checkOpen();
    return this.#leases.add(ttlMs);
  }

  async raiseRevision(revision: number): Promise<void> {
    this.#checkOpen();
    if (revision > this.#revision) {
      this.#db.exec('BEGIN IMMEDIATE');
      this.#sql.setMeta.run(revision, 'revision');
      this.#sql.setMeta.run(revision, 'compacted');
      this.#sql.compact.run(revision);
      this.#db.exec('COMMIT');
      this.#revision = revision;
      this.#compacted = revision;
      this.#watches.advance(revision);
    }
  }

  async state(): Promise<StoreState> {
    const fault = this.#closed ? undefined : this.#disk.look();
    return { engine: 'file', members: [], ...(fault !== undefined && { fault }) };
  }

  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#watches.close();
    this.#leases.close();
    this.#db.close();
    this.#unlock();
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new Error('the store is closed');
    }
  }

  /** Runs the operations, and whatever `also` does, in one SQLite transaction. */
  #write(ops: readonly Operation[], also?: () => void): void {
    const revision = this.#revision + 1;
    let changed = false;
    let compacted = this.#compacted;
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const op of ops) {
        changed = this.#apply(op, revision) || changed;
      }
      if (changed) {
        this.#sql.setMeta.run(revision, 'revision');
        compacted = this.#compact(revision);
      }
      also?.();
      this.#db.exec('COMMIT');
    } catch (error) {
      // A full disk has already ended the transaction. A rollback without a transaction would hide
      // the error.
      if (this.#db.isTransaction) {
        this.#db.exec('ROLLBACK');
      }
      throw this.#disk.failed(error);
    }
    this.#disk.fault = undefined;
    this.#compacted = compacted;
    if (changed) {
      this.#revision = revision;
      this.#watches.advance(revision);
    }
  }

  #apply(op: Operation, revision: number): boolean {
    const old = this.#sql.get.get(op.key) as unknown as Row | undefined;
    if (op.type === 'delete') {
      if (!old) {
        return false;
      }
      this.#sql.remove.run(op.key);
      this.#sql.log.run(revision, op.key, null, old.created);
      return true;
    }
    if (op.lease !== undefined) {
      this.#leases.require(op.lease);
    }
    const value = JSON.stringify(op.value);
    const created = old?.created ?? revision;
    this.#sql.put.run(op.key, value, created, revision, op.lease ?? null);
    this.#sql.log.run(revision, op.key, value, created);
    return true;
  }

  /**
   * Sometimes drops the part of the log that no watch needs. Returns the newest dropped revision.
   */
  #compact(revision: number): number {
    const upTo = Math.min(revision - this.#keep, this.#watches.next - 1);
    if (upTo - this.#compacted < this.#keep / 4) {
      return this.#compacted;
    }
    this.#sql.compact.run(upTo);
    this.#sql.setMeta.run(upTo, 'compacted');
    return upTo;
  }
}
