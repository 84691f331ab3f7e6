/** Which destinations send copies on: at their devices the data plane looks at what comes in beside copies, see feedback.h. */
import type { DatapathState } from '../datapath.ts';
import { decodeLastFeedback, LAYOUT, u32Key } from './layout.ts';
import type { BpfMap } from './libbpf.ts';

/** Nanoseconds after the last feedback in which a destination counts as one that sends copies on. */
const LASTING = 300_000_000_000n;

/**
 * ifindexes of destinations' devices where feedback was seen lately.
 * @param destinations the map of this name
 * @param now CLOCK_MONOTONIC in nanoseconds, as the data plane has it
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
