/** What one way of a conversation has lost, and where. Pure. */
import type { DropCause } from '@mirrorplane/contract';
import { missingAt, type Part, wholeOf } from './compare.ts';
import { type Conversation, type Way, wireCount } from './conversations.ts';
import type { DropGroup, ToldDrop } from './drops.ts';

/**
 * Where on its way a packet was lost: before it was seen arriving; behind that, before it was
 * delivered; at the device of the guest that it was delivered to.
 */
export type Stretch = 'lostBefore' | 'lostBehind' | 'lostAtDevice';

/** Packets that were lost for one reason, or for none that was told. */
export interface Loss {
  conversation: Conversation;
  way: Way;
  stretch: Stretch;
  missing: Part[];
  /** On the wire. Only packets that are counted. */
  packets: number;
  /** The first drop of this kind that a kernel has told. Absent: no kernel has told a drop. */
  drop?: ToldDrop;
}

/**
 * Reasons for which the device of a guest drops what was given to it. Others can be the normal end
 * of a packet that the guest got.
 */
const AT_DEVICE: ReadonlySet<DropCause> = new Set<DropCause>(['ring', 'queue', 'rateLimit', 'rule', 'device']);

/**
 * All that was lost on one way.
 * @param drops of packets of this way
 */
export function lossesOn(way: Way, conversation: Conversation, drops: readonly DropGroup[]): Loss[] {
  const { sent, arrived, delivered } = conversation[way];
  const base = baseOf(conversation, way);
  const groups = drops.map(({ first, sightings }) => ({
    first,
    parts: wholeOf(sightings, base),
  }));
  const [sentParts, arrivedParts, deliveredParts] = [sent, arrived, delivered].map((place) => wholeOf(place, base)) as [
    Part[],
    Part[],
    Part[],
  ];
  // What a bridge floods is delivered, and not seen arriving.
  const flooded = missingAt(deliveredParts, arrivedParts);
  const lostBefore = missingAt(missingAt(sentParts, arrivedParts), flooded);
  const lostBehind = missingAt(arrivedParts, deliveredParts);
  const named = (stretch: Stretch) => (share: Share) => ({ conversation, way, stretch, ...share });
  return [
    ...explained(lostBefore, groups).map(named('lostBefore')),
    ...explained(lostBehind, groups).map(named('lostBehind')),
    ...groups
      .flatMap((group) => atDevice(deliveredParts, group, [...lostBefore, ...lostBehind]))
      .map(named('lostAtDevice')),
  ].filter(({ packets }) => packets > 0);
}

/** A sequence number that all places of one way of a conversation count from. */
export function baseOf(conversation: Conversation, way: Way): number {
  const { sent, arrived, delivered } = conversation[way];
  const [first] = [sent, arrived, delivered].find((place) => place.length > 0) ?? [];
  return first?.headers.tcp?.sequence ?? 0;
}

type Share = Pick<Loss, 'missing' | 'packets' | 'drop'>;

/** Drops of one kind. */
interface Kind {
  first: ToldDrop;
  parts: Part[];
}

/** Divides what is missing by the drops that were told. The rest has none. */
function explained(missing: readonly Part[], kinds: readonly Kind[]): Share[] {
  const shares: Share[] = [];
  let rest = [...missing];
  for (const { first, parts } of kinds) {
    const then = missingAt(rest, parts);
    shares.push(shareOf(without(rest, then), first));
    rest = then;
  }
  return [...shares, shareOf(rest)];
}

/** @param lost what was not delivered: drops of it are not those of the same bytes sent again */
function atDevice(delivered: readonly Part[], { first, parts }: Kind, lost: readonly Part[]): Share[] {
  if (!AT_DEVICE.has(first.cause)) {
    return [];
  }
  const here = delivered.filter(({ sighting: { node, device } }) => node === first.node && device === first.device);
  return [shareOf(without(here, missingAt(here, missingAt(parts, lost))), first)];
}

function shareOf(missing: readonly Part[], drop?: ToldDrop): Share {
  const counted = missing.filter(({ sighting }) => sighting.counted);
  return { missing: counted, packets: wireCount(counted), ...(drop && { drop }) };
}

/** What of `all` is not in `rest`. */
function without(all: readonly Part[], rest: readonly Part[]): Part[] {
  const left = new Map(rest.map(({ sighting, packets }) => [sighting, packets]));
  return all.flatMap((one) => {
    const packets = one.packets - (left.get(one.sighting) ?? 0);
    return packets > 0 ? [{ ...one, packets }] : [];
  });
}
