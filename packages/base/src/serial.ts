/** Runs work strictly one after the other, in the order of the requests. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  /**
   * Runs `work` after all earlier work has ended, with or without an error. Returns the result of
   * `work`, and throws its errors.
   */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    const outcome = this.#tail.then(work);
    this.#tail = outcome.catch(() => undefined);
    return outcome;
  }

  /** Resolves when all work requested until now has ended. Never rejects. */
  async settled(): Promise<void> {
    await this.#tail;
  }
}
