/**
 * The right to write to the store, which one controller has at a time: a key with a lease. Every
 * transaction compares the revision at which the key was created, so that a controller that lost
 * the key while it was asleep cannot write.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeaseExpiredError, StoreLostError } from '../store.ts';
import type { Cluster } from './cluster.ts';
import { EtcdLease } from './lease.ts';
import { answers, type Condition, type KeyValue, operations, rangeRequest, txnRequest } from './messages.ts';

/** Key of the controller that may write. */
export const LEADER_KEY = '/mirrorplane/leader';
/**
 * Term of a leader of which it is certain that it answers nothing and sends nothing any more. It is
 * written in the transaction that frees the place. Who takes the place next removes it, so it never
 * speaks of an earlier leader.
 */
export const LEFT_KEY = '/mirrorplane/left';

/** Who has the key. */
export interface Holder {
  /** Its host and process, for people. */
  controller: string;
  /** When it took the key, ISO 8601. */
  since: string;
  /** Id of its registration, where several controllers run. */
  id?: string;
  /** HOST:PORT where other controllers reach its port for agents. */
  agents?: string;
  /** Number of its lease. Absent: an older version does not say it. */
  lease?: number;
}

/** Value of the key. `write` is of the last transaction, so that it is known to be carried out. */
interface HolderRecord extends Holder {
  write: string;
}

/** Milliseconds between two looks whether the key is still ours. */
const PROOF_MS = 200;
/**
 * Milliseconds between two renewals of the lease. It costs etcd no write. What is left of the lease
 * tells others for how long the holder has not reached etcd.
 */
const KEEP_MS = 500;
/** Milliseconds that a look proves that nobody else has taken the key. See `Hold.isSure`. */
export const SURE_MS = 700;
/** Milliseconds that etcd has for a transaction that deposes a holder. */
const DEPOSE_MS = 1000;
/** Milliseconds between two attempts to prove the hold, while a caller waits. */
const CONFIRM_PAUSE_MS = 50;

export interface HoldOptions {
  /** Milliseconds after which a holder that is gone is no longer waited for. */
  ttlMs: number;
  /** Called once when another controller may write. */
  onLost: (error: StoreLostError) => void;
  /** What others learn about this one. */
  self?: Pick<Holder, 'id' | 'agents'>;
  /** Term of the last holder that was seen. Undefined: none was seen. */
  former?: number | undefined;
}

export class Hold {
  readonly #cluster: Cluster;
  readonly #lease: EtcdLease;
  readonly #onLost: (error: StoreLostError) => void;
  readonly #timers: NodeJS.Timeout[];
  readonly #record: Omit<HolderRecord, 'write'>;
  readonly #run = randomBytes(8).toString('hex');
  #revision = 0;
  /** When the key was certainly nobody else's, on the monotonic clock. */
  #takenAt = 0;
  #writes = 0;
  #lost: StoreLostError | undefined;
  /** Whether the one before this one is known to answer nothing any more. */
  #formerHasLeft = false;
  /** Whether the key was given back. */
  #isReleased = false;
  /** Renewals of the lease that have no answer yet. */
  #unkept = 0;
  /** Start of the last request that has found the key, on the monotonic clock. */
  #provenAt = Number.NEGATIVE_INFINITY;
  /** The last look, until it has an answer. */
  #proving: { began: number; done: Promise<boolean> } | undefined;
  /** Looks that have no answer yet. */
  #unanswered = 0;
  readonly #listeners = new Set<() => void>();

  private constructor(cluster: Cluster, lease: EtcdLease, { ttlMs, onLost, self }: HoldOptions) {
    this.#cluster = cluster;
    this.#lease = lease;
    this.#onLost = onLost;
    this.#record = {
      controller: `${hostname()}, process ${process.pid}`,
      since: new Date().toISOString(),
      lease: lease.number,
      ...self,
    };
    this.#timers = [
      setInterval(() => void this.#keep(), Math.min(KEEP_MS, ttlMs / 3)).unref(),
      setInterval(() => void this.prove(), PROOF_MS).unref(),
    ];
  }

  /**
   * Takes the key. Waits for a holder that has ended without giving it back.
   * @throws Error with the name of the holder if it is still there
   */
  static async take(cluster: Cluster, options: HoldOptions): Promise<Hold> {
    const { ttlMs } = options;
    const end = performance.now() + ttlMs * 1.5;
    const hold = new Hold(cluster, await EtcdLease.grant(cluster, ttlMs), options);
    for (;;) {
      const holder = await hold.#claim(options.former).catch(async (error: unknown) => {
        await hold.release();
        throw error;
      });
      if (holder === undefined) {
        return hold;
      }
      if (performance.now() > end) {
        await hold.release();
        const { controller, since } = readHolder(holder.value);
        throw new Error(`another process uses the store in etcd: ${controller}, since ${since}; stop that one first`);
      }
      await sleep(200);
    }
  }

  /** Takes the key if nobody has it. Undefined: another one was faster. */
  static async tryTake(cluster: Cluster, options: HoldOptions): Promise<Hold | undefined> {
    const hold = new Hold(cluster, await EtcdLease.grant(cluster, options.ttlMs), options);
    const holder = await hold.#claim(options.former).catch(async (error: unknown) => {
      await hold.release();
      throw error;
    });
    if (holder === undefined) {
      return hold;
    }
    await hold.release();
    return undefined;
  }

  /** Grows from each holder to the next: the revision at which the key was created. */
  get term(): number {
    return this.#revision;
  }

  /** Who has the key: this one. */
  get holder(): Holder {
    return this.#record;
  }

  /**
   * Whether the key was ours a moment ago, by the monotonic clock: a process that was asleep is not
   * sure until it has asked. Writes need no such look, because etcd compares the key.
   */
  get isSure(): boolean {
    return !this.#isOver && this.unsureMs < SURE_MS;
  }

  /** Milliseconds since the start of the last request that has found the key to be ours. */
  get unsureMs(): number {
    return performance.now() - this.#provenAt;
  }

  /** Whether the key was given back. Then this holder answers nothing and sends nothing. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  get #isOver(): boolean {
    return this.#isReleased || this.#lost !== undefined;
  }

  /**
   * Resolves when the holder before this one is not sure any more, so that it answers no request
   * with what was true before. At once where it has given the place back itself, or its process is
   * known to have ended.
   */
  async formerIsUnsure(): Promise<void> {
    if (this.#formerHasLeft) {
      return;
    }
    await sleep(Math.max(0, this.#takenAt + SURE_MS - performance.now()));
  }

  /** Calls `listener` when `isSure` becomes true again. */
  onSure(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Asks most members of etcd once whether the key is ours. False: it is not, or they do not answer
   * within `SURE_MS`. While a look has no answer, the next one goes to another member: one that is
   * silent does not make this holder unsure.
   */
  prove(): Promise<boolean> {
    const began = performance.now();
    if (this.#proving === undefined || began - this.#proving.began > PROOF_MS / 2) {
      const step = this.#unanswered++;
      const done = this.#prove(began, step).finally(() => {
        this.#unanswered--;
        if (this.#proving === proving) {
          this.#proving = undefined;
        }
      });
      const proving = { began, done };
      this.#proving = proving;
    }
    return this.#proving.done;
  }

  /** Asks until this holder is sure, or has lost the key, or the time is over. @returns `isSure` */
  async confirm(limitMs: number): Promise<boolean> {
    const end = performance.now() + limitMs;
    while (!this.isSure && !this.#isOver && performance.now() < end) {
      if (!(await this.prove())) {
        await sleep(CONFIRM_PAUSE_MS);
      }
    }
    return this.isSure;
  }

  async #prove(began: number, step: number): Promise<boolean> {
    // An answer to a question from before the key was taken says nothing of the key now.
    const term = this.#revision;
    if (term === 0 || this.#isReleased) {
      return false;
    }
    try {
      const request = rangeRequest({ key: LEADER_KEY });
      const { entries } = answers.range(await this.#cluster.askOnce('range', request, SURE_MS, step));
      if (entries[0]?.createRevision !== term) {
        this.#lose();
        return false;
      }
    } catch {
      return false;
    }
    this.#proved(began);
    return !this.#isOver;
  }

  #proved(began: number): void {
    const wasSure = this.isSure;
    this.#provenAt = Math.max(this.#provenAt, began);
    if (!wasSure && this.isSure) {
      for (const listener of this.#listeners) {
        listener();
      }
    }
  }

  /** Puts the key if it is absent, and takes away what is said of the former one. Returns another holder. */
  async #claim(former: number | undefined): Promise<KeyValue | undefined> {
    const success = [
      operations.range({ key: LEFT_KEY }),
      operations.put(LEADER_KEY, this.nextValue(), this.#lease.number),
      operations.remove(LEFT_KEY),
    ];
    const read = operations.range({ key: LEADER_KEY });
    const request = txnRequest([{ key: LEADER_KEY, createRevision: 0 }], success, [read]);
    const began = performance.now();
    const { ok, revision, ranges } = answers.txn(await this.#cluster.ask('txn', request));
    const there = ranges[0]?.entries[0];
    this.#takenAt = performance.now();
    if (ok) {
      this.#revision = revision;
      // A holder of an earlier release leaves what is said of the one before it.
      this.#formerHasLeft = there !== undefined && (former === undefined || there.value.toString() === String(former));
      this.#proved(began);
    } else if (there === undefined) {
      return this.#claim(former);
    } else if (there.value.toString().includes(this.#run)) {
      // The answer to the first attempt got lost, and with it what was said of the former one.
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

  /** The condition that the key is still this one. */
  get held(): Condition {
    return { key: LEADER_KEY, createRevision: this.#revision };
  }

  /** The conditions of a write: the key is still this one, and the write was not carried out yet. */
  conditions(value: string): Condition[] {
    return [this.held, { key: LEADER_KEY, notValue: value }];
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

  /**
   * Gives the key back. From now on, this holder is not sure that it leads. It has to answer nothing
   * and send nothing any more: then the next one need not wait for it.
   */
  async release(): Promise<void> {
    this.#stop();
    const isFirst = !this.#isOver && this.#revision !== 0;
    this.#isReleased = true;
    if (isFirst) {
      await this.#cluster.ask('txn', leave(this.#revision)).catch(() => undefined);
    }
    await this.#lease.revoke().catch(() => undefined);
  }

  /** While a renewal has no answer, the next one goes to another member, as a look does. */
  async #keep(): Promise<void> {
    const step = this.#unkept++;
    try {
      await this.#lease.keepAliveOnce(SURE_MS, step);
    } catch (error) {
      if (error instanceof LeaseExpiredError) {
        this.#lose();
      }
    } finally {
      this.#unkept--;
    }
  }

  #stop(): void {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
  }

  #lose(): void {
    if (!this.#isOver) {
      this.#stop();
      this.#lost = new StoreLostError(
        'this controller does not lead any more: its lease in etcd has expired, or another controller has taken its place',
      );
      this.#onLost(this.#lost);
    }
  }
}

/** The holder in a value of the key. */
export function readHolder(value: Uint8Array | string): Holder {
  return JSON.parse(typeof value === 'string' ? value : Buffer.from(value).toString()) as HolderRecord;
}

/** Frees the place of a holder that answers nothing and sends nothing any more, and says so. */
const leave = (term: number) =>
  txnRequest(
    [{ key: LEADER_KEY, createRevision: term }],
    [operations.remove(LEADER_KEY), operations.put(LEFT_KEY, String(term))],
  );

/**
 * Takes the key away from a holder whose process has ended. As `depose`, but the next one need not
 * wait for it. @throws EtcdError if etcd does not answer
 */
export async function succeed(cluster: Cluster, term: number): Promise<boolean> {
  return answers.txn(await cluster.askOnce('txn', leave(term), DEPOSE_MS)).ok;
}

/**
 * Takes the key away from a holder. Whoever claims it then has it: it may be another controller.
 * Tries once, so that nothing is taken away long after it was decided.
 * @param term of the holder @returns whether this call took it away
 * @throws EtcdError if etcd does not answer
 */
export async function depose(cluster: Cluster, term: number): Promise<boolean> {
  // What one of an earlier release has left there speaks of the holder before it.
  const free = [operations.remove(LEADER_KEY), operations.remove(LEFT_KEY)];
  const request = txnRequest([{ key: LEADER_KEY, createRevision: term }], free);
  return answers.txn(await cluster.askOnce('txn', request, DEPOSE_MS)).ok;
}

/** Term of the holder, as most members of etcd have it. Undefined: there is none. @throws EtcdError */
export async function readTerm(cluster: Cluster, limitMs: number): Promise<number | undefined> {
  const request = rangeRequest({ key: LEADER_KEY });
  return answers.range(await cluster.askOnce('range', request, limitMs)).entries[0]?.createRevision;
}
