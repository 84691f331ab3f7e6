/** Where totals of one kind are kept, and the same counts as names and numbers one level deep. */
import { addCount, type Count, ZERO } from '@mirrorplane/contract';
import type { EveryCount } from './every-count.ts';

/** Counts by name, one level deep: `dropped.noDelivery` beside `matched`. */
export type Flat = Readonly<Record<string, Count>>;

export interface SavedTotal<R> {
  /** The last report, which also has the names. */
  last: R;
  /** Sum over all earlier epochs. */
  base: Flat;
}

/**
 * What becomes of the sum with another report. `on`: the report goes on from the last one. `again`: it
 * has begun again from 0. `stay`: the sum stays as it is, and later reports go on from this one.
 */
export type Goes = 'on' | 'again' | 'stay';

/**
 * Keeps totals: the last report of each, the sum over all epochs, and this sum at the ends of the last
 * two periods.
 * @template R a report @template B what of an earlier sum is compared with later ones
 * @template H stands for one total
 */
export interface Shelf<R, B, H> {
  /** The total that the report is of. Undefined: there is none. */
  find(report: R): H | undefined;
  /** The key of the total, as in files of older versions. */
  id(report: R): string;
  /** A total that begins with this report. @param isCounted false: its sum begins with 0 */
  add(report: R, isCounted: boolean): void;
  restore(last: R, base: Flat): void;
  /** The last report, for who keeps nothing of it: another call may change it. */
  last(total: H): R;
  put(total: H, report: R, goes: Goes): void;
  /** An epoch has ended: the next report begins from 0. */
  fold(total: H): void;
  sum(total: H): R;
  /** The sum two periods ago. Undefined: there was none. */
  before(total: H): B | undefined;
  saved(total: H): [string, SavedTotal<R>];
  /** A period has passed. */
  tick(): void;
  every: EveryCount<R>;
  all(): Iterable<H>;
  of(policy: string): Iterable<H>;
  policies(): Iterable<string>;
  remove(policy: string): void;
}

/** Most totals have no earlier epochs. Nobody changes it. */
export const NO_BASE: Flat = Object.freeze({});

const isCount = (value: unknown): value is Count =>
  typeof value === 'object' && value !== null && 'packets' in value && 'bytes' in value;

/** All counts of a report. */
export function flatten(value: object, prefix = '', into: Record<string, Count> = {}): Flat {
  for (const [name, field] of Object.entries(value)) {
    if (isCount(field)) {
      into[prefix + name] = field;
    } else if (typeof field === 'object' && field !== null) {
      flatten(field, `${prefix}${name}.`, into);
    }
  }
  return into;
}

/**
 * A copy of which no part is shared: equal parts of a report may be one object. Nothing is added to
 * lists.
 */
function copyOf(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === 'object' && field !== null && !Array.isArray(field) ? copyOf(field) : field,
    ]),
  );
}

/** A copy of `report` with `base` added to its counts. */
function plus<R extends object>(report: R, base: Flat): R {
  const sum = copyOf(report);
  for (const [path, count] of Object.entries(base)) {
    const names = path.split('.');
    const last = names.pop()!;
    const parent = names.reduce((at, name) => at[name] as Record<string, unknown>, sum);
    parent[last] = isCount(parent[last]) ? addCount(parent[last], count) : count;
  }
  return sum as R;
}

/** The sum of a total: the report itself where there is no base. */
export function sumOf<R extends object>({ last, base }: SavedTotal<R>): R {
  return base === NO_BASE || Object.keys(base).length === 0 ? last : plus(last, base);
}

export function difference(a: Flat, b: Flat): Flat {
  const paths = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...paths].map((path) => {
      const [x, y] = [a[path] ?? ZERO, b[path] ?? ZERO];
      return [path, { packets: x.packets - y.packets, bytes: x.bytes - y.bytes }];
    }),
  );
}

/** The same report with counts of 0. */
export function zeroOf<R extends object>(report: R): R {
  const zero = copyOf(report);
  clear(zero);
  return zero as R;
}

function clear(value: object): void {
  for (const [name, field] of Object.entries(value)) {
    if (isCount(field)) {
      Object.assign(value, { [name]: { packets: 0, bytes: 0 } });
    } else if (Array.isArray(field)) {
      Object.assign(value, { [name]: [] });
    } else if (typeof field === 'object' && field !== null) {
      clear(field);
    }
  }
}
