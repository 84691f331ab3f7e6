/** One thing after the other, in the order in which they were asked for. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  /** Does `work` when all earlier work has ended, well or not. Gives what it gives, and throws what it throws. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    const outcome = this.#tail.then(work);
    this.#tail = outcome.catch(() => undefined);
    return outcome;
  }

  /** Resolves when all work that was asked for until now has ended. Never rejects. */
  async settled(): Promise<void> {
    await this.#tail;
  }
}
