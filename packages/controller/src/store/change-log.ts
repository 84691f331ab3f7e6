/** Counts changes of named things, and remembers which things the last ones were. */

/** The most changes whose names are remembered. */
const MOST = 100_000;

export class ChangeLog {
  #count = 0;
  /** Names of the last changes: all since the count `#since`. */
  #since = 0;
  #names: string[] = [];

  /** How many changes there were. */
  get count(): number {
    return this.#count;
  }

  /** A thing has changed. @param name undefined: all may have */
  note(name: string | undefined): void {
    this.#count++;
    if (name === undefined || this.#names.length >= MOST) {
      this.#since = this.#count;
      this.#names = [];
    } else {
      this.#names.push(name);
    }
  }

  /** Names of what has changed since `count` changes, in their order. Undefined: anything may have. */
  since(count: number): readonly string[] | undefined {
    return count < this.#since ? undefined : this.#names.slice(count - this.#since);
  }
}
