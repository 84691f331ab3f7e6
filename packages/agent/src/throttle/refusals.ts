/** Copies that a budget has refused: whether there were any lately. */

/** Milliseconds for which a budget counts as throttling after its last refused copy. */
export const THROTTLED_FOR_MS = 10_000;

export class Refusals {
  #refused: number;
  /** Monotonic milliseconds. */
  #until = 0;

  /** @param refused number of copies that the budget has refused so far */
  constructor(refused: number) {
    this.#refused = refused;
  }

  /**
   * The budget has refused this number of copies so far.
   * @param counts false: they do not count as throttled
   */
  note(refused: number, now: number, counts = true): void {
    if (counts && refused !== this.#refused) {
      this.#until = now + THROTTLED_FOR_MS;
    }
    this.#refused = refused;
  }

  isThrottled(now: number): boolean {
    return this.#until > now;
  }
}
