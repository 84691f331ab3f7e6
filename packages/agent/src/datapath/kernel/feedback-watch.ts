/**
 * Finds destinations that send copies on. At their devices the data plane also checks incoming
 * packets, see feedback.h.
 */
import type { DatapathState } from '../datapath.ts';
import { decodeLastFeedback, LAYOUT, u32Key } from './layout.ts';
import type { BpfMap } from './libbpf.ts';

/** Nanoseconds after the last feedback for which a destination counts as sending copies on. */
const LASTING = 300_000_000_000n;

/**
 * ifindexes of destinations' devices with recent feedback.
 * @param destinations the map of this name
 * @param now CLOCK_MONOTONIC in nanoseconds, as in the data plane
 */
export function sendingDestinations(
  { deliveries }: DatapathState,
  destinations: BpfMap,
  now = process.hrtime.bigint(),
): Set<number> {
  const value = Buffer.alloc(LAYOUT.destination.size);
  const local = new Set(
    deliveries.flatMap(({ kind, ifindex }) => (kind === 'local' && ifindex !== 0 ? [ifindex] : [])),
  );
  return new Set(
    [...local].filter((ifindex) => {
      const last = destinations.lookup(u32Key(ifindex), value) ? decodeLastFeedback(value) : 0n;
      return last !== 0n && now - last < LASTING;
    }),
  );
}
