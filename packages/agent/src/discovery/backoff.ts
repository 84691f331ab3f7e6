/** Repeats an attempt after growing pauses. */

/** The first and the longest pause, milliseconds. */
const RANGE_MS: [number, number] = [200, 10_000];

export class Backoff {
  readonly #attempt: () => void;
  #after = RANGE_MS[0];
  #timer: NodeJS.Timeout | undefined;

  constructor(attempt: () => void) {
    this.#attempt = attempt;
  }

  /** Schedules the next attempt, once. */
  later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#attempt, this.#after);
    this.#timer.unref();
    this.#after = Math.min(this.#after * 2, RANGE_MS[1]);
  }

  /** The attempt has succeeded: the next pause is short again. */
  reset(): void {
    this.#after = RANGE_MS[0];
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
