/** Items in the order of their ids, of which few change at a time. */
import { isDeepStrictEqual } from 'node:util';

/** With more new or removed items at once, all are sorted again. */
const FEW = 64;

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
    if (this.#changed.size > FEW) {
      this.#sorted = [...this.#items.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    } else if (this.#changed.size > 0) {
      const next = [...this.#sorted];
      for (const id of this.#changed) {
        const item = this.#items.get(id);
        const at = placeIn(next, id);
        next.splice(at, next[at]?.id === id ? 1 : 0, ...(item ? [item] : []));
      }
      this.#sorted = next;
    }
    this.#changed.clear();
    return this.#sorted;
  }
}

/** Index of the first item whose id is not smaller. */
function placeIn(items: readonly { id: string }[], id: string): number {
  let [low, high] = [0, items.length];
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
