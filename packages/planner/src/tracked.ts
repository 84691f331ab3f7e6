/**
 * Tables that know which computations have read each of their entries, so that a changed entry
 * leads to exactly these computations.
 */

/**
 * A computation whose reads are known. It is stale until it is run, and after an entry that it read
 * has changed.
 */
export class Computation {
  /** What it has read: a table and a key, in turn. */
  readonly reads: (Readers | string)[] = [];
  /** How often it has run. */
  runs = 0;
}

/**
 * A computation that runs again mostly reads what it has read. So its reads stay, and those that it
 * does not make any more are forgotten with every so many runs: until then it may run without need.
 */
const RUNS_WITH_READS = 16;

/** Who has read each entry of one table. Most entries have one reader, which takes no set. */
class Readers {
  readonly #tracker: Tracker;
  readonly #readers = new Map<string, Computation | Set<Computation>>();

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
  }

  /** The computation that runs reads an entry. */
  note(key: string): void {
    const { running } = this.#tracker;
    if (running === undefined) {
      return;
    }
    const readers = this.#readers.get(key);
    if (readers === running || (readers instanceof Set && readers.has(running))) {
      return;
    }
    if (readers === undefined) {
      this.#readers.set(key, running);
    } else if (readers instanceof Set) {
      readers.add(running);
    } else {
      this.#readers.set(key, new Set([readers, running]));
    }
    running.reads.push(this, key);
  }

  /** An entry is another one now. */
  spoil(key: string): void {
    const readers = this.#readers.get(key);
    for (const reader of readers instanceof Set ? readers : readers ? [readers] : []) {
      this.#tracker.spoil(reader);
    }
  }

  forget(key: string, reader: Computation): void {
    const readers = this.#readers.get(key);
    if (readers instanceof Set) {
      readers.delete(reader);
    }
    if (readers === reader || (readers instanceof Set && readers.size === 0)) {
      this.#readers.delete(key);
    }
  }
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
    if (computation.runs++ % RUNS_WITH_READS === 0) {
      this.drop(computation);
    }
    this.#stale.delete(computation);
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
    for (let at = 0; at < computation.reads.length; at += 2) {
      (computation.reads[at] as Readers).forget(computation.reads[at + 1] as string, computation);
    }
    computation.reads.length = 0;
  }
}

/** A map for readers of one tracker. */
export class TrackedTable<V> {
  readonly #isSame: (a: V, b: V) => boolean;
  readonly #values = new Map<string, V>();
  readonly #readers: Readers;

  /** @param isSame whether readers cannot tell two values apart */
  constructor(tracker: Tracker, isSame: (a: V, b: V) => boolean) {
    this.#readers = new Readers(tracker);
    this.#isSame = isSame;
  }

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    this.#readers.note(key);
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
    this.#readers.spoil(key);
    return true;
  }

  /** Removes all entries with a key that is not among these. */
  keepOnly(keys: ReadonlySet<string>, removed: (key: string) => void = () => undefined): void {
    for (const key of [...this.#values.keys()].filter((one) => !keys.has(one))) {
      removed(key);
      this.set(key, undefined);
    }
  }
}

/** A map for readers of one tracker whose values are made when they are read. */
export class TrackedReads<V> {
  readonly #make: (key: string) => V | undefined;
  readonly #readers: Readers;

  constructor(tracker: Tracker, make: (key: string) => V | undefined) {
    this.#readers = new Readers(tracker);
    this.#make = make;
  }

  get(key: string): V | undefined {
    this.#readers.note(key);
    return this.#make(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** The value of a key may be another one now. */
  changed(key: string): void {
    this.#readers.spoil(key);
  }
}
