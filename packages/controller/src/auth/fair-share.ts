/**
 * Who gives way where everybody shares a bounded number of places, as of sessions: nobody has more
 * than a share, and where all places are taken, it is the one with most of them. Pure.
 */

export interface Places {
  /** Places of one, and of all. */
  each: number;
  total: number;
}

/**
 * What gives way to one more.
 * @param held who has each, the first to give way first
 * @returns undefined: there is room
 */
export function givesWay<K>(held: ReadonlyMap<K, string>, asker: string, { each, total }: Places): K | undefined {
  const byHolder = Map.groupBy(held, ([, holder]) => holder);
  const own = byHolder.get(asker) ?? [];
  if (own.length >= each) {
    return own[0]![0];
  }
  if (held.size < total) {
    return undefined;
  }
  const [most] = [...byHolder.values()].sort((a, b) => b.length - a.length);
  return most![0]![0];
}
