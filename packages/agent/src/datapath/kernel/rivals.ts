/**
 * Programs of others that come back in front of ours. Whoever goes first again at once each time, against another who
 * does the same, loses copies at every turn and never ends. So we wait longer after each push-back.
 */

/** Going first so many times in a row is no dispute yet. */
const PATIENCE = 3;
/** Milliseconds that ours stays behind when it has been pushed back once too often: doubles from the first to the second. */
const BACK_OFF_MS: [number, number] = [2000, 60_000];
/** Milliseconds in front, undisturbed, after which the matter is closed. */
const PEACE_MS = 5000;

interface Dispute {
  /** How often ours was pushed back. */
  times: number;
  /** When ours may go first again. */
  until: number;
  /** When ours was seen behind last. */
  behindAt: number;
}

/** Disputes by hook. Times are milliseconds of any steady clock. Pure. */
export class Rivals {
  readonly #disputes = new Map<string, Dispute>();

  /** Ours is behind at this hook now. True where it shall go first again. */
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

  /** True where another program repeatedly attaches before ours. */
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
