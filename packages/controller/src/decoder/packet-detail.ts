/** One packet with its bytes and its fields. */
import type { PacketDetail } from '@mirrorplane/contract';
import type { KeptPacket } from '../looks/kept-packet.ts';
import type { PacketRing } from '../looks/packet-ring.ts';
import { DECODER_OK, type Decoders } from './decoders.ts';

/** Packets of the same place that are given to the decoder, and how far back they are looked for. */
const CONTEXT_MOST = 2000;

/** @returns undefined: the ring does not have this packet, or not any more */
export async function packetDetail({
  ring,
  number,
  decoders,
  holder,
}: {
  ring: PacketRing;
  number: number;
  decoders: Decoders;
  /** Name of the user who reads. */
  holder: string;
}): Promise<PacketDetail | undefined> {
  const kept = ring.get(number);
  if (kept === undefined) {
    return undefined;
  }
  const before = ring.since(Math.max(0, number - CONTEXT_MOST), CONTEXT_MOST);
  const context = before.filter((packet) => packet.number <= number && isSameSpot(packet, kept));
  const { bytes, ...packet } = kept;
  const decoded = await decoders.fields(context, holder);
  return {
    packet,
    bytes: bytes.toString('hex'),
    ...('value' in decoded && { tree: decoded.value }),
    decoder: 'absent' in decoded ? decoded.absent : DECODER_OK,
  };
}

/** At one place a connection is seen once, so what a decoder says of it is true. */
function isSameSpot(a: KeptPacket, b: KeptPacket): boolean {
  return a.node === b.node && a.device === b.device && a.place === b.place && a.interface === b.interface;
}
