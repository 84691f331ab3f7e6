/** Random numbers that follow from a seed alone. */

/** A stream of random numbers: sfc32 of PractRand, seeded by splitmix32. */
export class Random {
  readonly #words: Uint32Array;

  /** @param seed a whole number; @param stream tells streams of one seed apart */
  constructor(seed: number, stream = 0) {
    let state = (seed ^ Math.imul(stream + 1, 0x9e3779b9)) >>> 0;
    const word = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    };
    this.#words = Uint32Array.of(word(), word(), word(), 1);
    for (let round = 0; round < 12; round++) {
      this.next();
    }
  }

  /** From 0 to below 1. */
  next(): number {
    const words = this.#words;
    const sum = (words[0]! + words[1]! + words[3]!) >>> 0;
    words[3] = words[3]! + 1;
    words[0] = words[1]! ^ (words[1]! >>> 9);
    words[1] = words[2]! + (words[2]! << 3);
    words[2] = ((words[2]! << 21) | (words[2]! >>> 11)) + sum;
    return sum / 2 ** 32;
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** From `least` to below `most`. */
  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of the items; undefined: there is none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(items.length)];
  }

  /** Some of the items, at least one of a list that is not empty, in the order of the list. */
  some<T>(items: readonly T[], most: number): T[] {
    const left = new Set(items);
    const count = Math.min(items.length, 1 + this.below(most));
    while (left.size > count) {
      left.delete(this.pick([...left])!);
    }
    return [...left];
  }
}
