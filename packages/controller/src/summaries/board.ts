/** Items that many readers look at, made again for all of them at once. */

/** Milliseconds that items are shown at least before they are made again. */
const FRESH_MS = 1000;
/**
 * Making them takes a fiftieth of a CPU at most: where it takes long, they are shown longer.
 */
const SHARE = 50;

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

  constructor(options: BoardOptions<T>) {
    this.#options = options;
  }

  /**
   * All items: a second old at most where they are made quickly, and never older than the last
   * change of an operator. The same map is given until they are made again.
   */
  items(): ReadonlyMap<string, T> {
    if (performance.now() >= this.#freshUntil || this.#options.revision() !== this.#revision) {
      this.#make();
    }
    return this.#items;
  }

  #make(): void {
    const { key, make, revision } = this.#options;
    const [began, cpu] = [performance.now(), process.threadCpuUsage()];
    this.#revision = revision();
    this.#items = new Map([...make()].map((item) => [key(item), item]));
    const { user, system } = process.threadCpuUsage(cpu);
    // A little less than a second, so that who asks each second gets new ones each time.
    this.#freshUntil = began + Math.max(0.9 * FRESH_MS, (SHARE * (user + system)) / 1000);
  }
}
