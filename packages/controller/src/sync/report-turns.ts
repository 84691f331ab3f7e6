/**
 * Large reports of all agents take turns with everything else: requests, programs that are sent, and
 * what agents confirm do not wait for more than a few milliseconds of them.
 */

import { isAwaited } from '@mirrorplane/base';

/** Bytes of a message up to which it is read at once: nobody waits long for it. */
export const SHORT_BYTES = 4096;
/**
 * Milliseconds of large reports in one turn of the event loop. Where reports wait and everything else
 * takes longer, it is half of what that takes, up to `MOST_MS`: so they get a third of the time at least.
 */
const TURN_MS = 8;
const MOST_MS = 50;
/** The part of `TURN_MS` while somebody waits for a long read, and milliseconds that reports wait so at most. */
const BESIDE_READS = 1 / 2;
const MOST_BESIDE_MS = 250;

export class ReportTurns {
  readonly #now: () => number;
  readonly #turnMs: number;
  readonly #isAwaited: () => boolean;
  /** What waits for its turn, the first one first. */
  readonly #waiting = new Set<() => void>();
  /** Milliseconds of reports in this turn, and how many there may be. */
  #spent = 0;
  #mostMs: number;
  /** When the last turn ended that has left something. Undefined: it has not. */
  #leftAt: number | undefined;
  /** Since when some wait. Undefined: none do. */
  #waitingSince: number | undefined;
  #next: NodeJS.Immediate | undefined;

  /**
   * @param now milliseconds of a monotonic clock @param turnMs milliseconds of work in a turn
   * @param isRead whether somebody waits for a long read
   */
  constructor(now: () => number = () => performance.now(), turnMs = TURN_MS, isRead: () => boolean = isAwaited) {
    this.#now = now;
    this.#turnMs = turnMs;
    this.#isAwaited = isRead;
    this.#mostMs = turnMs;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Runs `work` in this turn, or in a later one where this turn is used up or others wait. What waits
   * already keeps its place. `work` must not throw.
   */
  run(work: () => void): void {
    if (this.#waiting.size > 0 || this.#spent >= this.#mostMs) {
      this.#waiting.add(work);
    } else {
      this.#work(work);
    }
    this.#next ??= setImmediate(() => this.#turn());
  }

  /** Runs `work` now. Others wait for the time that it takes. */
  atOnce(work: () => void): void {
    this.#work(work);
    this.#next ??= setImmediate(() => this.#turn());
  }

  /** `work` does not wait any more. */
  drop(work: () => void): void {
    this.#waiting.delete(work);
  }

  #turn(): void {
    this.#next = undefined;
    this.#spent = 0;
    this.#mostMs = this.#share();
    for (const work of this.#waiting) {
      if (this.#spent >= this.#mostMs) {
        break;
      }
      this.#waiting.delete(work);
      this.#work(work);
    }
    this.#leftAt = this.#waiting.size > 0 ? this.#now() : undefined;
    this.#waitingSince = this.#leftAt === undefined ? undefined : (this.#waitingSince ?? this.#leftAt);
    // Also without any that wait: what came meanwhile counts for the turn in which it came.
    if (this.#spent > 0 || this.#waiting.size > 0) {
      this.#next ??= setImmediate(() => this.#turn());
    }
  }

  /** Milliseconds of reports in the turn that begins. */
  #share(): number {
    const now = this.#now();
    if (this.#isAwaited() && now - (this.#waitingSince ?? now) < MOST_BESIDE_MS) {
      return this.#turnMs * BESIDE_READS;
    }
    const others = this.#leftAt === undefined ? 0 : now - this.#leftAt;
    return Math.max(this.#turnMs, Math.min(MOST_MS, others / 2));
  }

  #work(work: () => void): void {
    const began = this.#now();
    work();
    this.#spent += this.#now() - began;
  }
}
