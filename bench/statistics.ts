/** Summaries of a few noisy runs. Pure. */

/** The middle value; the mean of the two middle ones for an even number. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Values of one variant and of what it is compared with: element i of both is of the same round.
 */
export function ratios(values: readonly number[], baseline: readonly number[]): number[] {
  return values.map((value, round) => value / baseline[round]!);
}

/**
 * An interval that holds the true median with at least 95 % probability where there are nine values
 * (order statistics, no assumption about the noise). With fewer than six values no such interval
 * exists: the whole range is returned.
 */
export function medianInterval(values: readonly number[]): [low: number, high: number] {
  const sorted = [...values].sort((a, b) => a - b);
  let cut = 0;
  // Both tails of a binomial(n, 1/2) up to and with `cut` values must stay below 5 %.
  for (let k = 0, tail = 0, ways = 1; k < sorted.length / 2; k++) {
    tail += ways / 2 ** sorted.length;
    if (2 * tail > 0.05) {
      break;
    }
    cut = k;
    ways = (ways * (sorted.length - k)) / (k + 1);
  }
  return [sorted[cut]!, sorted[sorted.length - 1 - cut]!];
}

/** A quarter of the values are at most this one. NaN for none. */
export function lowerQuartile(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.ceil(values.length / 4) - 1] ?? Number.NaN;
}

/** The mean of the lowest tenth: what a thing takes that nothing disturbs. NaN for none. */
export function lowMean(values: readonly number[]): number {
  const lowest = [...values].sort((a, b) => a - b).slice(0, Math.ceil(values.length / 10));
  return lowest.reduce((sum, value) => sum + value, 0) / lowest.length;
}
