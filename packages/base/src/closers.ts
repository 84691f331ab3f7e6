/** What was opened one after the other, and is closed in the opposite order. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Adds what ends a part that has just been opened. */
  add(closer: () => unknown): void {
    this.#closers.push(closer);
  }

  /** Closes everything, once. @throws what a closer throws, when all others are closed too */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    for (const closer of this.#closers.splice(0).reverse()) {
      try {
        await closer();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
  }
}
