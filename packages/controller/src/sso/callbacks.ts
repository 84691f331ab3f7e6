/** Bounds of requests that come back from providers. */

/** Callbacks of one provider that are being answered at a time. */
const MAX_AT_A_TIME = 32;
/** Sign-ins that are remembered as finished. One more forgets the oldest. */
const MAX_FINISHED = 8192;

export class Callbacks {
  readonly #running = new Map<string, number>();
  /** States of sign-ins that were finished, the oldest first. */
  readonly #finished = new Set<string>();

  /** Whether a sign-in may be finished with this state: each state is good once. */
  take(state: string): boolean {
    if (this.#finished.has(state)) {
      return false;
    }
    if (this.#finished.size >= MAX_FINISHED) {
      const [oldest] = this.#finished;
      this.#finished.delete(oldest!);
    }
    this.#finished.add(state);
    return true;
  }

  /**
   * Runs `work` for a provider.
   * @returns its result; undefined: too many run
   */
  async run<T>(way: string, work: () => Promise<T>): Promise<T | undefined> {
    const running = this.#running.get(way) ?? 0;
    if (running >= MAX_AT_A_TIME) {
      return undefined;
    }
    this.#running.set(way, running + 1);
    try {
      return await work();
    } finally {
      this.#running.set(way, this.#running.get(way)! - 1);
    }
  }
}
