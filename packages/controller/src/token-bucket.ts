/** A share of something: so much per second, and a reserve for a moment. */
export interface ShareOptions {
  /** What may be spent at once after a quiet time. */
  reserve: number;
  /** What comes back in a second. */
  perSecond: number;
  /** Milliseconds, from any moment on. Default `performance.now`. */
  now?: () => number;
}

/** Counts what is spent. Costs the same however long it is not asked. */
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

  /** Spends one, where one is left. Returns whether it was. */
  take(): boolean {
    this.#refill();
    if (this.#left < 1) {
      return false;
    }
    this.#left--;
    return true;
  }

  /** Spends an amount that is known only now, also more than is left. Returns the milliseconds until it is paid back. */
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
