/** Reads things by name: several at once, and each of them by one reading at a time. */
export class ReadQueue {
  readonly #read: (name: string) => Promise<void>;
  readonly #limit: number;
  readonly #wanted = new Set<string>();
  readonly #reading = new Set<string>();
  #closed = false;

  /**
   * @param read handles its own errors
   * @param limit readings at once
   */
  constructor(read: (name: string) => Promise<void>, limit: number) {
    this.#read = read;
    this.#limit = limit;
  }

  /** Asks for a reading that begins after this call. */
  add(name: string): void {
    this.#wanted.add(name);
    this.#work();
  }

  /** No further reading begins. */
  close(): void {
    this.#closed = true;
  }

  #work(): void {
    for (const name of this.#wanted) {
      if (this.#closed || this.#reading.size >= this.#limit) {
        return;
      }
      if (!this.#reading.has(name)) {
        this.#wanted.delete(name);
        this.#reading.add(name);
        void this.#read(name).finally(() => {
          this.#reading.delete(name);
          this.#work();
        });
      }
    }
  }
}
