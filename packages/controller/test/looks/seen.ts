/** Packets and drops for tests of looks. */
import type { KeptDrop, SeenPacket } from '../../src/looks/kept-packet.ts';

/** A packet of web-1/0 that was seen as it was sent. */
export function seen(changes: Partial<SeenPacket> = {}): SeenPacket {
  return {
    at: 1_000_000,
    interface: 'web-1/0',
    device: 'tap1',
    place: 'sent',
    direction: 'outbound',
    length: 98,
    captured: 98,
    packets: 1,
    gsoSize: 0,
    packet: '00000000000000aa',
    copy: 'noCapture',
    bytes: Buffer.alloc(98),
    ...changes,
  };
}

/** The same packet at the device of db-1/0. */
export function delivered(changes: Partial<SeenPacket> = {}): SeenPacket {
  const there = { interface: 'db-1/0', device: 'tap2', place: 'delivered', direction: 'inbound' } as const;
  return seen({ at: 1_000_100, ...there, ...changes });
}

/** The same packet as it enters the bridge of db-1/0. */
export function arrived(changes: Partial<SeenPacket> = {}): SeenPacket {
  const there = { interface: 'db-1/0', device: 'vxlan0', place: 'arrived', direction: 'inbound' } as const;
  return seen({ at: 1_000_050, ...there, ...changes });
}

/** A drop of that packet by a rule of node-2. */
export function drop(changes: Partial<KeptDrop> = {}): KeptDrop {
  return {
    at: 1_000_060,
    node: 'node-2',
    packet: '00000000000000aa',
    cause: 'rule',
    reason: 'NETFILTER_DROP',
    function: 'nf_hook_slow',
    device: 'vxlan0',
    packets: 1,
    length: 98,
    gsoSize: 0,
    bytes: Buffer.alloc(98),
    ...changes,
  };
}
