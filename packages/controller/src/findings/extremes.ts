/** The least and the greatest of many numbers: more than a call takes as arguments. Pure. */

/** Infinity: there is none. */
export function least(numbers: readonly number[]): number {
  return numbers.reduce((found, one) => Math.min(found, one), Number.POSITIVE_INFINITY);
}

/** Infinity, negative: there is none. */
export function greatest(numbers: readonly number[]): number {
  return numbers.reduce((found, one) => Math.max(found, one), Number.NEGATIVE_INFINITY);
}
