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

/** The lead of one term. */
export class Leadership {
  readonly hold: Hold;
  readonly controllers: Controllers;
  readonly beforeListening: () => Promise<void>;
  readonly followers: Followers;
  readonly tunnels = new Tunnels();

  constructor({ hold, controllers, beforeListening }: LeadershipOptions) {
    this.hold = hold;
    this.controllers = controllers;
    this.beforeListening = beforeListening;
    this.followers = new Followers({
      term: hold.term,
      isSure: () => hold.isSure,
      doubted: () => void hold.prove(),
    });
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
   * that has come since is not known.
   */
  get isAlone(): boolean {
    return this.controllers.isKnown && this.controllers.all().length === 1;
  }

  close(): void {
    this.followers.close();
  }
}
