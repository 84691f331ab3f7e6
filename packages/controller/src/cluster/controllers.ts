/** The controllers of a cluster: each registers itself in etcd, and follows the list. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '@mirrorplane/daemon';
import { Cluster, type EtcdOptions } from '../store/etcd/cluster.ts';
import { EtcdLease, isLeaseGone } from '../store/etcd/lease.ts';
import { operations, txnRequest } from '../store/etcd/messages.ts';
import { LeaseExpiredError } from '../store/store.ts';
import { FollowedKeys } from './followed-keys.ts';

/** What a controller says about itself. */
export interface ControllerRecord {
  /** New for each run. */
  id: string;
  /** Name of its host. */
  host: string;
  version: string;
  /** ISO 8601. */
  startedAt: string;
  /** HOST:PORT where agents and other controllers reach its port for agents. */
  agents: string;
  /** Why it could not lead. */
  problem?: string;
}

/** A controller that does not run now. */
export interface GoneController extends Pick<ControllerRecord, 'host' | 'version' | 'startedAt' | 'agents'> {
  /** When it was stopped in order, ISO 8601. Undefined: it was not, and is not heard of any more. */
  stoppedAt?: string;
}

/** Keys of controllers that run, and of those that have run, by address. One watch follows both. */
const BOTH = '/mirrorplane/controllers';
const PREFIX = `${BOTH}/`;
const KNOWN_PREFIX = `${BOTH}-known/`;
/** Milliseconds after which one that does not come back is forgotten, and between two signs that it is there. */
const KNOWN_MS = 7 * 24 * 3_600_000;
const KNOWN_SIGN_MS = 3_600_000;
/** Milliseconds after which a controller that is gone is not listed any more. */
const LISTED_MS = 10_000;
/** Milliseconds between two signs of life, and before another try. */
const SIGN_MS = 3000;

/** An id for one run of a controller. */
export const newControllerId = (): string => randomBytes(8).toString('hex');

/** The list of controllers, with this one in it. */
export class Controllers {
  #self: ControllerRecord;
  readonly #cluster: Cluster;
  readonly #keys: FollowedKeys;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  #lease: EtcdLease | undefined;
  /** That of the key which stays when this one is gone. */
  #known: EtcdLease | undefined;
  #knownAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(etcd: EtcdOptions, self: ControllerRecord, log: Logger) {
    this.#self = self;
    this.#cluster = new Cluster(etcd);
    this.#log = log;
    this.#keys = new FollowedKeys(this.#cluster, BOTH, () => {
      for (const listener of this.#listeners) {
        listener();
      }
    });
  }

  /** Begins to follow the list, and registers this one. Neither is waited for. */
  open(): void {
    this.#keys.open();
    void this.#sign();
  }

  /** All that run, by address. This one is among them, also before it is registered. */
  all(): ControllerRecord[] {
    const others = this.#valuesOf<ControllerRecord>(PREFIX).filter(({ id }) => id !== this.self.id);
    return [this.self, ...others].sort(byAddress);
  }

  /** Those that have run within the last week, and do not now, by address. */
  gone(): GoneController[] {
    const running = new Set(this.all().map(({ agents }) => agents));
    return this.#valuesOf<GoneController>(KNOWN_PREFIX)
      .filter(({ agents }) => !running.has(agents))
      .sort(byAddress);
  }

  #valuesOf<T>(prefix: string): T[] {
    const found = [...this.#keys.values()].filter(([key]) => key.startsWith(prefix));
    return found.map(([, { value }]) => JSON.parse(value) as T);
  }

  /** Whether the list was read. */
  get isKnown(): boolean {
    return this.#keys.isKnown;
  }

  /** What this one says about itself. */
  get self(): ControllerRecord {
    return this.#self;
  }

  /** This one could not lead, or can again. */
  async tell(problem: string | undefined): Promise<void> {
    const { problem: _, ...self } = this.#self;
    this.#self = { ...self, ...(problem !== undefined && { problem }) };
    await this.#put().catch((error: unknown) => this.#log.debug({ err: error }, 'not told to etcd'));
  }

  /** Calls `listener` when the list has changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes this one from the list of those that run. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#keys.close();
    if (this.#known !== undefined) {
      const put = this.#knownPut(this.#known, new Date().toISOString());
      await this.#cluster.ask('txn', txnRequest([], [put])).catch(() => undefined);
    }
    await this.#lease?.revoke().catch(() => undefined);
    this.#cluster.close();
  }

  async #put(): Promise<void> {
    if (this.#lease !== undefined && this.#known !== undefined) {
      const put = operations.put(PREFIX + this.self.id, JSON.stringify(this.self), this.#lease.number);
      await this.#cluster.ask('txn', txnRequest([], [put, this.#knownPut(this.#known)]));
    }
  }

  #knownPut({ number }: EtcdLease, stoppedAt?: string) {
    const { host, version, startedAt, agents } = this.self;
    const record: GoneController = { host, version, startedAt, agents, ...(stoppedAt !== undefined && { stoppedAt }) };
    return operations.put(KNOWN_PREFIX + agents, JSON.stringify(record), number);
  }

  /** Another lease is only made when etcd has the former one no more: each stays there for a week. */
  #forgetKnown(error: unknown): void {
    if (!(error instanceof LeaseExpiredError)) {
      throw error;
    }
    this.#known = undefined;
  }

  /** Makes that this one is remembered when it is gone. @returns whether its key has to be written */
  async #signKnown(): Promise<boolean> {
    const now = performance.now();
    if (this.#known !== undefined && now - this.#knownAt > KNOWN_SIGN_MS) {
      await this.#known.keepAlive().catch((error: unknown) => this.#forgetKnown(error));
      this.#knownAt = now;
    }
    if (this.#known !== undefined) {
      return false;
    }
    this.#known = await EtcdLease.grant(this.#cluster, KNOWN_MS);
    this.#knownAt = now;
    return true;
  }

  async #sign(): Promise<void> {
    try {
      await this.#lease?.keepAlive();
      const isUnknown = await this.#signKnown();
      const isUnlisted = this.#lease === undefined;
      if (isUnlisted && !this.#closed) {
        this.#lease = await EtcdLease.grant(this.#cluster, LISTED_MS);
      }
      if ((isUnknown || isUnlisted) && !this.#closed) {
        await this.#put();
      }
    } catch (error) {
      // The lease may have expired: a new one lists this controller again.
      this.#lease = undefined;
      if (isLeaseGone(error)) {
        this.#known = undefined;
      }
      if (!this.#closed) {
        this.#log.debug({ err: error }, 'this controller is not listed in etcd, trying again');
      }
    }
    if (!this.#closed) {
      this.#timer = setTimeout(() => void this.#sign(), SIGN_MS).unref();
    }
  }
}

function byAddress({ agents: a }: { agents: string }, { agents: b }: { agents: string }): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
