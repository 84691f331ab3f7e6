/**
 * Columns of a packet without a decoder: addresses, ports and the protocol, of the headers that
 * nearly all packets have. Pure. It reads what strangers wrote, so each field is looked for first.
 */
import type { PacketColumns } from '@mirrorplane/contract';

const VLAN_TYPES = new Set([0x8100, 0x88a8]);
const ETHERNET_NAMES: ReadonlyMap<number, string> = new Map([
  [0x0806, 'ARP'],
  [0x86dd, 'IPv6'],
  [0x0800, 'IPv4'],
  [0x88cc, 'LLDP'],
]);
const TCP = 6;
const UDP = 17;
const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'ICMP'],
  [2, 'IGMP'],
  [TCP, 'TCP'],
  [UDP, 'UDP'],
  [47, 'GRE'],
  [58, 'ICMPv6'],
  [132, 'SCTP'],
]);
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'] as const;

/** Of any bytes. What is cut off is left out. */
export function plainColumns(bytes: Buffer): PacketColumns {
  if (bytes.length < 14) {
    return { source: '', destination: '', protocol: 'Ethernet', info: `${bytes.length} bytes` };
  }
  const ethernet = { source: macAt(bytes, 6), destination: macAt(bytes, 0) };
  let at = 12;
  while (at + 6 <= bytes.length && VLAN_TYPES.has(bytes.readUInt16BE(at))) {
    at += 4;
  }
  const type = bytes.readUInt16BE(at);
  const rest = bytes.subarray(at + 2);
  return (
    (type === 0x0800 && ofIpv4(rest)) ||
    (type === 0x86dd && ofIpv6(rest)) || {
      ...ethernet,
      protocol: ETHERNET_NAMES.get(type) ?? `0x${type.toString(16).padStart(4, '0')}`,
      info: '',
    }
  );
}

function ofIpv4(packet: Buffer): PacketColumns | undefined {
  if (packet.length < 20) {
    return undefined;
  }
  const address = (at: number) => packet.subarray(at, at + 4).join('.');
  const isLaterFragment = (packet.readUInt16BE(6) & 0x1fff) !== 0;
  const transport = isLaterFragment ? Buffer.alloc(0) : packet.subarray((packet[0]! & 15) * 4);
  return { source: address(12), destination: address(16), ...ofTransport(packet[9]!, transport) };
}

function ofIpv6(packet: Buffer): PacketColumns | undefined {
  if (packet.length < 40) {
    return undefined;
  }
  return {
    source: ipv6At(packet, 8),
    destination: ipv6At(packet, 24),
    ...ofTransport(packet[6]!, packet.subarray(40)),
  };
}

function ofTransport(number: number, transport: Buffer): Pick<PacketColumns, 'protocol' | 'info'> {
  const protocol = PROTOCOL_NAMES.get(number) ?? `IP ${number}`;
  if ((number !== TCP && number !== UDP) || transport.length < 4) {
    return { protocol, info: '' };
  }
  const flags = number === TCP && transport.length >= 14 ? flagsOf(transport[13]!) : '';
  return { protocol, info: `${transport.readUInt16BE(0)} → ${transport.readUInt16BE(2)}${flags}` };
}

function flagsOf(byte: number): string {
  const names = TCP_FLAGS.filter((_, bit) => byte & (1 << bit));
  return names.length === 0 ? '' : ` [${names.join(', ')}]`;
}

function macAt(bytes: Buffer, at: number): string {
  return [...bytes.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** As RFC 5952 writes it. */
function ipv6At(bytes: Buffer, at: number): string {
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + i * 2).toString(16));
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1);
}
