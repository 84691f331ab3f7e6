/** When states are compared: soon, once for all that asks until then, and never so often that it costs much. */

/** Milliseconds of quiet before states are compared, so that a step in between is not told; and the longest wait. */
const QUIET_MS = 150;
const LONGEST_MS = 1000;
/** Comparing takes at most one part in so many of the time. */
const SHARE = 10;

export class ComparisonTimer {
  readonly #compare: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #askedAt: number | undefined;
  #notBefore = 0;
  #closed = false;

  /** @param compare returns true where it has to be called again although nothing asks */
  constructor(compare: () => boolean) {
    this.#compare = compare;
  }

  /** Compares soon, once for all that asks until then. */
  ask(): void {
    if (this.#closed) {
      return;
    }
    const now = performance.now();
    this.#askedAt ??= now;
    const at = Math.max(Math.min(now + QUIET_MS, this.#askedAt + LONGEST_MS), this.#notBefore);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), at - now).unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#askedAt = undefined;
    const began = performance.now();
    const again = this.#compare();
    this.#notBefore = began + (performance.now() - began) * SHARE;
    if (again) {
      this.#timer = setTimeout(() => this.ask(), LONGEST_MS).unref();
    }
  }
}
