/**
 * What became of originals: joins sightings of one packet at its places, and drops that kernels
 * have told. Pure.
 */
import { type HeardDrop, LOOK_PLACES, type LookPlace, type OriginalFate } from '@mirrorplane/contract';

/** Where and when a packet was seen. All sightings that are joined have the same `packet` id. */
export interface Sighting {
  number: number;
  at: number;
  node: string;
  device: string;
  place: LookPlace;
}

/** Sightings of the same packet on its way. */
interface Way {
  sightings: Sighting[];
  drops: HeardDrop[];
}

/** Microseconds that a packet may take from one place to the next: a shaper may hold it long. */
const LONGEST_WAY_US = 5_000_000;
/** Microseconds by which clocks may differ: of CPUs of a node, and of nodes. */
const SLACK_US = { sameNode: 1000, nodes: 1_000_000 };

export const UNKNOWN: OriginalFate = { state: 'unknown' };

/**
 * What became of each packet with one id, by number. An id may come again (a repeated broadcast, a
 * segment that is sent again), so what is nearest in time is joined, each place once.
 */
export function originalsOf(sightings: readonly Sighting[], drops: readonly HeardDrop[]): Map<number, OriginalFate> {
  const ways = waysOf(sightings);
  for (const drop of drops) {
    wayOf(drop, ways)?.drops.push(drop);
  }
  return new Map(ways.flatMap((way) => way.sightings.map((sighting) => [sighting.number, fateOf(sighting, way)])));
}

/** Goes from the first place to the last: a sighting joins a way, or begins one. */
function waysOf(sightings: readonly Sighting[]): Way[] {
  const ways: Way[] = [];
  for (const place of LOOK_PLACES) {
    const here = sightings.filter((sighting) => sighting.place === place);
    const pairs = here.flatMap((sighting) =>
      ways.flatMap((way) => {
        const distance = distanceOf(way.sightings.at(-1)!, sighting);
        return distance === undefined ? [] : [{ sighting, way, distance }];
      }),
    );
    const joined = new Set<Sighting>();
    for (const { sighting, way } of pairs.sort((a, b) => a.distance - b.distance)) {
      if (!joined.has(sighting) && !way.sightings.some((other) => isSameSpot(other, sighting))) {
        joined.add(sighting);
        way.sightings.push(sighting);
      }
    }
    ways.push(...here.filter((one) => !joined.has(one)).map((one): Way => ({ sightings: [one], drops: [] })));
  }
  return ways;
}

const isSameSpot = (a: Sighting, b: Sighting) => a.place === b.place && a.node === b.node && a.device === b.device;

/**
 * How far two moments are from each other: microseconds, and more where the clocks have them the
 * other way round. Undefined: the second cannot come of the first.
 */
function distanceOf(first: { at: number; node: string }, then: { at: number; node: string }): number | undefined {
  const slack = first.node === then.node ? SLACK_US.sameNode : SLACK_US.nodes;
  const took = then.at - first.at;
  if (took < -slack || took > LONGEST_WAY_US) {
    return undefined;
  }
  return took < 0 ? LONGEST_WAY_US - took : took;
}

/** The way whose packet the kernel has dropped: the last sighting before the drop says it. */
function wayOf(drop: HeardDrop, ways: readonly Way[]): Way | undefined {
  let nearest: { way: Way; distance: number } | undefined;
  for (const way of ways) {
    for (const sighting of way.sightings) {
      const distance = distanceOf(sighting, drop);
      if (distance !== undefined && (nearest === undefined || distance < nearest.distance)) {
        nearest = { way, distance };
      }
    }
  }
  return nearest?.way;
}

function fateOf(sighting: Sighting, { sightings, drops }: Way): OriginalFate {
  if (sighting.place === 'delivered') {
    return deliveryOf(sighting, drops);
  }
  const deliveries = sightings.filter(({ place }) => place === 'delivered').map((one) => deliveryOf(one, drops));
  if (deliveries.length > 0) {
    // Of a broadcast, one delivery is enough.
    return deliveries.find(({ state }) => state === 'delivered') ?? deliveries[0]!;
  }
  const drop = drops[0];
  if (drop !== undefined) {
    return { state: 'dropped', drop };
  }
  const later = sightings.some(({ place }) => LOOK_PLACES.indexOf(place) > LOOK_PLACES.indexOf(sighting.place));
  return later ? { state: 'seenLater' } : UNKNOWN;
}

/** A delivered packet can still be dropped by the device of the guest: its ring is full. */
function deliveryOf({ at, node, device }: Sighting, drops: readonly HeardDrop[]): OriginalFate {
  const drop = drops.find((one) => {
    return one.node === node && one.device === device && one.at >= at - SLACK_US.sameNode;
  });
  return drop === undefined ? { state: 'delivered' } : { state: 'dropped', drop };
}
