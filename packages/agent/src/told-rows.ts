/** Remembers what was told of a list, so that a report can be a difference. Pure but for that. */
import { MAX_GONE } from '@mirrorplane/contract';

/** A list as it is to be told. */
export interface RowNews<R> {
  /** With `gone`: rows that are new or have changed. Otherwise all rows. */
  rows: R[];
  /** Keys of rows that were told and are there no more. Absent: the list is whole. */
  gone?: string[];
  /** Whether it differs from what was told last. */
  isNews: boolean;
}

/** The rows of one list that were told last, by key. */
export class ToldRows<R extends object> {
  readonly #key: (row: R) => string;
  readonly #most: number;
  /** Undefined: nothing was told. */
  #told: Map<string, R> | undefined;
  /** The same rows, in the order in which they were told. */
  #rows: readonly R[] = [];

  /** @param most rows of a list of which a difference is told; of a longer one, the receiver does not keep all */
  constructor(key: (row: R) => string, most = Number.POSITIVE_INFINITY) {
    this.#key = key;
    this.#most = most;
  }

  /** Nothing counts as told any more: the next list is whole, and news. */
  forget(): void {
    this.#told = undefined;
  }

  /**
   * What is to be told. All rows count as told from now on.
   * @param asDifference a difference is wanted, where something was told before
   */
  tell(rows: readonly R[], asDifference: boolean): RowNews<R> {
    const before = this.#told;
    const fits = Math.max(rows.length, before?.size ?? 0) <= this.#most;
    // The usual case of a node at rest: what has not changed is the same object.
    if (asDifference && before !== undefined && fits && areTheSame(rows, this.#rows)) {
      return { rows: [], gone: [], isNews: false };
    }
    const told = new Map<string, R>();
    const changed: R[] = [];
    for (const row of rows) {
      const key = this.#key(row);
      told.set(key, row);
      if (!isSame(before?.get(key), row)) {
        changed.push(row);
      }
    }
    const gone = [...(before?.keys() ?? [])].filter((key) => !told.has(key));
    this.#told = told;
    this.#rows = [...rows]; // the caller may change its list
    const isNews = before === undefined || changed.length + gone.length > 0;
    const isDifference = asDifference && before !== undefined && fits && gone.length <= MAX_GONE;
    return isDifference ? { rows: changed, gone, isNews } : { rows: [...rows], isNews };
  }
}

function areTheSame<R>(a: readonly R[], b: readonly R[]): boolean {
  return a.length === b.length && a.every((row, at) => row === b[at]);
}

/** Whether two values have the same JSON, apart from the order of fields. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return false;
  }
  if (Array.isArray(a) !== Array.isArray(b)) {
    return false;
  }
  // Without lists of the fields: each report compares thousands of rows, and these lists were half
  // of the garbage of an agent at rest.
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const name in left) {
    if (!isSame(left[name], right[name])) {
      return false;
    }
  }
  for (const name in right) {
    if (right[name] !== undefined && left[name] === undefined) {
      return false;
    }
  }
  return true;
}
