/**
 * Keeps the data directory of a controller that does not lead like that of the leader, and knows
 * whether this one could lead.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@mirrorplane/daemon';
import { type Follower, followShared, NotSharedError } from './shared/follow.ts';
import { requireWhole } from './store/contents.ts';
import { type EtcdStoreOptions, openEtcdStore } from './store/etcd.ts';
import { noteWhere } from './store/place.ts';
import { type Store, StoreUnavailableError } from './store/store.ts';

/** Milliseconds before another try. */
const AGAIN_MS = 1000;
/** Milliseconds between two looks whether what it follows has a problem. */
const LOOK_MS = 200;

interface Parts {
  data: string;
  etcd: Omit<EtcdStoreOptions, 'onLost'>;
  log: Logger;
  /** Called when `canLead` or `problem` has changed. */
  changed: () => void;
}

export class FollowedFiles {
  readonly #parts: Parts;
  #store: Store | undefined;
  #follower: Follower | undefined;
  #running: Promise<void> | undefined;
  #closed = false;
  #closing: Promise<void> | undefined;
  #canLead = false;
  #problem: string | undefined;
  /** The problem of the follower, as it was told last. */
  #told: string | undefined;
  #looks: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Begins. Tries until it follows or is closed. */
  open(): void {
    this.#running = this.#follow();
    this.#looks = setInterval(() => {
      const now = this.#follower?.problem;
      if (now !== this.#told) {
        this.#told = now;
        this.#parts.changed();
      }
    }, LOOK_MS).unref();
  }

  /** Whether this controller has what a leader needs. False until that is known. */
  get canLead(): boolean {
    return this.#canLead && this.#follower?.problem === undefined;
  }

  /** Why it does not follow. Undefined: it does, or it is not known yet. */
  get problem(): string | undefined {
    return this.#problem ?? this.#follower?.problem;
  }

  /** The data directory can be used by a leader then. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looks);
    // Etcd may not answer: what reads ends at once. What writes to the data directory is waited for.
    // While the store is being opened, nothing does.
    if (this.#store !== undefined) {
      await this.#store.close();
      await this.#running;
    }
    await this.#follower?.close();
  }

  async #follow(): Promise<void> {
    const { data, etcd, log } = this.#parts;
    while (!this.#closed && this.#follower === undefined) {
      try {
        this.#store ??= await openEtcdStore({ ...etcd, readOnly: true });
        if (this.#closed) {
          await this.#store.close();
          return;
        }
        // Another one is written there, or the store goes on in a file.
        await requireWhole(this.#store);
        this.#follower = await followShared({ data, store: this.#store, log });
        noteWhere({ data, etcd, log });
        this.#know(true, undefined);
      } catch (error) {
        if (error instanceof NotSharedError) {
          // Nobody has led yet: this one may be the first.
          this.#know(true, undefined);
        } else if (!(error instanceof StoreUnavailableError)) {
          this.#know(false, (error as Error).message);
        }
        await this.#pause();
      }
    }
  }

  async #pause(): Promise<void> {
    for (let waited = 0; waited < AGAIN_MS && !this.#closed; waited += 50) {
      await sleep(50, undefined, { ref: false });
    }
  }

  #know(canLead: boolean, problem: string | undefined): void {
    if (problem !== undefined && problem !== this.#problem) {
      this.#parts.log.error({ reason: problem }, 'this controller cannot lead');
    }
    const isOther = canLead !== this.#canLead || problem !== this.#problem;
    this.#canLead = canLead;
    this.#problem = problem;
    if (isOther) {
      this.#parts.changed();
    }
  }
}
