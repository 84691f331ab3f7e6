/** What differs between two sorted lists whose items are not changed. */

/**
 * Calls `each` for every item that is not the same object as before, and for every removed id. Lists
 * that are not sorted by id give more, never less.
 */
export function forDiffering<T extends { id: string }>(
  before: readonly T[],
  now: readonly T[],
  each: (id: string, item: T | undefined) => void,
): void {
  if (before === now) {
    return;
  }
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
  gone.push(...before.slice(at).map(({ id }) => id));
  if (gone.length > 0) {
    const ids = new Set(now.map(({ id }) => id));
    for (const id of gone.filter((one) => !ids.has(one))) {
      each(id, undefined);
    }
  }
}
