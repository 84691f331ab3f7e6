/** Tries something again, after longer and longer times. */

/** Milliseconds before the first attempt, and the most between two. */
const RANGE_MS: [number, number] = [200, 10_000];

export class Backoff {
  readonly #attempt: () => void;
  #after = RANGE_MS[0];
  #timer: NodeJS.Timeout | undefined;

  constructor(attempt: () => void) {
    this.#attempt = attempt;
  }

  /** Makes the next attempt, once, when its time has come. */
  later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#attempt, this.#after);
    this.#timer.unref();
    this.#after = Math.min(this.#after * 2, RANGE_MS[1]);
  }

  /** It has worked: the next failure is tried again soon. */
  reset(): void {
    this.#after = RANGE_MS[0];
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
