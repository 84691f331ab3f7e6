/** Drops that kernels have told, as packets of conversations. Pure. */
import type { HeardDrop } from '@mirrorplane/contract';
import { type Conversation, type Sighting, WAYS, type Way } from './conversations.ts';
import { fingerprintOf } from './fingerprint.ts';
import { type Ends, headersOf } from './headers.ts';

/** A drop as the controller has it. */
export interface ToldDrop extends HeardDrop {
  /** Of the frame. Absent: they could not be read. */
  bytes?: Uint8Array;
  /** Bytes of the whole frame. */
  length?: number;
  /** Bytes of data of a segment of a super-packet; 0: it was none. */
  gsoSize?: number;
}

/** Drops of one kind, as packets that were seen where they ended. */
export interface DropGroup {
  /** The one that was told first. */
  first: ToldDrop;
  sightings: Sighting[];
}

/**
 * All that is missing is compared with each kind of drops. Where a conversation has more kinds, only
 * node and cause tell them apart.
 */
const MOST_KINDS = 32;

/** Drops of packets of each way of a conversation. */
export type DropsByWay = Record<Way, DropGroup[]>;

/**
 * Drops of packets of conversations, by what their kernels say of them. Each drop is read once, and
 * is of the conversation that its packet was seen in, else of that between its ends.
 */
export function dropsByConversation(
  conversations: readonly Conversation[],
  drops: readonly ToldDrop[],
): Map<Conversation, DropsByWay> {
  const sides = conversations.flatMap((conversation) =>
    WAYS.map((way): Side => ({ conversation, way, ends: endsOf(conversation, way), own: [] })),
  );
  const byEnds = Map.groupBy(sides, ({ ends }) => ends);
  const known = seenById(sides, new Set(drops.map(({ packet }) => packet)));
  for (const drop of drops) {
    const packet = known.get(drop.packet);
    const seen = packet?.seen ?? readOf(drop);
    const of = packet ? [packet.side] : (seen && byEnds.get(keyOf(seen.headers))) || [];
    for (const { own } of of) {
      own.push({ drop, sighting: { ...sightingOf(drop), ...seen! } });
    }
  }
  const groups = new Map(conversations.map((one): [Conversation, DropsByWay] => [one, { there: [], back: [] }]));
  for (const { conversation, way, own } of sides) {
    groups.get(conversation)![way] = groupsOf(own);
  }
  return groups;
}

/** A drop with its packet. */
interface OwnDrop {
  drop: ToldDrop;
  sighting: Sighting;
}

/** One way of a conversation, and drops of it. */
interface Side {
  conversation: Conversation;
  way: Way;
  ends: string;
  own: OwnDrop[];
}

function groupsOf(own: readonly OwnDrop[]): DropGroup[] {
  const kinds = Map.groupBy(own, ({ drop }) => kindOf(drop));
  const groups = kinds.size <= MOST_KINDS ? kinds : Map.groupBy(own, ({ drop }) => `${drop.node} ${drop.cause}`);
  return [...groups.values()].map((group) => ({
    first: group.reduce((first, { drop }) => (drop.at < first.at ? drop : first), group[0]!.drop),
    sightings: group.map(({ sighting }) => sighting),
  }));
}

/** Drops with the same words are of one kind. */
export function kindOf({ node, cause, reason, function: name, device }: HeardDrop): string {
  return [node, cause, reason, name, device].join(' ');
}

type Seen = Pick<Sighting, 'headers' | 'fingerprint' | 'length' | 'gsoSize'>;

/** @param wanted ids of packets */
function seenById(
  sides: readonly Side[],
  wanted: ReadonlySet<string | undefined>,
): Map<string | undefined, { side: Side; seen: Seen }> {
  const known = new Map<string | undefined, { side: Side; seen: Seen }>();
  for (const side of sides) {
    const { sent, arrived, delivered } = side.conversation[side.way];
    for (const { packet, headers, fingerprint, length, gsoSize } of [...delivered, ...arrived, ...sent]) {
      if (packet !== undefined && wanted.has(packet)) {
        known.set(packet, { side, seen: { headers, fingerprint, length, gsoSize } });
      }
    }
  }
  return known;
}

function readOf({ bytes, length = bytes?.length ?? 0, gsoSize = 0 }: ToldDrop): Seen | undefined {
  const headers = bytes && headersOf(bytes, length, gsoSize > 0);
  return headers && { headers, fingerprint: fingerprintOf(bytes), length, gsoSize };
}

function endsOf({ protocol, from, to }: Conversation, way: Way): string {
  const [source, target] = way === 'there' ? [from, to] : [to, from];
  return keyOf({
    protocol,
    source: source.address,
    sourcePort: source.port,
    target: target.address,
    targetPort: target.port,
  });
}

function keyOf({ protocol, source, sourcePort, target, targetPort }: Ends): string {
  return [protocol, source, sourcePort, target, targetPort].join(' ');
}

/** A drop has no number of its own, so it is never counted for itself. */
function sightingOf({ at, node, device, packet, packets, bytes }: ToldDrop): Omit<Sighting, keyof Seen> {
  return {
    number: 0,
    at,
    node,
    device,
    interface: '',
    interfaceName: '',
    place: 'sent',
    direction: 'outbound',
    captured: bytes?.length ?? 0,
    packets,
    ...(packet !== undefined && { packet }),
    lostBefore: 0,
    counted: false,
  };
}
