/**
 * Long lists in the orders that readers ask for, kept from one reader to the next. Where few items
 * differ, they alone are sorted.
 */
import { mappedInSteps, sortedInSteps } from '@mirrorplane/base';
import { differingIds, foundIn } from '@mirrorplane/planner';

/** What a list is sorted by. */
type Value = string | number | undefined;

/** An item with what it is sorted by. */
interface Ranked {
  key: string;
  value: Value;
}

/**
 * Compares by value, and by key where it is the same. Undefined comes last.
 * @param sort with "-" before the field, the largest value comes first
 */
export function byRank(sort: string): (a: Ranked, b: Ranked) => number {
  const factor = sort.startsWith('-') ? -1 : 1;
  const byKey = (a: Ranked, b: Ranked) => (a.key < b.key ? -1 : 1);
  return (a, b) => {
    if (a.value === b.value) {
      return byKey(a, b);
    }
    if (a.value === undefined || b.value === undefined) {
      return a.value === undefined ? 1 : -1;
    }
    return factor * (a.value < b.value ? -1 : 1);
  };
}

/** Orders that are kept: those that were read last. */
const MOST = 4;
/**
 * Sorting all again, where values change by themselves, takes a fiftieth of the time at most.
 */
const SHARE = 50;
/** Milliseconds that an order is kept at most. Where others need the CPU, sorting takes long by the clock. */
const MOST_MS = 10_000;
/** Items that are looked at in one step. */
const STEP = 1024;

/** How a list is sorted. */
interface Order<T> {
  /** A field, with "-" before it for the largest first. */
  sort: string;
  /** What an item is sorted by. */
  value: (item: T) => Value;
  /** Whether values change although the item stays the same object. They may then be some seconds old. */
  isPassing: boolean;
}

interface Kept<T> {
  of: readonly T[];
  ranked: readonly (Ranked & { item: T })[];
  items: readonly T[];
  /** Milliseconds of `performance.now()`. */
  freshUntil: number;
}

export class KeptOrders<T extends { readonly id: string }> {
  /** By sort. The one that was read last is behind. */
  readonly #kept = new Map<string, Kept<T>>();

  /**
   * All items in an order, in steps.
   * @param all in the order of ids. An item that differs is another object
   * @returns at its end
   */
  *of(all: readonly T[], order: Order<T>): Generator<undefined, readonly T[]> {
    const { sort } = order;
    const before = this.#kept.get(sort);
    const isFresh = before !== undefined && performance.now() < before.freshUntil;
    const kept = isFresh ? yield* changed(before, all, order) : yield* sorted(all, order);
    this.#kept.delete(sort);
    this.#kept.set(sort, kept);
    if (this.#kept.size > MOST) {
      this.#kept.delete(this.#kept.keys().next().value!);
    }
    return kept.items;
  }
}

function* sorted<T extends { readonly id: string }>(all: readonly T[], order: Order<T>): Generator<undefined, Kept<T>> {
  const began = performance.now();
  const ranked = yield* sortedInSteps(yield* mappedInSteps(all, rankerOf(order)), byRank(order.sort));
  const items = ranked.map(({ item }) => item);
  const now = performance.now();
  const freshUntil = order.isPassing ? now + Math.min(SHARE * (now - began), MOST_MS) : Number.POSITIVE_INFINITY;
  return { of: all, ranked, items, freshUntil };
}

/** The same order, where only items that differ are sorted in again. */
function* changed<T extends { readonly id: string }>(
  before: Kept<T>,
  all: readonly T[],
  order: Order<T>,
): Generator<undefined, Kept<T>> {
  if (before.of === all) {
    return before;
  }
  const { gone, come } = yield* differing(before.of, all);
  if (come.length > all.length >> 3) {
    return yield* sorted(all, order);
  }
  const compare = byRank(order.sort);
  const added = come.map(rankerOf(order)).sort(compare);
  const ranked: Kept<T>['ranked'][number][] = [];
  let [next, looked] = [0, 0];
  for (const one of before.ranked) {
    while (next < added.length && compare(added[next]!, one) < 0) {
      ranked.push(added[next++]!);
    }
    if (!gone.has(one.item)) {
      ranked.push(one);
    }
    if (++looked % STEP === 0) {
      yield;
    }
  }
  ranked.push(...added.slice(next));
  return { of: all, ranked, items: ranked.map(({ item }) => item), freshUntil: before.freshUntil };
}

/** What is in one of two lists alone. Both are in the order of ids. */
function* differing<T extends { readonly id: string }>(
  before: readonly T[],
  now: readonly T[],
): Generator<undefined, { gone: Set<T>; come: T[] }> {
  const gone = new Set<T>();
  const come: T[] = [];
  const known = differingIds(before, now);
  for (const id of known ?? []) {
    const [a, b] = [foundIn(before, id), foundIn(now, id)];
    if (a !== b) {
      gone.add(a!);
      come.push(...(b ? [b] : []));
    }
  }
  if (known) {
    gone.delete(undefined as never);
    return { gone, come };
  }
  for (let [i, j, looked] = [0, 0, 0]; i < before.length || j < now.length; looked++) {
    const [a, b] = [before[i], now[j]];
    if (a !== b) {
      if (a && !(b && b.id < a.id)) {
        gone.add(a);
      }
      if (b && !(a && a.id < b.id)) {
        come.push(b);
      }
    }
    i += a && !(b && b.id < a.id) ? 1 : 0;
    j += b && !(a && a.id < b.id) ? 1 : 0;
    if (looked % STEP === 0) {
      yield;
    }
  }
  return { gone, come };
}

function rankerOf<T extends { readonly id: string }>({ value }: Order<T>): (item: T) => Ranked & { item: T } {
  return (item) => ({ item, key: item.id, value: value(item) });
}
