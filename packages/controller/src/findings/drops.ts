/** Drops that kernels have told, as packets of conversations. Pure. */
import type { HeardDrop } from '@mirrorplane/contract';
import type { Conversation, Sighting, Way } from './conversations.ts';
import { fingerprintOf } from './fingerprint.ts';
import { type Headers, headersOf } from './headers.ts';

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

/** Drops of packets of one way of a conversation, by what their kernels say of them. */
export function dropsOf(conversation: Conversation, way: Way, drops: readonly ToldDrop[]): DropGroup[] {
  const known = seenById(conversation, way);
  const own = drops.flatMap((drop): { drop: ToldDrop; sighting: Sighting }[] => {
    const seen = (drop.packet && known.get(drop.packet)) || readOf(drop);
    return seen !== undefined && isOf(seen.headers, conversation, way)
      ? [{ drop, sighting: { ...sightingOf(drop), ...seen } }]
      : [];
  });
  return [...Map.groupBy(own, ({ drop }) => kindOf(drop)).values()].map((group) => ({
    first: group.reduce((first, { drop }) => (drop.at < first.at ? drop : first), group[0]!.drop),
    sightings: group.map(({ sighting }) => sighting),
  }));
}

/** Drops with the same words are of one kind. */
export function kindOf({ node, cause, reason, function: name, device }: HeardDrop): string {
  return [node, cause, reason, name, device].join(' ');
}

type Seen = Pick<Sighting, 'headers' | 'fingerprint' | 'length' | 'gsoSize'>;

function seenById(conversation: Conversation, way: Way): Map<string, Seen> {
  const { sent, arrived, delivered } = conversation[way];
  return new Map(
    [...delivered, ...arrived, ...sent].flatMap(({ packet, headers, fingerprint, length, gsoSize }) => {
      return packet === undefined ? [] : [[packet, { headers, fingerprint, length, gsoSize }]];
    }),
  );
}

function readOf({ bytes, length = bytes?.length ?? 0, gsoSize = 0 }: ToldDrop): Seen | undefined {
  const headers = bytes && headersOf(bytes, length, gsoSize > 0);
  return headers && { headers, fingerprint: fingerprintOf(bytes), length, gsoSize };
}

function isOf(headers: Headers, { protocol, from, to }: Conversation, way: Way): boolean {
  const [source, target] = way === 'there' ? [from, to] : [to, from];
  return (
    headers.protocol === protocol &&
    headers.source === source.address &&
    headers.target === target.address &&
    headers.sourcePort === source.port &&
    headers.targetPort === target.port
  );
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
