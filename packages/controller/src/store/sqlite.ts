/** The embedded engine of the store: one SQLite file, for one controller. */
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Entry, Lease, Operation, Snapshot, Store, StoreEvent, Transaction, Watch, Watcher } from './store.ts';
import { CompactedError, LeaseExpiredError } from './store.ts';

/** Options of the engine. */
export interface SqliteOptions {
  /** Number of past revisions that a watch can start from. Default 256. */
  keepRevisions?: number;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
  key TEXT PRIMARY KEY, value TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL, lease TEXT);
CREATE INDEX IF NOT EXISTS entries_lease ON entries (lease) WHERE lease IS NOT NULL;
-- One row a changed key. A null value is a deletion.
CREATE TABLE IF NOT EXISTS log (
  revision INTEGER NOT NULL, key TEXT NOT NULL, value TEXT, created INTEGER NOT NULL, PRIMARY KEY (revision, key));
CREATE TABLE IF NOT EXISTS leases (id TEXT PRIMARY KEY, ttl INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('revision', 0), ('compacted', 0), ('schema', 1);
`;

interface Row {
  key: string;
  value: string;
  created: number;
  modified: number;
}
interface LogRow {
  revision: number;
  key: string;
  value: string | null;
  created: number;
}
interface ActiveWatch {
  prefix: string;
  next: number;
  watcher: Watcher;
}

/** The smallest text above all texts that begin with `prefix`. Undefined if there is none. */
function afterPrefix(prefix: string): string | undefined {
  return prefix === '' ? undefined : `${prefix}\u{10ffff}`;
}

function toEntry(row: Row): Entry {
  return { key: row.key, value: JSON.parse(row.value), createRevision: row.created, modRevision: row.modified };
}

/**
 * Opens the file, or makes it. @throws Error with a message for the operator if the file cannot be
 * used: another process has it open, it is damaged, or its folder is not writable
 */
export function openSqliteStore(file: string, options: SqliteOptions = {}): Store {
  let db: DatabaseSync;
  try {
    // SQLite gives its additional files the same mode.
    closeSync(openSync(file, 'a', 0o600));
    db = new DatabaseSync(file, { timeout: 1000 });
    // Exclusive, because a second controller on the same file would plan without the first one's
    // knowledge. The kernel frees the lock when the process ends in any way.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    db.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
  } catch (error) {
    const { message } = error as Error;
    if (/locked|busy/i.test(message)) {
      throw new Error(`another process uses the store ${file}; stop that controller first`);
    }
    throw new Error(`cannot open the store ${file}: ${message}`);
  }
  return new SqliteStore(db, options.keepRevisions ?? 256);
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #keep: number;
  readonly #watches = new Set<ActiveWatch>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #sql;
  #revision: number;
  #compacted: number;
  #pumping = false;
  #closed = false;

  constructor(db: DatabaseSync, keep: number) {
    this.#db = db;
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
      events: db.prepare('SELECT revision, key, value, created FROM log WHERE revision >= ? ORDER BY revision, key'),
      compact: db.prepare('DELETE FROM log WHERE revision <= ?'),
      setMeta: db.prepare('UPDATE meta SET value = ? WHERE name = ?'),
      leased: db.prepare('SELECT key FROM entries WHERE lease = ?'),
      addLease: db.prepare('INSERT INTO leases (id, ttl) VALUES (?, ?)'),
      hasLease: db.prepare('SELECT 1 FROM leases WHERE id = ?'),
      removeLease: db.prepare('DELETE FROM leases WHERE id = ?'),
    };
    const meta = new Map<string, number>();
    for (const row of db.prepare('SELECT name, value FROM meta').all()) {
      meta.set(String(row.name), Number(row.value));
    }
    if (meta.get('schema') !== 1) {
      throw new Error(`the store has schema ${meta.get('schema')}, and this release reads schema 1`);
    }
    this.#revision = meta.get('revision') ?? 0;
    this.#compacted = meta.get('compacted') ?? 0;
    // No lease could be kept alive while the store was closed, so each starts with its full time.
    for (const row of db.prepare('SELECT id, ttl FROM leases').all()) {
      this.#arm(String(row.id), Number(row.ttl));
    }
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
    const watch: ActiveWatch = { prefix, next: fromRevision, watcher };
    this.#watches.add(watch);
    this.#schedulePump();
    return { close: () => this.#watches.delete(watch) };
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#checkOpen();
    const id = randomUUID();
    this.#sql.addLease.run(id, ttlMs);
    this.#arm(id, ttlMs);
    return {
      id,
      keepAlive: async () => {
        if (!this.#timers.has(id)) {
          throw new LeaseExpiredError(`lease ${id} has run out`);
        }
        this.#arm(id, ttlMs);
      },
      revoke: async () => this.#expire(id),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#watches.clear();
    for (const timer of this.#timers.values()) {
      clearTimeout(timer);
    }
    this.#timers.clear();
    this.#db.close();
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
    this.#db.exec('BEGIN IMMEDIATE');
    try {
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
      throw error;
    }
    this.#compacted = compacted;
    if (changed) {
      this.#revision = revision;
      this.#schedulePump();
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
    if (op.lease !== undefined && !this.#sql.hasLease.get(op.lease)) {
      throw new LeaseExpiredError(`lease ${op.lease} has run out`);
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
    let upTo = revision - this.#keep;
    for (const watch of this.#watches) {
      upTo = Math.min(upTo, watch.next - 1);
    }
    if (upTo - this.#compacted < this.#keep / 4) {
      return this.#compacted;
    }
    this.#sql.compact.run(upTo);
    this.#sql.setMeta.run(upTo, 'compacted');
    return upTo;
  }

  #schedulePump(): void {
    if (!this.#pumping && this.#watches.size > 0) {
      this.#pumping = true;
      queueMicrotask(() => {
        this.#pumping = false;
        for (const watch of [...this.#watches]) {
          this.#pump(watch);
        }
      });
    }
  }

  #pump(watch: ActiveWatch): void {
    if (this.#closed || watch.next > this.#revision) {
      return;
    }
    const rows = this.#sql.events.all(watch.next) as unknown as LogRow[];
    watch.next = this.#revision + 1;
    let batch: StoreEvent[] = [];
    rows.forEach((row, index) => {
      if (row.key.startsWith(watch.prefix)) {
        batch.push(toEvent(row));
      }
      const last = rows[index + 1]?.revision !== row.revision;
      if (last && batch.length > 0 && this.#watches.has(watch)) {
        watch.watcher.onBatch(batch, row.revision);
        batch = [];
      }
    });
  }

  #arm(id: string, ttlMs: number): void {
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => this.#expire(id), ttlMs);
    timer.unref();
    this.#timers.set(id, timer);
  }

  #expire(id: string): void {
    if (this.#closed || !this.#timers.has(id)) {
      return;
    }
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    const keys = this.#sql.leased.all(id).map((row) => String(row.key));
    this.#write(
      keys.map((key) => ({ type: 'delete', key })),
      () => this.#sql.removeLease.run(id),
    );
  }
}

function toEvent(row: LogRow): StoreEvent {
  if (row.value === null) {
    return { type: 'delete', key: row.key };
  }
  const { key, revision, created, value } = row;
  return { type: 'put', entry: { key, value: JSON.parse(value), createRevision: created, modRevision: revision } };
}
