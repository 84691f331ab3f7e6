/** Packets for tests of looks. */
import type { KeptPacket } from '../../src/looks/kept-packet.ts';

/** A UDP packet of web-1/0 as it was sent on node-1, with what is given instead. */
export function lookedPacket(given: Partial<KeptPacket> = {}): KeptPacket {
  const bytes = given.bytes ?? udpFrame('hello');
  return {
    number: 1,
    at: 1_764_000_000_000_123,
    node: 'node-1',
    interface: 'web-1/0',
    interfaceName: 'web-1/0',
    device: 'tap0',
    place: 'sent',
    direction: 'outbound',
    length: bytes.length,
    captured: bytes.length,
    packets: 1,
    gsoSize: 0,
    copy: 'copied',
    original: { state: 'unknown' },
    lostBefore: 0,
    ...given,
    bytes,
  };
}

/** Ethernet, IPv4 from 10.0.0.1 to 10.0.0.2, UDP to port 9999. */
export function udpFrame(payload: string | Uint8Array, { from = 40_000, to = 9999 } = {}): Buffer {
  const data = Buffer.from(payload);
  const frame = Buffer.alloc(42 + data.length);
  frame.write('0200000000020200000000010800', 0, 'hex');
  frame.write('450000000000400040110000', 14, 'hex');
  frame.writeUInt16BE(28 + data.length, 16);
  frame.set([10, 0, 0, 1, 10, 0, 0, 2], 26);
  frame.writeUInt16BE(from, 34);
  frame.writeUInt16BE(to, 36);
  frame.writeUInt16BE(8 + data.length, 38);
  data.copy(frame, 42);
  return frame;
}
