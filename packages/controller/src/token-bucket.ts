/** A share: an amount per second, and a reserve for bursts. */
export interface ShareOptions {
  /** Amount that may be spent at once after a quiet time. */
  reserve: number;
  /** Amount that is refilled in a second. */
  perSecond: number;
  /** Clock in milliseconds. Default `performance.now`. */
  now?: () => number;
}

/** A token bucket. A call costs the same after any pause. */
export class TokenBucket {
  readonly #reserve: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  #left: number;
  #at: number;

  constructor({ reserve, perSecond, now = () => performance.now() }: ShareOptions) {
    this.#reserve = reserve;
    this.#perSecond = perSecond;
    this.#now = now;
    this.#left = reserve;
    this.#at = now();
  }

  /** Spends one, if one is left. Returns whether it did. */
  take(): boolean {
    this.#refill();
    if (this.#left < 1) {
      return false;
    }
    this.#left--;
    return true;
  }

  /** Takes back one that was spent. */
  giveBack(): void {
    this.#left = Math.min(this.#reserve, this.#left + 1);
  }

  /**
   * Spends an amount, even if less is left. Returns the milliseconds until the debt is refilled.
   */
  spend(amount: number): number {
    this.#refill();
    this.#left -= amount;
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000;
  }

  #refill(): void {
    const now = this.#now();
    this.#left = Math.min(this.#reserve, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
  }
}
