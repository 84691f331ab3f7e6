/** What one place has seen of one way of a conversation. Each place is judged by itself. Pure. */
import { carriesBytes, wholeOf } from './compare.ts';
import { type Sighting, wireCount } from './conversations.ts';

/** Counts of one place, as on the wire. */
export interface PlaceCounts {
  packets: number;
  /** Segments with bytes that this place had seen before. */
  retransmissions: number;
  resets: number;
  /** How often the sender said that it has no room. */
  zeroWindows: number;
}

/** Counts packets of one place, in the order in which it saw them. */
export function countPlace(sightings: readonly Sighting[]): PlaceCounts {
  return {
    packets: wireCount(sightings),
    retransmissions: countAgain(sightings.filter(carriesBytes)),
    resets: sightings.filter(({ headers }) => headers.tcp?.rst).length,
    zeroWindows: sightings.filter(({ headers: { tcp } }) => tcp && tcp.window === 0 && !tcp.rst).length,
  };
}

function countAgain(sightings: readonly Sighting[]): number {
  let behind = Number.NEGATIVE_INFINITY;
  let began: number | undefined;
  let again = 0;
  for (const { sighting, packets, bytes } of wholeOf(sightings, sightings[0]?.headers.tcp?.sequence ?? 0)) {
    const [{ start, end }] = bytes as [{ start: number; end: number }];
    // A new connection between the same ports begins anew.
    if (sighting.headers.tcp!.syn && start !== began) {
      began = start;
      behind = Number.NEGATIVE_INFINITY;
    }
    again += end <= behind ? packets : 0;
    behind = Math.max(behind, end);
  }
  return again;
}
