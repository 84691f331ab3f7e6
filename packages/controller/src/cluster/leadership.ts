/** What a controller knows that leads others. */
import type { Hold } from '../store/etcd/hold.ts';
import type { Controllers } from './controllers.ts';
import { Followers } from './followers.ts';
import { Tunnels } from './tunnelled.ts';

export interface LeadershipOptions {
  hold: Hold;
  controllers: Controllers;
  /** Frees the ports that the leader is about to listen on. */
  beforeListening: () => Promise<void>;
}

/** Milliseconds without a proof of the lead after which nothing is told any more. */
const DOUBT_MS = 1000;
/** Milliseconds between two looks for a doubt. */
const LOOK_MS = 100;

/** The lead of one term. */
export class Leadership {
  readonly hold: Hold;
  readonly controllers: Controllers;
  readonly beforeListening: () => Promise<void>;
  readonly followers: Followers;
  readonly tunnels = new Tunnels();
  readonly #doubts = new Set<() => void>();
  readonly #looks: NodeJS.Timeout;
  #isDoubtful = false;

  constructor({ hold, controllers, beforeListening }: LeadershipOptions) {
    this.hold = hold;
    this.controllers = controllers;
    this.beforeListening = beforeListening;
    this.followers = new Followers({
      term: hold.term,
      isSure: () => hold.isSure,
      doubted: () => void hold.prove(),
    });
    this.#looks = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Grows from each leader to the next. */
  get term(): number {
    return this.hold.term;
  }

  /** Whether this one may tell agents what to do: it has asked etcd a moment ago. */
  get isSure(): boolean {
    return this.hold.isSure;
  }

  /**
   * Whether no other controller was known when etcd answered last. While etcd does not answer, one
   * that has come since is not known. False when this one has given its place back.
   */
  get isAlone(): boolean {
    return !this.hold.isReleased && this.controllers.isKnown && this.controllers.all().length === 1;
  }

  /**
   * Calls `listener` each time that etcd has not confirmed the lead for a second, and another
   * controller may lead: what is told from then on may be older than what that one has acknowledged.
   */
  onDoubt(listener: () => void): void {
    this.#doubts.add(listener);
  }

  #look(): void {
    const isDoubtful = this.hold.unsureMs >= DOUBT_MS && !this.isAlone;
    if (isDoubtful && !this.#isDoubtful) {
      for (const listener of this.#doubts) {
        listener();
      }
    }
    this.#isDoubtful = isDoubtful;
  }

  close(): void {
    clearInterval(this.#looks);
    this.followers.close();
  }
}
