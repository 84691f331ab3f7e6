/** The controllers of a cluster: each registers itself in etcd, and follows the list. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '@mirrorplane/daemon';
import { Cluster, type EtcdOptions } from '../store/etcd/cluster.ts';
import { EtcdLease } from '../store/etcd/lease.ts';
import { operations, txnRequest } from '../store/etcd/messages.ts';
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

/** Keys of controllers that run. */
const PREFIX = '/mirrorplane/controllers/';
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
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(etcd: EtcdOptions, self: ControllerRecord, log: Logger) {
    this.#self = self;
    this.#cluster = new Cluster(etcd);
    this.#log = log;
    this.#keys = new FollowedKeys(this.#cluster, PREFIX, () => {
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
    const others = [...this.#keys.values().values()]
      .map(({ value }) => JSON.parse(value) as ControllerRecord)
      .filter(({ id }) => id !== this.self.id);
    return [this.self, ...others].sort((a, b) => (a.agents < b.agents ? -1 : a.agents > b.agents ? 1 : 0));
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

  /** Takes this one from the list. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#keys.close();
    await this.#lease?.revoke().catch(() => undefined);
    this.#cluster.close();
  }

  async #put(): Promise<void> {
    if (this.#lease !== undefined) {
      const put = operations.put(PREFIX + this.self.id, JSON.stringify(this.self), this.#lease.number);
      await this.#cluster.ask('txn', txnRequest([], [put]));
    }
  }

  async #sign(): Promise<void> {
    try {
      await this.#lease?.keepAlive();
      if (this.#lease === undefined && !this.#closed) {
        this.#lease = await EtcdLease.grant(this.#cluster, LISTED_MS);
        await this.#put();
      }
    } catch (error) {
      // The lease may have expired: a new one lists this controller again.
      this.#lease = undefined;
      if (!this.#closed) {
        this.#log.debug({ err: error }, 'this controller is not listed in etcd, trying again');
      }
    }
    if (!this.#closed) {
      this.#timer = setTimeout(() => void this.#sign(), SIGN_MS).unref();
    }
  }
}
