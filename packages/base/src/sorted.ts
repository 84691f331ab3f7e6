/** Sorts long lists in steps, so that others have their turn between them. */

/** Items that are looked at in one step: well below a millisecond. */
const STEP = 1024;

/**
 * Sorts a copy, in the order that `toSorted` gives: equal items keep theirs.
 * @returns at its end: the copy
 */
export function* sortedInSteps<T>(items: readonly T[], compare: (a: T, b: T) => number): Generator<undefined, T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < items.length; at += STEP) {
    runs.push(items.slice(at, at + STEP).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const next: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const [a, b] = [runs[at]!, runs[at + 1]];
      next.push(b === undefined ? a : yield* merged(a, b, compare));
    }
    runs = next;
  }
  return runs[0] ?? [];
}

/** Merges two sorted lists. Of equal items, those of `a` come first. */
function* merged<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number): Generator<undefined, T[]> {
  if (compare(a.at(-1)!, b[0]!) <= 0) {
    yield;
    return a.concat(b);
  }
  const all: T[] = [];
  for (let [i, j] = [0, 0]; i < a.length || j < b.length; ) {
    all.push(j === b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0) ? a[i++]! : b[j++]!);
    if (all.length % STEP === 0) {
      yield;
    }
  }
  return all;
}

/** The items for which `isWanted` is true, in steps. @returns at its end */
export function* filteredInSteps<T>(items: Iterable<T>, isWanted: (item: T) => boolean): Generator<undefined, T[]> {
  const all: T[] = [];
  let looked = 0;
  for (const item of items) {
    if (isWanted(item)) {
      all.push(item);
    }
    if (++looked % STEP === 0) {
      yield;
    }
  }
  return all;
}

/** What `make` makes of each item, in steps. @returns at its end */
export function* mappedInSteps<T, R>(items: readonly T[], make: (item: T) => R): Generator<undefined, R[]> {
  const all: R[] = [];
  for (const item of items) {
    all.push(make(item));
    if (all.length % STEP === 0) {
      yield;
    }
  }
  return all;
}
