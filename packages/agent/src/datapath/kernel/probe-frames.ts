/** The frames of probes. Pure. */
import { ipv4Bytes } from '../../netlink/rtnetlink.ts';
import type { ProbeEntry } from '../datapath.ts';

/** IEEE 802 Local Experimental EtherType 1 (IEEE 802, 9.2.4). */
const LOCAL_EXPERIMENTAL = 0x88b5;
/** What someone reads who finds a probe in a capture. */
const TEXT = Buffer.from('mirrorplane policy test');
/** Addresses that no host has: TEST-NET-1 of RFC 5737. */
const FROM = ipv4Bytes('192.0.2.1');
const TO = ipv4Bytes('192.0.2.2');
/** The discard protocol, RFC 863. */
const PORT = 9;

const ETHERNET = 14;
const IP = 20;
const TCP = 20;
/** The most bytes of an IP packet. */
const LONGEST = 65_535;
const SMALL = 64;

/** struct virtio_net_hdr: flags, kind, header length, segment size, start and field of the checksum. */
function virtioHeader(segment?: number): Buffer {
  const header = Buffer.alloc(10);
  if (segment !== undefined) {
    header.writeUInt8(1, 0); // VIRTIO_NET_HDR_F_NEEDS_CSUM
    header.writeUInt8(1, 1); // VIRTIO_NET_HDR_GSO_TCPV4
    header.writeUInt16LE(ETHERNET + IP + TCP, 2);
    header.writeUInt16LE(segment, 4);
    header.writeUInt16LE(ETHERNET + IP, 6);
    header.writeUInt16LE(16, 8);
  }
  return header;
}

/**
 * The frame of a probe behind its struct virtio_net_hdr. That of `full` is short: the data plane
 * lengthens it to `frameLength`, because the helper device has a small MTU.
 */
export function probeFrame({ name, size, mtu }: ProbeEntry): Buffer {
  const addresses = Buffer.from(name, 'hex');
  const type = Buffer.alloc(2);
  if (size === 'super') {
    type.writeUInt16BE(0x0800);
    return Buffer.concat([virtioHeader(mtu - IP - TCP), addresses, type, tcpPacket()]);
  }
  type.writeUInt16BE(LOCAL_EXPERIMENTAL);
  const frame = Buffer.alloc(SMALL);
  Buffer.concat([addresses, type, TEXT]).copy(frame);
  return Buffer.concat([virtioHeader(), frame]);
}

/** Bytes of the Ethernet frame of a probe. */
export function frameLength({ size, mtu }: Pick<ProbeEntry, 'size' | 'mtu'>): number {
  return { small: SMALL, full: mtu + ETHERNET, super: LONGEST + ETHERNET }[size];
}

/** An IP packet with a TCP segment of no connection. The kernel fills in the checksum of TCP. */
function tcpPacket(): Buffer {
  const packet = Buffer.alloc(LONGEST);
  packet.writeUInt16BE(0x4500, 0);
  packet.writeUInt16BE(LONGEST, 2);
  packet.writeUInt16BE(0x4000, 6); // do not fragment
  packet.writeUInt8(64, 8);
  packet.writeUInt8(6, 9);
  FROM.copy(packet, 12);
  TO.copy(packet, 16);
  packet.writeUInt16BE(~sumOf(packet.subarray(0, IP)) & 0xffff, 10);
  packet.writeUInt16BE(PORT, IP);
  packet.writeUInt16BE(PORT, IP + 2);
  packet.writeUInt16BE(0x5010, IP + 12); // no options, ACK
  const pseudoHeader = Buffer.alloc(12);
  packet.copy(pseudoHeader, 0, 12, 20);
  pseudoHeader.writeUInt16BE(6, 8);
  pseudoHeader.writeUInt16BE(LONGEST - IP, 10);
  packet.writeUInt16BE(sumOf(pseudoHeader), IP + 16);
  TEXT.copy(packet, IP + TCP);
  return packet;
}

/** The sum of 16-bit words of RFC 1071, not inverted. */
function sumOf(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}
