/**
 * Handmade frames as hexadecimal. Each is unique, so that one copy can be distinguished from two.
 */

/** What a UDP frame says. */
export interface UdpFrame {
  /** MAC addresses. */
  from: string;
  to: string;
  /** IPv4 addresses. Default 10.0.0.77 and 10.0.0.78, which are unused. */
  source?: string;
  destination?: string;
  /** UDP ports; firewalls of the tests go by the destination port. Default 1000 and `ACCEPTED`. */
  sourcePort?: number;
  port?: number;
  /** Number that makes the frame unique, 0 to 2^32 - 1. */
  id: number;
  /** Bytes of payload, 4 or more. Default 40. */
  size?: number;
}

/** The UDP port that firewalls of the tests drop, and one that they accept. */
export const DROPPED = 7;
export const ACCEPTED = 8;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const bytes = (mac: string) => mac.replaceAll(':', '').toLowerCase();
const u16 = (n: number) => n.toString(16).padStart(4, '0');
const u32 = (n: number) => n.toString(16).padStart(8, '0');

/** An IPv4 address as hex. */
export function ipv4Hex(address: string): string {
  return address.split('.').reduce((text, part) => text + Number(part).toString(16).padStart(2, '0'), '');
}

/** An IPv6 address of the form `a:b::c` (one gap) as hex. */
export function ipv6Hex(address: string): string {
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => text.split(':').filter(Boolean);
  const gap = 8 - groups(head).length - groups(tail).length;
  return [...groups(head), ...Array.from({ length: gap }, () => '0'), ...groups(tail)]
    .map((group) => group.padStart(4, '0'))
    .join('');
}

function checksum(hex: string): number {
  let sum = 0;
  for (let i = 0; i < hex.length; i += 4) {
    sum += Number.parseInt(hex.slice(i, i + 4), 16);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

/** An Ethernet frame of an EtherType. */
export function ether(from: string, to: string, type: number, payload: string): string {
  return bytes(to) + bytes(from) + u16(type) + payload;
}

/** An IPv4 packet with a correct header. */
export function ipv4(source: string, destination: string, protocol: number, payload: string, id = 0): string {
  const header = (sum: number) =>
    `4500${u16(20 + payload.length / 2)}${u16(id & 0xffff)}000040${protocol.toString(16).padStart(2, '0')}` +
    `${u16(sum)}${ipv4Hex(source)}${ipv4Hex(destination)}`;
  return header(checksum(header(0))) + payload;
}

/** An IPv6 packet. */
export function ipv6(source: string, destination: string, next: number, payload: string): string {
  const type = next.toString(16).padStart(2, '0');
  return `60000000${u16(payload.length / 2)}${type}40${ipv6Hex(source)}${ipv6Hex(destination)}${payload}`;
}

/** A UDP datagram without checksum, which IPv4 allows. `payload` as hex. */
export function udp(sourcePort: number, port: number, payload: string): string {
  return `${u16(sourcePort)}${u16(port)}${u16(8 + payload.length / 2)}0000${payload}`;
}

/** The payload of frame `id`: the number and letters. */
export const payloadOf = (id: number, size = 40) => u32(id) + '6d'.repeat(size - 4);

/** A UDP frame over IPv4. */
export function udpFrame(frame: UdpFrame): string {
  const { from, to, source = '10.0.0.77', destination = '10.0.0.78', id } = frame;
  const datagram = udp(frame.sourcePort ?? 1000, frame.port ?? ACCEPTED, payloadOf(id, frame.size));
  return ether(from, to, 0x0800, ipv4(source, destination, 17, datagram, id));
}

/** An ARP request of `from` for `wanted`, padded to 60 bytes. The padding contains `id`. */
export function arpRequest(from: string, source: string, wanted: string, id: number, to = BROADCAST): string {
  const request = `0001080006040001${bytes(from)}${ipv4Hex(source)}${'0'.repeat(12)}${ipv4Hex(wanted)}`;
  return ether(from, to, 0x0806, `${request}${u32(id)}`.padEnd(92, '0'));
}

/** So many frames of one kind with numbers that go up from `first`. */
export function frames(count: number, first: number, make: (id: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => make(first + i));
}

/** The frame with tags (outermost first) after its addresses. */
export function withTags(frame: string, ...tags: { type?: number; id: number; priority?: number }[]): string {
  const text = tags.map(({ type = 0x8100, id, priority = 0 }) => u16(type) + u16((priority << 13) | id)).join('');
  return frame.slice(0, 24) + text + frame.slice(24);
}
