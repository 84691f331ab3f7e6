/** Counts of a capture as eight numbers, and why packets were not copied beside them. */
import { type CaptureCounts, type Count, ZERO } from '@mirrorplane/contract';
import type { Flat } from './shelf.ts';

/** Counts that every capture has, in the order of their numbers: packets and bytes of each. */
const NAMES = ['matched', 'sampledOut', 'copied', 'truncated'] as const;
/** How many numbers they are. */
export const COUNTS = 2 * NAMES.length;
/** Places of two of them. */
export const COPIED = 2 * NAMES.indexOf('copied');
export const TRUNCATED = 2 * NAMES.indexOf('truncated');

/** Counts by reason. Most captures have none. */
export type Reasons = Pick<CaptureCounts, 'dropped' | 'skipped'>;
const NONE = Object.freeze({});
export const NO_REASONS: Reasons = Object.freeze({ dropped: NONE, skipped: NONE });

/** Writes the counts from a place on. */
export function writeCounts(numbers: Float64Array, at: number, counts: CaptureCounts): void {
  let place = at;
  for (const name of NAMES) {
    numbers[place++] = counts[name].packets;
    numbers[place++] = counts[name].bytes;
  }
}

/** The counts that were written at a place. */
export function countsAt(numbers: Float64Array, at: number, { dropped, skipped }: Reasons): CaptureCounts {
  const matched = countAt(numbers, at);
  const isWhole = numbers[at] === numbers[at + 4] && numbers[at + 1] === numbers[at + 5];
  const copied = isWhole ? matched : countAt(numbers, at + 4);
  return {
    matched,
    sampledOut: countAt(numbers, at + 2),
    copied,
    truncated: countAt(numbers, at + 6),
    dropped,
    skipped,
  };
}

/** Packets at a place, and bytes at the next one. */
export function countAt(numbers: Float64Array, at: number): Count {
  const [packets, bytes] = [numbers[at]!, numbers[at + 1]!];
  return packets === 0 && bytes === 0 ? ZERO : { packets, bytes };
}

/** Counts of nothing that may be written to. */
export function emptyCounts(): CaptureCounts {
  const zero = () => ({ packets: 0, bytes: 0 });
  return { matched: zero(), sampledOut: zero(), copied: zero(), truncated: zero(), dropped: NONE, skipped: NONE };
}

/** As `countsAt`, into counts that are there. */
export function readCounts(
  numbers: Float64Array,
  at: number,
  { dropped, skipped }: Reasons,
  into: CaptureCounts,
): void {
  let place = at;
  for (const name of NAMES) {
    into[name].packets = numbers[place++]!;
    into[name].bytes = numbers[place++]!;
  }
  into.dropped = dropped;
  into.skipped = skipped;
}

/** The difference of two counts of captures. What is less than nothing stays so. */
export function minus(a: CaptureCounts, b: CaptureCounts): CaptureCounts {
  const less = (one: Count, other: Count) => ({ packets: one.packets - other.packets, bytes: one.bytes - other.bytes });
  const reasons = <T extends Partial<Record<string, Count>>>(one: T, other: T): T => {
    const names = new Set([...Object.keys(one), ...Object.keys(other)]);
    return Object.fromEntries([...names].map((name) => [name, less(one[name] ?? ZERO, other[name] ?? ZERO)])) as T;
  };
  return {
    matched: less(a.matched, b.matched),
    sampledOut: less(a.sampledOut, b.sampledOut),
    copied: less(a.copied, b.copied),
    truncated: less(a.truncated, b.truncated),
    dropped: reasons(a.dropped, b.dropped),
    skipped: reasons(a.skipped, b.skipped),
  };
}

/** The reasons of counts. The same object where there are none. */
export function reasonsOf({ dropped, skipped }: CaptureCounts): Reasons {
  return isEmpty(dropped) && isEmpty(skipped) ? NO_REASONS : { dropped, skipped };
}

/** Whether an object has no fields. */
export function isEmpty(counts: object): boolean {
  for (const _ in counts) {
    return false;
  }
  return true;
}

/** The counts of a flat form: of `counts.matched`, `counts.dropped.noDelivery` and so on. */
export function countsFrom(flat: Flat): CaptureCounts {
  const counts = { ...emptyCounts(), dropped: {}, skipped: {} } as Record<string, unknown>;
  for (const [path, count] of Object.entries(flat)) {
    const [, name, reason] = path.split('.');
    if (reason === undefined) {
      counts[name!] = count;
    } else {
      (counts[name!] as Record<string, Count>)[reason] = count;
    }
  }
  return counts as unknown as CaptureCounts;
}
