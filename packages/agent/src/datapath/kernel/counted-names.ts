/**
 * Keeps the names of counters, including those of parts that have left the program, while they are
 * needed. Pure.
 */

/**
 * Milliseconds after the apply that removed a part. A report that is read later has all counts of
 * the part, because a BPF program that ran during the apply has ended by then.
 */
export const SETTLE_MS = 1000;

interface Named<T> {
  name: T;
  /**
   * Monotonic milliseconds. Undefined while it is in the program; Infinity while it is being taken
   * out.
   */
  leftAt?: number | undefined;
}

/**
 * Names of one kind of counters, by id. A name that leaves the program stays until a report with
 * its last counts is saved. All times are monotonic milliseconds of one clock.
 */
export class CountedNames<T> {
  readonly #names = new Map<string, Named<T>>();

  /**
   * Adds names of an earlier run. They count as having left now, until the program has them again.
   */
  inherit(entries: Iterable<[string, T]>, now: number): void {
    for (const [id, name] of entries) {
      this.#names.set(id, { name, leftAt: now });
    }
  }

  /** Sets the names of a new program, before it is carried out. */
  enter(entries: ReadonlyMap<string, T>): void {
    for (const [id, named] of this.#names) {
      if (!entries.has(id)) {
        named.leftAt ??= Number.POSITIVE_INFINITY;
      }
    }
    for (const [id, name] of entries) {
      this.#names.set(id, { name });
    }
  }

  /** The program has been carried out: names that were to leave have left. */
  entered(now: number): void {
    for (const named of this.#names.values()) {
      if (named.leftAt === Number.POSITIVE_INFINITY) {
        named.leftAt = now;
      }
    }
  }

  /** The controller has saved the report that was read at `readAt`. */
  saved(readAt: number): void {
    for (const [id, { leftAt }] of this.#names) {
      if (leftAt !== undefined && leftAt + SETTLE_MS <= readAt) {
        this.#names.delete(id);
      }
    }
  }

  /**
   * Forgets the name that left first, saved or not, and returns its id. Undefined if all names are
   * in the program.
   */
  forgetOldest(): string | undefined {
    let oldest: string | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const [id, { leftAt }] of this.#names) {
      if (leftAt === undefined || (oldest !== undefined && leftAt >= since)) {
        continue;
      }
      oldest = id;
      since = leftAt;
    }
    if (oldest !== undefined) {
      this.#names.delete(oldest);
    }
    return oldest;
  }

  get(id: string): T | undefined {
    return this.#names.get(id)?.name;
  }

  /** Ids and names of all counters to report. */
  *entries(): Iterable<[string, T]> {
    for (const [id, { name }] of this.#names) {
      yield [id, name];
    }
  }

  ids(): Set<string> {
    return new Set(this.#names.keys());
  }
}
