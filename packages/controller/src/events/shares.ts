/**
 * Limits the events that a node may cause. Further events are counted, and reported as one event.
 */
import type { EventDraft } from '@mirrorplane/contract';
import { TokenBucket } from '../token-bucket.ts';
import { accountOf } from './accounts.ts';

/**
 * Limit for one node: `reserve` events at once, for example after a long time without the
 * controller, and then `perSecond` events a second.
 */
export const NODE_SHARE = { reserve: 5000, perSecond: 10 };
/** Milliseconds between two events about left-out events. */
export const LEFT_OUT_MS = 60_000;

/**
 * Why an event was left out: too many events, or an event about something that is not the node's
 * own.
 */
export type LeftOutReason = 'share' | 'foreign';

const WHY: Record<LeftOutReason, string> = {
  share: `the node causes more than ${NODE_SHARE.perSecond} events a second`,
  foreign: 'they concern interfaces that the node does not have',
};

export interface SharesOptions {
  /** Reports left-out events. */
  tell: (draft: EventDraft) => void;
  share?: { reserve: number; perSecond: number };
  intervalMs?: number;
}

export class NodeShares {
  readonly #options: Required<SharesOptions>;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #leftOut = new Map<string, Record<LeftOutReason, number>>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ tell, share = NODE_SHARE, intervalMs = LEFT_OUT_MS }: SharesOptions) {
    this.#options = { tell, share, intervalMs };
  }

  /** Whether the event is within the share of its node. True if no node caused the event. */
  admit(draft: EventDraft): boolean {
    const { group, member } = accountOf(draft);
    if (group !== 'nodes') {
      return true;
    }
    const bucket = this.#buckets.get(member) ?? new TokenBucket(this.#options.share);
    this.#buckets.set(member, bucket);
    if (bucket.take()) {
      return true;
    }
    this.leaveOut(member, 'share');
    return false;
  }

  /** Counts an event that is left out. */
  leaveOut(node: string, reason: LeftOutReason): void {
    const counts = this.#leftOut.get(node) ?? { share: 0, foreign: 0 };
    counts[reason]++;
    this.#leftOut.set(node, counts);
    this.#timer ??= setTimeout(() => this.flush(), this.#options.intervalMs).unref();
  }

  /** Reports left-out events now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [name, counts] of this.#leftOut) {
      for (const reason of ['share', 'foreign'] as const) {
        const count = counts[reason];
        if (count > 0) {
          this.#options.tell({
            kind: 'eventsLeftOut',
            object: { kind: 'node', name },
            message: `${count} ${count === 1 ? 'event was' : 'events were'} left out: ${WHY[reason]}`,
            cause: { kind: 'controller', name: 'controller' },
            count,
          });
        }
      }
    }
    this.#leftOut.clear();
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#buckets.delete(node);
    this.#leftOut.delete(node);
  }
}
