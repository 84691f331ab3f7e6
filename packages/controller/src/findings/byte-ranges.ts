/**
 * Which bytes of a stream were seen how often. Packets of TCP are compared by their bytes, since a
 * super-packet at one place is many segments at another. Pure.
 */
import { Counters } from './counters.ts';

/** Bytes of a stream, from the first to the one behind the last. Never empty. */
export interface ByteRange {
  start: number;
  end: number;
}

/** Counts how often each byte was seen, between bounds that are known from the beginning. */
export class ByteCoverage {
  /** Ascending. Bytes from `#edges[i]` up to `#edges[i + 1]` were seen as often as counter i says. */
  readonly #edges: Float64Array;
  readonly #counters: Counters;

  /**
   * @param seen what was seen, once for each time
   * @param asked what `take` will be asked for: its bounds have to be known before
   */
  constructor(seen: readonly ByteRange[], asked: readonly ByteRange[]) {
    const edges = new Set<number>();
    for (const { start, end } of [...seen, ...asked]) {
      edges.add(start).add(end);
    }
    this.#edges = Float64Array.from(edges).sort();
    const differences = new Int32Array(this.#edges.length + 1);
    for (const { start, end } of seen) {
      differences[this.#at(start)]! += 1;
      differences[this.#at(end)]! -= 1;
    }
    const counts = new Int32Array(this.#edges.length);
    let count = 0;
    for (let i = 0; i < counts.length; i++) {
      count += differences[i]!;
      counts[i] = count;
    }
    this.#counters = new Counters(counts);
  }

  /** Takes a range away once. @returns the parts of it that were not there, joined and ascending */
  take({ start, end }: ByteRange): ByteRange[] {
    const missing: ByteRange[] = [];
    this.#counters.take(this.#at(start), this.#at(end), (from, to) => {
      const part = { start: this.#edges[from]!, end: this.#edges[to]! };
      const last = missing.at(-1);
      if (last?.end === part.start) {
        last.end = part.end;
      } else {
        missing.push(part);
      }
    });
    return missing;
  }

  /** Index of an edge. */
  #at(edge: number): number {
    let low = 0;
    let high = this.#edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#edges[middle]! < edge) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/**
 * Turns 32-bit sequence numbers into numbers that only grow, by what is nearest to the one before.
 */
export class Unwrapper {
  #last: number;

  /** @param base the number to begin with */
  constructor(base: number) {
    this.#last = base;
  }

  of(sequence: number): number {
    this.#last += (sequence - this.#last) | 0;
    return this.#last;
  }
}
