/** Closes parts in the opposite order of that in which they were opened. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Adds the function that closes a part that has just been opened. */
  add(closer: () => unknown): void {
    this.#closers.push(closer);
  }

  /** Closes all parts once. @throws the error of a closer, after all other closers have run */
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
