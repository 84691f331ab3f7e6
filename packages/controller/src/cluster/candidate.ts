/**
 * A controller that does not lead: follows who does, takes the place when it is free, and takes it
 * away from a leader that is dead.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Serial } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import { Cluster, type EtcdOptions } from '../store/etcd/cluster.ts';
import { depose, Hold, type Holder, LEADER_KEY, readHolder, readTerm, succeed } from '../store/etcd/hold.ts';
import { silenceOf } from '../store/etcd/lease.ts';
import type { StoreLostError } from '../store/store.ts';
import { FollowedKeys } from './followed-keys.ts';

/** A leader as etcd has it. */
export interface KnownLeader extends Holder {
  /** Grows from each leader to the next. */
  term: number;
}

export interface CandidateOptions {
  etcd: EtcdOptions;
  self: Required<Pick<Holder, 'id' | 'agents'>>;
  /** Milliseconds until the place of a leader that is gone is free, if nobody takes it away. */
  leaseMs: number;
  log: Logger;
  /** Whether this one has what a leader needs. Else it takes no place. See `look`. */
  canLead: () => boolean;
  /** Called when another one leads, and with undefined when nobody does. */
  changed: (leader: KnownLeader | undefined) => void;
  /** This one leads. Called once. */
  won: (hold: Hold) => void;
  /** This one has led, and does not any more. */
  lost: (error: StoreLostError) => void;
}

/** Milliseconds before another try to take the place, when etcd does not answer. */
const PAUSE_MS = 200;
/** Milliseconds that etcd has to answer a candidate: a hurry, because nobody leads meanwhile. */
const GIVE_UP_MS = 3000;
/** Milliseconds that etcd has to answer a candidate that is about to take a place away. */
const WELL_MS = 500;

export class Candidate {
  readonly #options: CandidateOptions;
  readonly #cluster: Cluster;
  readonly #keys: FollowedKeys;
  readonly #serial = new Serial();
  #leader: KnownLeader | undefined;
  /** Term of the last leader that was seen. */
  #former: number | undefined;
  #hold: Hold | undefined;
  #isClaiming = false;
  #looks: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: CandidateOptions) {
    this.#options = options;
    this.#cluster = new Cluster({ ...options.etcd, giveUpMs: GIVE_UP_MS });
    this.#keys = new FollowedKeys(this.#cluster, LEADER_KEY, () => this.#changed());
  }

  /** Begins. Tries until it is closed. */
  open(): void {
    this.#keys.open();
    // What this one needs to lead may come while the place is free.
    this.#looks = setInterval(() => this.look(), PAUSE_MS).unref();
  }

  /** Who leads. Undefined: nobody, or it is not known yet. */
  get leader(): KnownLeader | undefined {
    return this.#leader;
  }

  /**
   * Takes the place of a dead leader away: then it is free, and the first controller that claims it
   * leads. Nothing happens if another one leads by now.
   * @param isDead asked again when etcd has answered, just before the place is taken away
   * @throws Error if etcd does not answer
   */
  async depose(term: number, isDead: () => boolean): Promise<boolean> {
    return (await readTerm(this.#cluster, WELL_MS)) === term && isDead() && depose(this.#cluster, term);
  }

  /**
   * Frees the place of a leader whose process has ended for certain, and tries until it is free: the
   * next one need not wait for anything.
   */
  async succeed({ term, controller }: KnownLeader): Promise<void> {
    const { log } = this.#options;
    while (!this.#closed && this.#leader?.term === term) {
      try {
        if (await succeed(this.#cluster, term)) {
          log.info(
            { leader: controller, term },
            'the leader was an earlier run with this data directory: it has ended',
          );
        }
        return;
      } catch (error) {
        log.debug({ err: error, term }, 'the place of an earlier run cannot be freed yet');
        await sleep(PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  /**
   * Milliseconds for which at least a leader has not reached etcd, as etcd says, in half a second.
   * Undefined: etcd does not answer, or cannot know.
   */
  async silenceOf({ lease }: KnownLeader): Promise<number | undefined> {
    return lease === undefined ? undefined : silenceOf(this.#cluster, lease, WELL_MS).catch(() => undefined);
  }

  /** Whether etcd answers this one, in half a second. */
  async reachesEtcd(): Promise<boolean> {
    return readTerm(this.#cluster, WELL_MS).then(
      () => true,
      () => false,
    );
  }

  /** Takes the place if it is free, and this one can lead now. */
  look(): void {
    const isFree = this.#keys.isKnown && this.#leader === undefined && this.#hold === undefined;
    if (isFree && !this.#isClaiming && !this.#closed && this.#options.canLead()) {
      this.#isClaiming = true;
      void this.#serial.run(() => this.#claim()).finally(() => (this.#isClaiming = false));
    }
  }

  /** Takes no place from now on, and keeps one that it has. No claim is under way then. */
  async withdraw(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looks);
    this.#keys.close();
    await this.#serial.settled();
  }

  /** Gives up the place, if it has one. */
  async close(): Promise<void> {
    await this.withdraw();
    await this.#hold?.release();
    this.#cluster.close();
  }

  #changed(): void {
    const found = this.#keys.values().get(LEADER_KEY);
    if (found?.createRevision !== this.#leader?.term) {
      this.#leader = found && { ...readHolder(found.value), term: found.createRevision };
      this.#former = this.#leader?.term ?? this.#former;
      this.#options.changed(this.#leader);
    }
    this.look();
  }

  async #claim(): Promise<void> {
    const { leaseMs: ttlMs, lost, won, self, log } = this.#options;
    const { canLead } = this.#options;
    while (!this.#closed && this.#leader === undefined && this.#hold === undefined && canLead()) {
      try {
        const hold = await Hold.tryTake(this.#cluster, { ttlMs, onLost: lost, self, former: this.#former });
        if (hold === undefined) {
          // Another one was faster: the watch says who.
          return;
        }
        this.#hold = hold;
        // One that withdrew meanwhile begins nothing: `close` gives the place up.
        if (!this.#closed) {
          won(hold);
        }
      } catch (error) {
        log.warn({ err: error }, 'no controller leads, and etcd does not answer');
        await sleep(PAUSE_MS, undefined, { ref: false });
      }
    }
  }
}
