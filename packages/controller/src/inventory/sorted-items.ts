/** Items in the order of their ids, of which few change at a time. */
import { isDeepStrictEqual } from 'node:util';

/** Where a larger part of all items has changed at once, all are sorted again. */
const PART = 1 / 8;

export class SortedItems<T extends { id: string }> {
  readonly #items = new Map<string, T>();
  #sorted: readonly T[] = [];
  readonly #changed = new Set<string>();

  get(id: string): T | undefined {
    return this.#items.get(id);
  }

  /** Ids of all items. */
  ids(): Iterable<string> {
    return this.#items.keys();
  }

  /** Undefined: removes the item. An equal item stays the same object. @returns whether it is another one now */
  set(id: string, item: T | undefined): boolean {
    const before = this.#items.get(id);
    if (before === item || (item !== undefined && isDeepStrictEqual(before, item))) {
      return false;
    }
    this.#changed.add(id);
    if (item === undefined) {
      this.#items.delete(id);
    } else {
      this.#items.set(id, item);
    }
    return true;
  }

  /** All items, sorted. The same list until one changes. */
  all(): readonly T[] {
    if (this.#changed.size > PART * this.#items.size) {
      this.#sorted = [...this.#items.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    } else if (this.#changed.size > 0) {
      this.#sorted = this.#withChanged();
    }
    this.#changed.clear();
    return this.#sorted;
  }

  /** The sorted list with the items that have changed: what lies between them is copied. */
  #withChanged(): T[] {
    const next: T[] = [];
    let from = 0;
    for (const id of [...this.#changed].sort()) {
      const at = placeIn(this.#sorted, id, from);
      for (; from < at; from++) {
        next.push(this.#sorted[from]!);
      }
      from += this.#sorted[at]?.id === id ? 1 : 0;
      const item = this.#items.get(id);
      if (item) {
        next.push(item);
      }
    }
    for (; from < this.#sorted.length; from++) {
      next.push(this.#sorted[from]!);
    }
    return next;
  }
}

/** Index of the first item at `low` or behind whose id is not smaller. */
export function placeIn(items: readonly { id: string }[], id: string, low: number): number {
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle]!.id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
