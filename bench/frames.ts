/** Frames that the bench sends itself. */
import type { Lab } from '@mirrorplane/lab';

const ETHERNET = 14;
const IPV4 = 20;
const UDP = 8;
/** Of the smallest frame. */
const PAYLOAD = 18;
const SOURCE_PORT = 9000;

/** The checksum of an IPv4 header. */
export function ipv4Checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) {
    sum += header.readUInt16BE(at);
  }
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}

/** What differs between datagrams. */
export interface DatagramOptions {
  /** Bytes of the frame, without the checksum that hardware appends: 42 to 1514. Default 60. */
  size?: number;
  /** Default 9000. */
  sourcePort?: number;
}

/**
 * A UDP datagram from one VM to another, without a checksum. 60 bytes are 64 on a wire, with the
 * checksum of the frame that hardware appends.
 */
export function datagram(
  lab: Lab,
  [from, to]: readonly [string, string],
  port: number,
  { size = ETHERNET + IPV4 + UDP + PAYLOAD, sourcePort = SOURCE_PORT }: DatagramOptions = {},
): Buffer {
  const frame = Buffer.alloc(size, 0x55);
  const mac = (vm: string) => Buffer.from(lab.mac(vm).replaceAll(':', ''), 'hex');
  mac(to).copy(frame, 0);
  mac(from).copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = frame.subarray(ETHERNET, ETHERNET + IPV4).fill(0);
  ip.writeUInt16BE(0x4500, 0);
  ip.writeUInt16BE(frame.length - ETHERNET, 2);
  ip.writeUInt16BE(0x4011, 8); // TTL 64, UDP
  Buffer.from(lab.address(from).split('.').map(Number)).copy(ip, 12);
  Buffer.from(lab.address(to).split('.').map(Number)).copy(ip, 16);
  ip.writeUInt16BE(ipv4Checksum(ip), 10);
  const udp = frame.subarray(ETHERNET + IPV4);
  udp.writeUInt16BE(sourcePort, 0);
  udp.writeUInt16BE(port, 2);
  udp.writeUInt16BE(udp.length, 4);
  udp.writeUInt16BE(0, 6);
  return frame;
}
