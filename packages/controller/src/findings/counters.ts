/** Counters in a row that are taken from in ranges. Pure. */

/**
 * A tree over the counters: each node knows the least and the greatest of its part, so that a part
 * whose counters are all above zero, or all zero, is one step.
 */
export class Counters {
  /** Counters of the lowest level: a power of two. Those behind the last one are zero. */
  readonly #width: number;
  readonly #least: Int32Array;
  readonly #greatest: Int32Array;
  /** What was taken from a whole part, and its halves do not know yet. */
  readonly #owed: Int32Array;

  constructor(counts: Int32Array) {
    this.#width = 2 ** Math.ceil(Math.log2(Math.max(counts.length, 1)));
    this.#least = new Int32Array(this.#width * 2);
    this.#least.set(counts, this.#width);
    this.#greatest = this.#least.slice();
    this.#owed = new Int32Array(this.#width * 2);
    for (let node = this.#width - 1; node > 0; node--) {
      this.#join(node);
    }
  }

  /**
   * Takes one from each counter that is not zero.
   * @param from the first counter
   * @param to the one behind the last
   * @param onZero is told of counters that are zero, as ranges, in ascending order
   */
  take(from: number, to: number, onZero: (from: number, to: number) => void): void {
    this.#take({ node: 1, first: 0, behind: this.#width }, { from, to, onZero });
  }

  #take(
    part: { node: number; first: number; behind: number },
    asked: { from: number; to: number; onZero: (from: number, to: number) => void },
  ): void {
    const { node, first, behind } = part;
    const { from, to, onZero } = asked;
    if (behind <= from || to <= first) {
      return;
    }
    if (this.#greatest[node] === 0) {
      onZero(Math.max(first, from), Math.min(behind, to));
      return;
    }
    if (from <= first && behind <= to && this.#least[node]! > 0) {
      this.#owe(node, 1);
      return;
    }
    // One counter is all zero, or all above zero: this part has halves.
    this.#settle(node);
    const middle = (first + behind) / 2;
    this.#take({ node: node * 2, first, behind: middle }, asked);
    this.#take({ node: node * 2 + 1, first: middle, behind }, asked);
    this.#join(node);
  }

  #owe(node: number, count: number): void {
    this.#least[node]! -= count;
    this.#greatest[node]! -= count;
    this.#owed[node]! += count;
  }

  /** The halves get what their whole owes. */
  #settle(node: number): void {
    const owed = this.#owed[node]!;
    if (owed > 0) {
      this.#owe(node * 2, owed);
      this.#owe(node * 2 + 1, owed);
      this.#owed[node] = 0;
    }
  }

  #join(node: number): void {
    this.#least[node] = Math.min(this.#least[node * 2]!, this.#least[node * 2 + 1]!);
    this.#greatest[node] = Math.max(this.#greatest[node * 2]!, this.#greatest[node * 2 + 1]!);
  }
}
