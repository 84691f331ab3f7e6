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

/** Counts who has places, where nobody gives way: one more waits until another one is done. */
export class HeldPlaces {
  readonly #places: Places;
  readonly #held = new Map<string, number>();

  constructor(places: Places) {
    this.#places = places;
  }

  /** Why there is no place for one more. Undefined: there is one. */
  whyNot(holder: string): 'each' | 'total' | undefined {
    const { each, total } = this.#places;
    if ((this.#held.get(holder) ?? 0) >= each) {
      return 'each';
    }
    return this.#held.values().reduce((sum, one) => sum + one, 0) >= total ? 'total' : undefined;
  }

  /** Takes a place. @returns what gives it back, once */
  take(holder: string): () => void {
    this.#add(holder, 1);
    let isTaken = true;
    return () => {
      if (isTaken) {
        isTaken = false;
        this.#add(holder, -1);
      }
    };
  }

  #add(holder: string, more: number): void {
    const count = (this.#held.get(holder) ?? 0) + more;
    if (count > 0) {
      this.#held.set(holder, count);
    } else {
      this.#held.delete(holder);
    }
  }
}
