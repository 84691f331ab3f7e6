/** One look: what was asked for, its packets, and its parts on nodes. */
import { EventEmitter } from 'node:events';
import {
  type ActorKind,
  LOOK_LIMITS,
  type Look,
  type LookCreate,
  type LookEndReason,
  type LookNode,
  type LookTotals,
} from '@mirrorplane/contract';
import type { Owner } from '../auth/principal.ts';
import type { LookFeed } from './kept-packet.ts';
import { NodeShare, totalsOf } from './node-share.ts';
import { PacketRing } from './packet-ring.ts';

/** Milliseconds between two `changed`, at the least. */
const CHANGED_MS = 100;
/** Milliseconds by which two clocks may differ from before. More: the time of the host was set. */
const STEP_MS = 1000;

interface LiveLookEvents {
  /** Packets, drops, counts or states of nodes have come. Several of them are told once. */
  changed: [];
  /** It has ended. Nodes may still tell what they had seen. */
  ended: [];
  /** Nothing comes any more. */
  complete: [];
}

export interface LiveLookOptions {
  id: string;
  request: LookCreate;
  /** uid of the policy that is looked at, if it is one. */
  policyUid?: string;
  /** Interfaces that it is of. */
  subjects: Iterable<string>;
  owner: string;
  ownerKind: ActorKind;
  /** Address from which it was begun, for the audit log. */
  address: string;
  /** Who has a share of the looks. Default: the owner. */
  holder?: string;
  /** By what its owner looks. */
  credential?: Owner;
  /** Milliseconds of a clock that does not jump: by it the look ends. */
  clock: () => number;
  /** Milliseconds since 1970, for the times that are shown. Default: `clock`. */
  wall?: () => number;
  /** Display name of an interface. Empty: not known. */
  nameOf: (id: string) => string;
}

/** Runs from its construction until `end`, and can be read afterwards. */
export class LiveLook extends EventEmitter<LiveLookEvents> {
  readonly id: string;
  readonly request: LookCreate;
  readonly policyUid: string | undefined;
  /** Interfaces that it is of. Sources that its policy gets later are added. */
  readonly subjects: Set<string>;
  readonly owner: string;
  readonly ownerKind: ActorKind;
  readonly address: string;
  readonly holder: string;
  readonly credential: Owner | undefined;
  readonly ring = new PacketRing();
  /** Others than its owner who have read packets of it. */
  readonly readers = new Set<string>();
  /** Milliseconds of its clock, as all its times are. */
  readonly beganAt: number;
  /** Resolves when the begin is in the audit log. Rejects where it cannot be written. */
  audited: Promise<void> = Promise.resolve();
  readonly #clock: () => number;
  readonly #wall: () => number;
  readonly #shownBegin: string;
  /** Milliseconds from the clock to the time that is shown. */
  #ahead: number;
  readonly #nameOf: (id: string) => string;
  readonly #shares = new Map<string, NodeShare>();
  #leaseEndsAt: number;
  #end: { at: number; why: LookEndReason } | undefined;
  #complete = false;
  #telling: NodeJS.Timeout | undefined;

  constructor(options: LiveLookOptions) {
    super();
    const { id, request, policyUid, subjects, owner, ownerKind, address } = options;
    const { holder = owner, credential, clock, wall = clock, nameOf } = options;
    this.setMaxListeners(0);
    this.id = id;
    this.request = request;
    this.policyUid = policyUid;
    this.subjects = new Set(subjects);
    this.owner = owner;
    this.ownerKind = ownerKind;
    this.address = address;
    this.holder = holder;
    this.credential = credential;
    this.#clock = clock;
    this.#nameOf = nameOf;
    this.#wall = wall;
    this.beganAt = clock();
    this.#ahead = wall() - this.beganAt;
    this.#shownBegin = this.#shown(this.beganAt);
    this.#leaseEndsAt = this.beganAt + LOOK_LIMITS.leaseMs;
  }

  /** When it ends by its age; if it has ended, when it did. */
  get endsAt(): number {
    return this.#end?.at ?? this.beganAt + LOOK_LIMITS.ageMs;
  }

  /** When it ends unless it is renewed. */
  get leaseEndsAt(): number {
    return Math.min(this.#leaseEndsAt, this.endsAt);
  }

  /** Milliseconds until then. */
  get leaseLeftMs(): number {
    return Math.max(0, this.leaseEndsAt - this.#clock());
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** True when nothing comes any more. */
  get complete(): boolean {
    return this.#complete;
  }

  get endedBy(): LookEndReason | undefined {
    return this.#end?.why;
  }

  /** Its parts on nodes that were asked, by name. */
  get shares(): ReadonlyMap<string, NodeShare> {
    return this.#shares;
  }

  /** It lives on for another lease. */
  renew(): void {
    this.#leaseEndsAt = this.#clock() + LOOK_LIMITS.leaseMs;
    this.#follow();
  }

  /** Its part on a node. It is made when the node is asked for the first time. */
  share(node: string): NodeShare {
    let share = this.#shares.get(node);
    if (share === undefined) {
      share = new NodeShare(node);
      this.#shares.set(node, share);
    }
    return share;
  }

  /** Takes what a node tells. It has to be checked before. */
  feed(node: string, feed: LookFeed): void {
    if (this.#complete) {
      return;
    }
    const share = this.share(node);
    share.note(feed);
    for (const packet of feed.packets ?? []) {
      const interfaceName = this.#nameOf(packet.interface);
      this.ring.add(packet, { node, interfaceName, lostBefore: share.takeLost() });
    }
    for (const drop of feed.drops ?? []) {
      this.ring.addDrop(drop);
    }
    this.ring.join();
    this.tell();
  }

  /** Something has changed. */
  tell(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.emit('changed');
    }, CHANGED_MS).unref();
  }

  /** Ends it. Idempotent. */
  end(why: LookEndReason): void {
    if (this.#end === undefined) {
      this.#end = { at: this.#clock(), why };
      this.#follow();
      this.emit('ended');
    }
  }

  /** Nothing comes any more. Idempotent. */
  finish(): void {
    if (this.#complete) {
      return;
    }
    this.#complete = true;
    clearTimeout(this.#telling);
    for (const share of this.#shares.values()) {
      if (share.state !== 'refused') {
        share.set('away');
      }
    }
    this.emit('changed');
    this.emit('complete');
  }

  nodes(): LookNode[] {
    return [...this.#shares.values()].map((share) => share.describe());
  }

  totals(): LookTotals {
    return totalsOf(this.#shares.values());
  }

  describe(): Look {
    const { fates, ...request } = this.request;
    return {
      id: this.id,
      owner: this.owner,
      ...request,
      ...(fates && { fates }),
      beganAt: this.#shownBegin,
      endsAt: this.#shown(this.endsAt),
      leaseEndsAt: this.#shown(this.leaseEndsAt),
      state: this.running ? 'running' : 'ended',
      ...(this.#end && { endedBy: this.#end.why }),
      nodes: this.nodes(),
      totals: this.totals(),
    };
  }

  /** ISO 8601. */
  #shown(at: number): string {
    return new Date(at + this.#ahead).toISOString();
  }

  /** Follows the time of the host where it was set. Else times that are shown stay the same. */
  #follow(): void {
    const ahead = this.#wall() - this.#clock();
    if (Math.abs(ahead - this.#ahead) > STEP_MS) {
      this.#ahead = ahead;
    }
  }
}
