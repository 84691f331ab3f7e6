/** Leases of etcd. Ids are chosen here: below 2^47, so that a number holds them exactly. */
import { randomInt } from 'node:crypto';
import type { Lease } from '../store.ts';
import { LeaseExpiredError } from '../store.ts';
import type { Cluster } from './cluster.ts';
import { EtcdError, STATUS } from './errors.ts';
import { answers, grantRequest, leaseRequest } from './messages.ts';

export class EtcdLease implements Lease {
  readonly #cluster: Cluster;
  /** Id of etcd. */
  readonly number: number;

  private constructor(cluster: Cluster, number: number) {
    this.#cluster = cluster;
    this.number = number;
  }

  /** @param ttlMs rounded up to whole seconds; etcd takes at least 1.5 times its election timeout */
  static async grant(cluster: Cluster, ttlMs: number): Promise<EtcdLease> {
    const id = randomInt(1, 2 ** 47);
    try {
      await cluster.ask('grant', grantRequest(id, Math.ceil(ttlMs / 1000)));
    } catch (error) {
      // The answer to the first attempt got lost.
      if (!(error instanceof EtcdError && error.status === STATUS.failedPrecondition)) {
        throw error;
      }
    }
    return new EtcdLease(cluster, id);
  }

  get id(): string {
    return this.number.toString(16);
  }

  async keepAlive(): Promise<void> {
    this.#checkKept(await this.#cluster.ask('keepAlive', leaseRequest(this.number)));
  }

  /** As `keepAlive`, with one attempt at one member. See `Cluster.askOnce`. */
  async keepAliveOnce(limitMs: number, step: number): Promise<void> {
    this.#checkKept(await this.#cluster.askOnce('keepAlive', leaseRequest(this.number), limitMs, step));
  }

  #checkKept(answer: Buffer): void {
    if (answers.keepAlive(answer) === 0) {
      throw new LeaseExpiredError(`lease ${this.id} has expired`);
    }
  }

  async revoke(): Promise<void> {
    await this.#cluster.ask('revoke', leaseRequest(this.number)).catch((error: unknown) => {
      if (!isLeaseGone(error)) {
        throw error;
      }
    });
  }
}

/**
 * Milliseconds for which at least a lease was not renewed: whole seconds, as etcd tells them. A
 * member of etcd that becomes its leader begins to count again.
 * @throws EtcdError if etcd does not answer in time
 */
export async function silenceOf(cluster: Cluster, number: number, limitMs: number): Promise<number> {
  const { left, granted } = answers.timeToLive(await cluster.askOnce('timeToLive', leaseRequest(number), limitMs));
  return left === undefined ? Number.POSITIVE_INFINITY : Math.max(0, granted - 1 - left) * 1000;
}

/** Number of a lease for etcd. */
export function leaseNumber(id: string | undefined): number | undefined {
  return id === undefined ? undefined : Number.parseInt(id, 16);
}

/** Whether etcd does not know the lease any more. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof EtcdError && error.status === STATUS.notFound;
}
