/** The leases of the SQLite engine: how long each one lasts, and which keys go with it. */
import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type Lease, LeaseExpiredError } from './store.ts';

/** Deletes these keys and calls `removeLease`, all in one transaction. */
type Expire = (keys: readonly string[], removeLease: () => void) => void;

export class SqliteLeases {
  readonly #sql;
  readonly #expired: Expire;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /**
   * Nobody could keep a lease alive while the store was closed: each stored lease starts with its
   * full time.
   */
  constructor(db: DatabaseSync, expired: Expire) {
    this.#expired = expired;
    this.#sql = {
      keys: db.prepare('SELECT key FROM entries WHERE lease = ?'),
      add: db.prepare('INSERT INTO leases (id, ttl) VALUES (?, ?)'),
      has: db.prepare('SELECT 1 FROM leases WHERE id = ?'),
      remove: db.prepare('DELETE FROM leases WHERE id = ?'),
    };
    for (const row of db.prepare('SELECT id, ttl FROM leases').all()) {
      this.#arm(String(row.id), Number(row.ttl));
    }
  }

  /** Makes a lease. @param ttlMs time to live in milliseconds */
  add(ttlMs: number): Lease {
    const id = randomUUID();
    this.#sql.add.run(id, ttlMs);
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

  /** @throws LeaseExpiredError where there is no such lease any more */
  require(id: string): void {
    if (!this.#sql.has.get(id)) {
      throw new LeaseExpiredError(`lease ${id} has run out`);
    }
  }

  /** No lease runs out from now on. */
  close(): void {
    for (const timer of this.#timers.values()) {
      clearTimeout(timer);
    }
    this.#timers.clear();
  }

  #arm(id: string, ttlMs: number): void {
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => this.#expire(id), ttlMs);
    timer.unref();
    this.#timers.set(id, timer);
  }

  #expire(id: string): void {
    if (!this.#timers.has(id)) {
      return;
    }
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    const keys = this.#sql.keys.all(id).map((row) => String(row.key));
    this.#expired(keys, () => this.#sql.remove.run(id));
  }
}
