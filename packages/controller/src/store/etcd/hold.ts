/**
 * The right to write to the store, which one controller has at a time: a key with a lease. Every
 * transaction compares the revision at which the key was created, so that a controller that lost
 * the key while it was asleep cannot write.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreLostError, StoreUnavailableError } from '../store.ts';
import type { Cluster } from './cluster.ts';
import { EtcdLease } from './lease.ts';
import { answers, type Condition, type KeyValue, operations, txnRequest } from './messages.ts';

/** Key of the controller that may write. */
export const LEADER_KEY = '/mirrorplane/leader';

/** Value of the key. `write` is of the last transaction, so that it is known to be carried out. */
interface HolderRecord {
  controller: string;
  since: string;
  write: string;
}

export class Hold {
  readonly #cluster: Cluster;
  readonly #lease: EtcdLease;
  readonly #onLost: (error: StoreLostError) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #record: Omit<HolderRecord, 'write'>;
  readonly #run = randomBytes(8).toString('hex');
  #revision = 0;
  #writes = 0;
  #lost: StoreLostError | undefined;

  private constructor(cluster: Cluster, lease: EtcdLease, ttlMs: number, onLost: (error: StoreLostError) => void) {
    this.#cluster = cluster;
    this.#lease = lease;
    this.#onLost = onLost;
    this.#record = { controller: `${hostname()}, process ${process.pid}`, since: new Date().toISOString() };
    this.#timer = setInterval(() => void this.#keep(), ttlMs / 3).unref();
  }

  /**
   * Takes the key. Waits for a holder that has ended without giving it back.
   * @param ttlMs milliseconds after which a holder that is gone is no longer waited for
   * @throws Error with the name of the holder if it is still there
   */
  static async take(cluster: Cluster, ttlMs: number, onLost: (error: StoreLostError) => void): Promise<Hold> {
    const end = performance.now() + ttlMs * 1.5;
    const hold = new Hold(cluster, await EtcdLease.grant(cluster, ttlMs), ttlMs, onLost);
    for (;;) {
      const holder = await hold.#claim().catch(async (error: unknown) => {
        await hold.release();
        throw error;
      });
      if (holder === undefined) {
        return hold;
      }
      if (performance.now() > end) {
        await hold.release();
        const { controller, since } = JSON.parse(holder.value.toString()) as HolderRecord;
        throw new Error(`another process uses the store in etcd: ${controller}, since ${since}; stop that one first`);
      }
      await sleep(200);
    }
  }

  /** Puts the key if it is absent. Returns another holder. */
  async #claim(): Promise<KeyValue | undefined> {
    const key = operations.put(LEADER_KEY, this.nextValue(), this.#lease.number);
    const read = operations.range({ key: LEADER_KEY });
    const request = txnRequest([{ key: LEADER_KEY, createRevision: 0 }], [key], [read]);
    const { ok, revision, ranges } = answers.txn(await this.#cluster.ask('txn', request));
    const there = ranges[0]?.entries[0];
    if (ok) {
      this.#revision = revision;
    } else if (there === undefined) {
      return this.#claim();
    } else if (there.value.toString().includes(this.#run)) {
      // The answer to the first attempt got lost.
      this.#revision = there.createRevision;
    } else {
      return there;
    }
    return undefined;
  }

  /** Value of the key for the next write. No two writes have the same. */
  nextValue(): string {
    const record: HolderRecord = { ...this.#record, write: `${this.#run}-${++this.#writes}` };
    return JSON.stringify(record);
  }

  /** The conditions of a write: the key is still this one, and the write was not carried out yet. */
  conditions(value: string): Condition[] {
    return [
      { key: LEADER_KEY, createRevision: this.#revision },
      { key: LEADER_KEY, notValue: value },
    ];
  }

  /** The operation that marks a write as carried out. */
  mark(value: string): Buffer {
    return operations.put(LEADER_KEY, value, this.#lease.number);
  }

  /** @throws StoreLostError if the key was lost */
  requireHeld(): void {
    if (this.#lost) {
      throw this.#lost;
    }
  }

  /** Looks at the key as a failed write has found it. @throws StoreLostError if it was lost */
  checkFound(entry: KeyValue | undefined): void {
    if (entry?.createRevision !== this.#revision) {
      this.#lose();
      this.requireHeld();
    }
  }

  /** Does what the holder has to do first, and gives the key back if that fails. @throws what `work` throws */
  async required(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /** Gives the key back. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#lease.revoke().catch(() => undefined);
  }

  async #keep(): Promise<void> {
    try {
      await this.#lease.keepAlive();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) {
        this.#lose();
      }
    }
  }

  #lose(): void {
    if (this.#lost === undefined) {
      clearInterval(this.#timer);
      this.#lost = new StoreLostError('the lease of this controller in etcd has expired: it does not write any more');
      this.#onLost(this.#lost);
    }
  }
}
