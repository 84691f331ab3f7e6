/** All looks of the cluster: who may begin one, how long it lives, and those that have ended. */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { type ActorKind, LOOK_KEEPING, type LookCreate, type LookEndReason } from '@mirrorplane/contract';
import type { Owner } from '../auth/principal.ts';
import { ProblemError } from '../problems/problems.ts';
import type { LookFeed } from './kept-packet.ts';
import { LiveLook } from './live-look.ts';

interface LooksEvents {
  began: [LiveLook];
  /** By whom, where somebody has ended it. */
  ended: [look: LiveLook, by: LookOwner | undefined];
  /** A look has begun, was renewed, or has ended: nodes have to be told. */
  changed: [];
}

export interface LooksOptions {
  /** Milliseconds of a clock that does not jump: by it looks end. */
  clock: () => number;
  /** Milliseconds since 1970, for the times that are shown. Default: `clock`. */
  wall?: () => number;
  /** Display name of an interface. Empty: not known. */
  nameOf: (id: string) => string;
  /** Whether who has begun a look may still look. Default: always. */
  isAllowed?: (look: LiveLook) => boolean;
}

/** Who begins a look. */
export interface LookOwner {
  name: string;
  kind: ActorKind;
  /** Address of the client, for the audit log. */
  address: string;
  /** By what somebody looks: the look ends with it. */
  credential?: Owner;
  /** Who has a share of the looks. Default: the name. */
  holder?: string;
}

/** The policy whose sources are looked at. */
export interface LookedAtPolicy {
  uid: string;
  sources: readonly string[];
}

/** Milliseconds between two searches for looks whose time has come. */
const SEARCH_MS = 500;
/** Milliseconds that nodes have to tell what they had seen at the end of a look. */
const LAST_WORDS_MS = 3000;

/** Keeps looks in memory only: a controller that is started again has none. */
export class Looks extends EventEmitter<LooksEvents> {
  readonly #options: LooksOptions;
  /** In the order in which they began. */
  readonly #looks = new Map<string, LiveLook>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LooksOptions) {
    super();
    this.#options = options;
  }

  /**
   * Begins a look. The request has been checked: its interfaces or its policy exist.
   * @throws ProblemError LOOK_LIMIT
   */
  create(request: LookCreate, owner: LookOwner, policy?: LookedAtPolicy): LiveLook {
    const running = this.running();
    if (running.length >= LOOK_KEEPING.running) {
      const owners = [...new Set(running.map((look) => look.owner))].join(', ');
      throw new ProblemError('LOOK_LIMIT', `there are ${running.length} looks already (of ${owners}): end one of them`);
    }
    const { name, kind, address, credential, holder = name } = owner;
    if (running.filter((look) => look.holder === holder).length >= LOOK_KEEPING.each) {
      throw new ProblemError('LOOK_LIMIT', `you have ${LOOK_KEEPING.each} looks already: end one of them`);
    }
    const id = randomBytes(6).toString('hex');
    const look = new LiveLook({
      ...this.#options,
      id,
      request,
      owner: name,
      ownerKind: kind,
      address,
      holder,
      ...(credential && { credential }),
      subjects: policy?.sources ?? request.interfaces ?? [],
      ...(policy && { policyUid: policy.uid }),
    });
    this.#looks.set(id, look);
    this.#timer ??= setInterval(() => this.#search(), SEARCH_MS).unref();
    this.emit('began', look);
    this.emit('changed');
    return look;
  }

  /** All that can be read, the newest first. */
  list(): LiveLook[] {
    return [...this.#looks.values()].reverse();
  }

  running(): LiveLook[] {
    return [...this.#looks.values()].filter((look) => look.running);
  }

  get(id: string): LiveLook | undefined {
    return this.#looks.get(id);
  }

  /** A look lives on for another lease. @returns false: it is not there, or has ended */
  renew(id: string): boolean {
    const look = this.#looks.get(id);
    if (!look?.running) {
      return false;
    }
    look.renew();
    this.emit('changed');
    return true;
  }

  /** Ends a look, if it runs. @param by who has asked for it */
  end(id: string, why: LookEndReason, by?: LookOwner): void {
    const look = this.#looks.get(id);
    if (!look?.running) {
      return;
    }
    look.end(why);
    this.emit('ended', look, by);
    this.emit('changed');
    setTimeout(() => look.finish(), LAST_WORDS_MS).unref();
    finishIfSilent(look);
  }

  /** Ends looks of those who may not look any more. */
  endForbidden(): void {
    const { isAllowed = () => true } = this.#options;
    for (const look of this.running()) {
      if (!isAllowed(look)) {
        this.end(look.id, 'access');
      }
    }
  }

  /** A look has ended on a node, and nothing more of it comes from there. */
  nodeEnded(id: string, node: string, why: LookEndReason): void {
    const look = this.#looks.get(id);
    if (look !== undefined) {
      look.share(node).end(look.running && why !== 'asked' ? `it has ended there: ${why}` : undefined);
      look.tell();
      finishIfSilent(look);
    }
  }

  /** Takes what a node tells of a look. Tests feed looks so, too. */
  feed(id: string, node: string, feed: LookFeed): void {
    this.#looks.get(id)?.feed(node, feed);
  }

  /** Ends all looks. */
  close(): void {
    clearInterval(this.#timer);
    for (const look of this.running()) {
      look.end('controller');
      look.finish();
      this.emit('ended', look, undefined);
    }
  }

  #search(): void {
    this.endForbidden();
    const now = this.#options.clock();
    for (const look of this.running()) {
      if (now >= look.leaseEndsAt) {
        this.end(look.id, look.leaseEndsAt >= look.endsAt ? 'age' : 'lease');
      }
    }
    this.#forget(now);
    if (this.#looks.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #forget(now: number): void {
    const ended = [...this.#looks.values()].filter((look) => !look.running).sort((a, b) => b.endsAt - a.endsAt);
    for (const [index, look] of ended.entries()) {
      if (index >= LOOK_KEEPING.ended || now >= look.endsAt + LOOK_KEEPING.endedMs) {
        look.finish();
        this.#looks.delete(look.id);
      }
    }
  }
}

/** Once a look has ended, and no node has anything to tell of it any more. */
function finishIfSilent(look: LiveLook): void {
  if (!look.running && ![...look.shares.values()].some(({ looking }) => looking)) {
    look.finish();
  }
}
