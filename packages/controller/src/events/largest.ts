/** Finds the largest of many sizes that change one at a time. */

/** Used part of the log. */
export interface Size {
  count: number;
  bytes: number;
}

/** A size among others. */
export interface Ranked extends Size {
  /** Of two equal sizes, the one with the lower order counts as larger. */
  readonly order: number;
  /** Its places in the heaps by number and by bytes. They belong to the heaps. */
  readonly at: Size;
}

/** A binary heap with the largest size first. A change costs at most as many steps as the heap has levels. */
export class Largest<T extends Ranked> {
  readonly #by: keyof Size;
  readonly #heap: T[] = [];

  /** @param by what is compared */
  constructor(by: keyof Size) {
    this.#by = by;
  }

  /** The largest. Undefined: there is none. */
  get first(): T | undefined {
    return this.#heap[0];
  }

  /** Adds a size that is not in the heap. */
  add(one: T): void {
    this.#put(one, this.#heap.length);
    this.#rise(one);
  }

  /** The size of one that is in the heap has changed. */
  changed(one: T): void {
    this.#rise(one);
    this.#sink(one);
  }

  /** Removes a size that is in the heap. */
  remove(one: T): void {
    const last = this.#heap.pop()!;
    if (last !== one) {
      this.#put(last, one.at[this.#by]);
      this.changed(last);
    }
  }

  #rise(one: T): void {
    for (;;) {
      const at = one.at[this.#by];
      const above = this.#heap[(at - 1) >> 1];
      if (at === 0 || above === undefined || this.#isLarger(above, one)) {
        return;
      }
      this.#put(one, above.at[this.#by]);
      this.#put(above, at);
    }
  }

  #sink(one: T): void {
    for (;;) {
      const at = one.at[this.#by];
      const [left, right] = [this.#heap[2 * at + 1], this.#heap[2 * at + 2]];
      const below = left && right && this.#isLarger(right, left) ? right : left;
      if (below === undefined || this.#isLarger(one, below)) {
        return;
      }
      this.#put(one, below.at[this.#by]);
      this.#put(below, at);
    }
  }

  #put(one: T, at: number): void {
    this.#heap[at] = one;
    one.at[this.#by] = at;
  }

  #isLarger(a: T, b: T): boolean {
    return a[this.#by] > b[this.#by] || (a[this.#by] === b[this.#by] && a.order < b.order);
  }
}
