/** Frames that the bench sends itself. */
import type { Lab } from '@mirrorplane/lab';

const ETHERNET = 14;
const IPV4 = 20;
const UDP = 8;
const PAYLOAD = 18;

/** The checksum of an IPv4 header. */
export function ipv4Checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) {
    sum += header.readUInt16BE(at);
  }
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}

/**
 * A UDP datagram from one VM to another, without a checksum. 60 bytes: 64 on a wire, with the
 * checksum of the frame that hardware appends.
 */
export function datagram(lab: Lab, [from, to]: readonly [string, string], port: number): Buffer {
  const frame = Buffer.alloc(ETHERNET + IPV4 + UDP + PAYLOAD, 0x55);
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
  udp.writeUInt16BE(9000, 0);
  udp.writeUInt16BE(port, 2);
  udp.writeUInt16BE(UDP + PAYLOAD, 4);
  udp.writeUInt16BE(0, 6);
  return frame;
}
