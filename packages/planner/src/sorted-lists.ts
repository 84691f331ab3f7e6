/**
 * Long lists in the order of ids, whose items are not changed: another list has other objects. Where
 * one list was made of another, what differs between them is known, and nothing else is looked at.
 */

type Item = { readonly id: string };

/** Index of the first item at `low` or behind whose id is not smaller. */
export function placeIn(items: readonly Item[], id: string, low = 0): number {
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

/** The item with an id. */
export function foundIn<T extends Item>(items: readonly T[], id: string): T | undefined {
  const found = items[placeIn(items, id)];
  return found?.id === id ? found : undefined;
}

/**
 * A copy of a sorted list in which some items are others.
 * @param ids of these items @param itemOf what there is of them now. Undefined: it is removed
 */
export function replacedIn<T extends Item>(
  items: readonly T[],
  ids: Iterable<string>,
  itemOf: (id: string) => T | undefined,
): T[] {
  const changes = [...ids].sort().map((id) => ({ id, item: itemOf(id) }));
  const copy = items.slice();
  const others: typeof changes = [];
  let at = 0;
  for (const change of changes) {
    at = placeIn(items, change.id, at);
    if (change.item && items[at]?.id === change.id) {
      copy[at] = change.item;
    } else {
      others.push(change);
    }
  }
  return others.length === 0 ? copy : merged(copy, others);
}

/** @param changes in the order of ids */
function merged<T extends Item>(items: readonly T[], changes: readonly { id: string; item: T | undefined }[]): T[] {
  const next: T[] = [];
  let from = 0;
  for (const { id, item } of changes) {
    const at = placeIn(items, id, from);
    for (; from < at; from++) {
      next.push(items[from]!);
    }
    from += items[at]?.id === id ? 1 : 0;
    if (item) {
      next.push(item);
    }
  }
  for (; from < items.length; from++) {
    next.push(items[from]!);
  }
  return next;
}

/** Ids that are remembered at most. A reader that has missed more of them compares whole lists. */
const MOST_IDS = 16_384;

/** Lists that were made one of another. */
export class Succession {
  /** Ids that differ, from one list to the next. The first is number `#first`. */
  #ids: string[] = [];
  #first = 0;

  /** The next list. @param ids of all items that differ from those of the list before */
  add(list: readonly Item[], ids: Iterable<string>): void {
    for (const id of ids) {
      this.#ids.push(id);
    }
    if (this.#ids.length > MOST_IDS) {
      const gone = this.#ids.length - MOST_IDS / 2;
      this.#ids = this.#ids.slice(gone);
      this.#first += gone;
    }
    places.set(list, { succession: this, end: this.#first + this.#ids.length });
  }

  /** Undefined: they are not remembered any more. */
  between(from: number, end: number): readonly string[] | undefined {
    return from < this.#first || end < from ? undefined : this.#ids.slice(from - this.#first, end - this.#first);
  }
}

/** Where a list is in its succession: behind so many ids. */
const places = new WeakMap<readonly Item[], { succession: Succession; end: number }>();

/** Ids of which two lists may have other items, sorted. Undefined: any may be others. */
export function differingIds(before: readonly Item[], now: readonly Item[]): readonly string[] | undefined {
  if (before === now) {
    return [];
  }
  const [a, b] = [places.get(before), places.get(now)];
  const ids = a && b && a.succession === b.succession ? b.succession.between(a.end, b.end) : undefined;
  return ids && [...new Set(ids)].sort();
}

/**
 * Calls `each` for every item that is not the same object as before, and for every removed id. Lists
 * that are not sorted by id give more, never less.
 */
export function forDiffering<T extends Item>(
  before: readonly T[],
  now: readonly T[],
  each: (id: string, item: T | undefined) => void,
): void {
  const known = differingIds(before, now);
  if (known === undefined) {
    compare(before, now, each);
    return;
  }
  for (const id of known) {
    const item = foundIn(now, id);
    if (item !== foundIn(before, id)) {
      each(id, item);
    }
  }
}

function compare<T extends Item>(
  before: readonly T[],
  now: readonly T[],
  each: (id: string, item: T | undefined) => void,
): void {
  const gone: string[] = [];
  let at = 0;
  for (const item of now) {
    // Nearly all are the same objects: their ids are not compared.
    for (; at < before.length && before[at] !== item && before[at]!.id < item.id; at++) {
      gone.push(before[at]!.id);
    }
    const known = before[at];
    if (known === item || known?.id === item.id) {
      at++;
    }
    if (known !== item) {
      each(item.id, item);
    }
  }
  for (; at < before.length; at++) {
    gone.push(before[at]!.id);
  }
  if (gone.length > 0) {
    const ids = new Set(now.map(({ id }) => id));
    for (const id of gone.filter((one) => !ids.has(one))) {
      each(id, undefined);
    }
  }
}
