/** Items in the order of their ids, of which few change at a time. */
import { isDeepStrictEqual } from 'node:util';
import { replacedIn, Succession } from '@mirrorplane/planner';

/** Where a larger part of all items has changed at once, all are sorted again. */
const PART = 1 / 8;

export class SortedItems<T extends { id: string }> {
  readonly #items = new Map<string, T>();
  #sorted: readonly T[] = [];
  #succession = new Succession();
  readonly #changed = new Set<string>();
  readonly #twin: Pick<SortedItems<T>, 'get'> | undefined;

  /** @param twin others whose items are mostly equal: what is equal is kept as one object */
  constructor(twin?: Pick<SortedItems<T>, 'get'>) {
    this.#twin = twin;
  }

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
      return true;
    }
    const other = this.#twin?.get(id);
    this.#items.set(id, other !== undefined && isDeepStrictEqual(other, item) ? other : item);
    return true;
  }

  /** All items, sorted. The same list until one changes; `forDiffering` knows what differs from an earlier one. */
  all(): readonly T[] {
    if (this.#changed.size === 0) {
      return this.#sorted;
    }
    if (this.#changed.size > PART * this.#items.size) {
      this.#sorted = [...this.#items.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
      this.#succession = new Succession();
      this.#succession.add(this.#sorted, []);
    } else {
      this.#sorted = replacedIn(this.#sorted, this.#changed, (id) => this.#items.get(id));
      this.#succession.add(this.#sorted, this.#changed);
    }
    this.#changed.clear();
    return this.#sorted;
  }
}
