/** Schedules comparisons of states: soon, once for all requests until then, and never too often. */

/**
 * Milliseconds without a request before states are compared, so that intermediate steps are not
 * reported; and the longest wait.
 */
const QUIET_MS = 150;
const LONGEST_MS = 1000;
/** Comparisons take at most one part in so many of the time. */
const SHARE = 10;

export class ComparisonTimer {
  readonly #compare: () => Promise<boolean>;
  #timer: NodeJS.Timeout | undefined;
  #askedAt: number | undefined;
  #notBefore = 0;
  #comparing = false;
  #closed = false;

  /** @param compare resolves with true if it must be called again without a request. Never rejects */
  constructor(compare: () => Promise<boolean>) {
    this.#compare = compare;
  }

  /** Requests a comparison. One comparison serves all requests until then. */
  ask(): void {
    if (this.#closed) {
      return;
    }
    const now = performance.now();
    this.#askedAt ??= now;
    // Where the process was busy for long, the longest wait is over already.
    const at = Math.max(now, Math.min(now + QUIET_MS, this.#askedAt + LONGEST_MS), this.#notBefore);
    clearTimeout(this.#timer);
    if (!this.#comparing) {
      this.#timer = setTimeout(() => void this.#run(), at - now).unref();
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#askedAt = undefined;
    this.#comparing = true;
    const began = performance.now();
    const again = await this.#compare();
    this.#comparing = false;
    this.#notBefore = began + (performance.now() - began) * SHARE;
    if (this.#closed) {
      return;
    }
    if (this.#askedAt !== undefined) {
      this.ask();
    } else if (again) {
      this.#timer = setTimeout(() => this.ask(), LONGEST_MS).unref();
    }
  }
}
