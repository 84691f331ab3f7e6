/** Which names have counters, and how long those of something that has left the program are still needed. Pure. */

/**
 * Milliseconds from the end of the apply that took something out of the data path to the first report that has all of its
 * counts for certain: a program that was running then has long ended.
 */
export const SETTLE_MS = 1000;

interface Named<T> {
  name: T;
  /** Monotonic milliseconds. Undefined while it is in the program; Infinity while it is being taken out. */
  leftAt?: number | undefined;
}

/**
 * Names of one kind of counters, by id. What leaves the program stays until a report with its last counts is saved. All
 * times are monotonic milliseconds of one clock.
 */
export class CountedNames<T> {
  readonly #names = new Map<string, Named<T>>();

  /** What an earlier run has left: until the program names it again, it counts as having left now. */
  inherit(entries: Iterable<[string, T]>, now: number): void {
    for (const [id, name] of entries) {
      this.#names.set(id, { name, leftAt: now });
    }
  }

  /** Takes the names of a new program, before it is carried out. */
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

  /** The program is carried out: what was to leave has left. */
  entered(now: number): void {
    for (const named of this.#names.values()) {
      if (named.leftAt === Number.POSITIVE_INFINITY) {
        named.leftAt = now;
      }
    }
  }

  /** A report that was read at `readAt` is on the disk of the controller. */
  saved(readAt: number): void {
    for (const [id, { leftAt }] of this.#names) {
      if (leftAt !== undefined && leftAt + SETTLE_MS <= readAt) {
        this.#names.delete(id);
      }
    }
  }

  /** Forgets what has left first, saved or not, and returns its id; undefined where all is in the program. */
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

  /** Ids and names of all that has to be reported. */
  *entries(): Iterable<[string, T]> {
    for (const [id, { name }] of this.#names) {
      yield [id, name];
    }
  }

  ids(): Set<string> {
    return new Set(this.#names.keys());
  }
}
