/**
 * Foreign programs that repeatedly attach in front of ours. If both sides always attached again at
 * once, each turn would lose copies, and the turns would never end. So the agent waits longer after
 * each push-back.
 */

/** So many push-backs in a row are no dispute yet. */
const PATIENCE = 3;
/**
 * Wait before our program is put in front again during a dispute, milliseconds. It doubles from the
 * first to the second value.
 */
const BACK_OFF_MS: [number, number] = [2000, 60_000];
/** Milliseconds in front after which a dispute has ended. */
const PEACE_MS = 5000;

interface Dispute {
  /** Number of push-backs. */
  times: number;
  /** Time when our program may be put in front again. */
  until: number;
  /** Time when our program was last seen behind another one. */
  behindAt: number;
}

/** Disputes by hook. Times are milliseconds of any steady clock. Pure. */
export class Rivals {
  readonly #disputes = new Map<string, Dispute>();

  /**
   * Our program is behind another one at this hook. Returns true if it should be put in front
   * again.
   */
  behind(hook: string, now: number): boolean {
    const dispute = this.#disputes.get(hook) ?? { times: 0, until: 0, behindAt: now };
    dispute.behindAt = now;
    this.#disputes.set(hook, dispute);
    if (now < dispute.until) {
      return false;
    }
    dispute.times++;
    if (dispute.times >= PATIENCE) {
      dispute.until = now + Math.min(BACK_OFF_MS[0] * 2 ** (dispute.times - PATIENCE), BACK_OFF_MS[1]);
    }
    return true;
  }

  /** True if another program repeatedly attaches in front of ours. */
  isDisputed(hook: string, now: number): boolean {
    const dispute = this.#disputes.get(hook);
    if (dispute === undefined) {
      return false;
    }
    if (now - dispute.behindAt > PEACE_MS) {
      this.#disputes.delete(hook);
    }
    return this.#disputes.has(hook) && dispute.times >= PATIENCE;
  }
}
