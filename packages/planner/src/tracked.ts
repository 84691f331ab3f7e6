/**
 * Tables that know which computations have read each of their entries, so that a changed entry
 * leads to exactly these computations.
 */

/**
 * A computation whose reads are known. It is stale until it is run, and after an entry that it read
 * has changed.
 */
export class Computation {
  /** What it has read: tables and keys, in turn. */
  readonly reads: { table: { forget(key: string, reader: Computation): void }; key: string }[] = [];
}

/** Runs computations one after another, and collects the stale ones. */
export class Tracker {
  #running: Computation | undefined;
  readonly #stale = new Set<Computation>();

  /** The computation that reads now. Undefined: reads are not recorded. */
  get running(): Computation | undefined {
    return this.#running;
  }

  /** Runs a computation, and records what it reads. @returns its result */
  run<T>(computation: Computation, compute: () => T): T {
    this.drop(computation);
    this.#running = computation;
    try {
      return compute();
    } finally {
      this.#running = undefined;
    }
  }

  /** The computation has to run again. */
  spoil(computation: Computation): void {
    this.#stale.add(computation);
  }

  isStale(computation: Computation): boolean {
    return this.#stale.has(computation);
  }

  /** Forgets a computation and its reads. */
  drop(computation: Computation): void {
    this.#stale.delete(computation);
    for (const { table, key } of computation.reads) {
      table.forget(key, computation);
    }
    computation.reads.length = 0;
  }
}

/** A map for readers of one tracker. */
export class TrackedTable<V> {
  readonly #tracker: Tracker;
  readonly #isSame: (a: V, b: V) => boolean;
  readonly #values = new Map<string, V>();
  readonly #readers = new Map<string, Set<Computation>>();

  /** @param isSame whether readers cannot tell two values apart */
  constructor(tracker: Tracker, isSame: (a: V, b: V) => boolean) {
    this.#tracker = tracker;
    this.#isSame = isSame;
  }

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    const { running } = this.#tracker;
    if (running) {
      this.#record(key, running);
    }
    return this.#values.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** All keys. This read is not recorded. */
  keys(): Iterable<string> {
    return this.#values.keys();
  }

  /**
   * Writes an entry. Undefined: removes it. The earlier value stays if readers cannot tell them
   * apart.
   * @returns whether readers can
   */
  set(key: string, value: V | undefined): boolean {
    const before = this.#values.get(key);
    if (before === value || (before !== undefined && value !== undefined && this.#isSame(before, value))) {
      return false;
    }
    if (value === undefined) {
      this.#values.delete(key);
    } else {
      this.#values.set(key, value);
    }
    for (const reader of this.#readers.get(key) ?? []) {
      this.#tracker.spoil(reader);
    }
    return true;
  }

  /** Removes all entries with a key that is not among these. */
  keepOnly(keys: ReadonlySet<string>, removed: (key: string) => void = () => undefined): void {
    for (const key of [...this.#values.keys()].filter((one) => !keys.has(one))) {
      removed(key);
      this.set(key, undefined);
    }
  }

  forget(key: string, reader: Computation): void {
    const readers = this.#readers.get(key);
    readers?.delete(reader);
    if (readers?.size === 0) {
      this.#readers.delete(key);
    }
  }

  #record(key: string, running: Computation): void {
    const readers = this.#readers.get(key);
    if (readers === undefined) {
      this.#readers.set(key, new Set([running]));
    } else if (readers.has(running)) {
      return;
    } else {
      readers.add(running);
    }
    running.reads.push({ table: this, key });
  }
}
