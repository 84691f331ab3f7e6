/** Items that many readers look at, made again for all of them at once. */

/**
 * Milliseconds that items are shown before they are made again; longer where making them takes
 * long.
 */
const FRESH_MS = 1000;
/** Making them takes a tenth of the time at most. */
const SHARE = 10;
/** And a fiftieth where nobody waits for them. */
const RENEW_SHARE = 50;

export interface BoardOptions<T> {
  key: (item: T) => string;
  make: () => Iterable<T>;
  /** Changes when an operator has changed something: that is shown at once. */
  revision: () => number;
}

/** Items by their keys, as they were a moment ago. */
export class Board<T> {
  readonly #options: BoardOptions<T>;
  #items: ReadonlyMap<string, T> = new Map();
  #revision = -1;
  #freshUntil = 0;
  #restUntil = 0;

  constructor(options: BoardOptions<T>) {
    this.#options = options;
  }

  /** Makes the items again, where that takes little of the time. */
  renew(): void {
    if (performance.now() >= this.#restUntil) {
      this.#make();
    }
  }

  /** All items, at most a second old, and never older than the last change of an operator. */
  items(): ReadonlyMap<string, T> {
    if (performance.now() >= this.#freshUntil || this.#options.revision() !== this.#revision) {
      this.#make();
    }
    return this.#items;
  }

  #make(): void {
    const { key, make, revision } = this.#options;
    const began = performance.now();
    this.#revision = revision();
    this.#items = new Map([...make()].map((item) => [key(item), item]));
    const end = performance.now();
    this.#freshUntil = end + Math.max(FRESH_MS, SHARE * (end - began));
    this.#restUntil = end + RENEW_SHARE * (end - began);
  }
}
