/** The frame in a record of the data plane. Pure. */

/** Bytes of the two addresses of a frame; a tag comes behind them. */
const ADDRESSES = 12;
const TAG = 4;
/** Of a VLAN tag, ETH_P_8021Q and ETH_P_8021AD. */
const VLAN_PROTOCOLS: readonly number[] = [0x8100, 0x88a8];
const [ETH_P_IP, ETH_P_IPV6] = [0x0800, 0x86dd];
const [TCP, UDP] = [6, 17];

/** Where a record has the parts of its frame. */
interface FrameFields {
  captured: number;
  vlan_tci: number;
  vlan_protocol: number;
  bytes: number;
}

/** The first bytes of a frame as on the wire, and its outermost tag. */
export interface RecordFrame {
  bytes: Buffer;
  vlan: { protocol: number; tci: number } | undefined;
}

/** @param at offsets in `record` */
export function frameOf(record: Buffer, at: FrameFields): RecordFrame {
  const bytes = withTag(record, at);
  const protocol = bytes.length >= ADDRESSES + TAG ? bytes.readUInt16BE(ADDRESSES) : 0;
  const tagged = VLAN_PROTOCOLS.includes(protocol);
  return { bytes, vlan: tagged ? { protocol, tci: bytes.readUInt16BE(ADDRESSES + 2) } : undefined };
}

/** The bytes of a frame, with the tag that the kernel keeps beside it. */
function withTag(record: Buffer, at: FrameFields): Buffer {
  const bytes = record.subarray(at.bytes, at.bytes + record.readUInt16LE(at.captured));
  const protocol = record.subarray(at.vlan_protocol, at.vlan_protocol + 2);
  if (protocol.readUInt16BE() === 0 || bytes.length < ADDRESSES) {
    return Buffer.from(bytes);
  }
  const tci = Buffer.alloc(2);
  tci.writeUInt16BE(record.readUInt16LE(at.vlan_tci));
  return Buffer.concat([bytes.subarray(0, ADDRESSES), protocol, tci, bytes.subarray(ADDRESSES)]);
}

/**
 * Bytes of the headers up to TCP or UDP, tags included. 0: there is neither, or it is not among the
 * bytes. Extension headers of IPv6 are not read.
 */
export function headerLength(bytes: Buffer): number {
  let at = ADDRESSES;
  while (bytes.length >= at + TAG && VLAN_PROTOCOLS.includes(bytes.readUInt16BE(at))) {
    at += TAG;
  }
  const type = bytes.length >= at + 2 ? bytes.readUInt16BE(at) : 0;
  at += 2;
  const [protocolAt, ipLength] = type === ETH_P_IP ? [9, ((bytes[at] ?? 0) & 15) * 4] : [6, 40];
  const transport = at + ipLength;
  if ((type !== ETH_P_IP && type !== ETH_P_IPV6) || bytes.length < transport + 13) {
    return 0;
  }
  const protocol = bytes[at + protocolAt];
  return protocol === TCP ? transport + (bytes[transport + 12]! >> 4) * 4 : protocol === UDP ? transport + 8 : 0;
}
