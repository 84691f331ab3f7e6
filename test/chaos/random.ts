/**
 * A stream of random numbers that a seed determines: the same seed gives the same stream, on every
 * machine.
 */
export interface Random {
  /** From 0 up to, and without, 1. */
  next(): number;
  /** A whole number from 0 to `below - 1`. */
  int(below: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T;
  /** So many different ones of a list, or all. */
  some<T>(list: readonly T[], count: number): T[];
  /** One of a list that is not empty, in proportion to its weight. */
  weighted<T>(list: readonly T[], weight: (item: T) => number): T;
}

/** Starts the stream of a seed, a whole number from 0 to 2^32 - 1. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  // A Weyl sequence, and the bits of each of its numbers mixed until every one depends on every
  // other.
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    for (const [shift, factor] of [
      [16, 0x85ebca6b],
      [13, 0xc2b2ae35],
    ] as const) {
      mixed = Math.imul(mixed ^ (mixed >>> shift), factor);
    }
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
  const int = (below: number) => Math.floor(next() * below);
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick: (list) => list[int(list.length)]!,
    some(list, count) {
      const rest = [...list];
      const taken: (typeof rest)[number][] = [];
      while (taken.length < count && rest.length > 0) {
        taken.push(...rest.splice(int(rest.length), 1));
      }
      return taken;
    },
    weighted(list, weight) {
      let left = next() * list.reduce((sum, item) => sum + weight(item), 0);
      for (const item of list) {
        left -= weight(item);
        if (left < 0) {
          return item;
        }
      }
      return list.at(-1)!;
    },
  };
}
