/** Sums and differences of counters. */
import {
  addCount,
  type CaptureCounts,
  type Count,
  type DeliveryIdParts,
  ERSPAN_OVERHEAD,
  ZERO,
} from '@mirrorplane/contract';

/** Counts by reason; an absent reason is 0. */
type ByReason = Partial<Record<string, Count>>;

/** Counts of nothing, to add to. */
export function zeroCounts(): CaptureCounts {
  return { matched: ZERO, sampledOut: ZERO, copied: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
}

/** The sum of two counts of captures. */
export function addCaptureCounts(a: CaptureCounts, b: CaptureCounts): CaptureCounts {
  return {
    matched: addCount(a.matched, b.matched),
    sampledOut: addCount(a.sampledOut, b.sampledOut),
    copied: addCount(a.copied, b.copied),
    truncated: addCount(a.truncated, b.truncated),
    dropped: addByReason(a.dropped, b.dropped),
    skipped: addByReason(a.skipped, b.skipped),
  };
}

/** The sum of many counts of captures, without an object for each step. */
export function sumOfCaptures(all: readonly CaptureCounts[]): CaptureCounts {
  const zero = () => ({ packets: 0, bytes: 0 });
  const sum = { matched: zero(), sampledOut: zero(), copied: zero(), truncated: zero(), dropped: {}, skipped: {} };
  for (const { matched, sampledOut, copied, truncated, dropped, skipped } of all) {
    addTo(sum.matched, matched);
    addTo(sum.sampledOut, sampledOut);
    addTo(sum.copied, copied);
    addTo(sum.truncated, truncated);
    addReasonsTo(sum.dropped, dropped);
    addReasonsTo(sum.skipped, skipped);
  }
  return sum;
}

function addTo(sum: Count, { packets, bytes }: Count): void {
  sum.packets += packets;
  sum.bytes += bytes;
}

function addReasonsTo(sum: ByReason, counts: ByReason): void {
  for (const reason in counts) {
    const count = counts[reason];
    if (count) {
      const total = sum[reason] ?? { packets: 0, bytes: 0 };
      sum[reason] = total;
      addTo(total, count);
    }
  }
}

function addByReason<T extends ByReason>(a: T, b: T): T {
  const sum: ByReason = { ...a };
  for (const [reason, count] of Object.entries(b)) {
    if (count) {
      sum[reason] = addCount(sum[reason] ?? ZERO, count);
    }
  }
  return sum as T;
}

/**
 * How many packets each reason has gained since `before`. Reasons that gained nothing are left out.
 */
export function packetsGained(now: ByReason, before: ByReason = {}): [reason: string, packets: number][] {
  return Object.entries(now)
    .map(([reason, count]): [string, number] => [reason, (count?.packets ?? 0) - (before[reason]?.packets ?? 0)])
    .filter(([, packets]) => packets > 0);
}

/** Bytes of the 802.1Q tag that an edge adds to each copy. */
const TAG_BYTES = 4;

/**
 * The copies in what a delivery has sent: without the outer headers of ERSPAN, and without the tag
 * of an edge.
 */
export function innerOf(kind: DeliveryIdParts['kind'], { packets, bytes }: Count): Count {
  const added = { erspan: ERSPAN_OVERHEAD, edge: TAG_BYTES, local: 0 }[kind];
  return { packets, bytes: bytes - added * packets };
}
