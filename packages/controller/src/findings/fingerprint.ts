/** Tells packets apart, also behind a router: by what no hop changes. */

const ADDRESSES = 12;
const VLAN_TYPES: ReadonlySet<number> = new Set([0x8100, 0x88a8]);
/** Bytes behind the header of Ethernet that are told apart: every place has seen so many. */
const TOLD = 80;

/**
 * The same for the same packet at every place. Left out are tags and MAC addresses, what a router
 * changes (RFC 1812: TTL, checksum, DSCP), and checksums that may still be missing.
 * @param bytes the first bytes of the frame
 */
export function fingerprintOf(bytes: Uint8Array): string {
  let at = ADDRESSES;
  while (VLAN_TYPES.has(u16(bytes, at)) && at < ADDRESSES + 8) {
    at += 4;
  }
  const type = u16(bytes, at);
  const packet = bytes.slice(at + 2, at + 2 + TOLD);
  const [length, left] = type === 0x0800 ? changedOfIpv4(packet) : type === 0x86dd ? changedOfIpv6(packet) : [TOLD, []];
  for (const offset of left) {
    packet[offset] = 0;
  }
  return hash(packet.subarray(0, length));
}

/** How long the packet is, and where it has bytes that change. */
function changedOfIpv4(packet: Uint8Array): [number, number[]] {
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  const isFirst = (u16(packet, 6) & 0x1fff) === 0;
  const checksum = isFirst ? checksumOf(packet[9], header) : [];
  return [u16(packet, 2) || TOLD, [1, 8, 10, 11, ...checksum]];
}

function changedOfIpv6(packet: Uint8Array): [number, number[]] {
  return [u16(packet, 4) + 40, [0, 1, 7, ...checksumOf(packet[6], 40)]];
}

function checksumOf(protocol: number | undefined, at: number): number[] {
  const offset = protocol === 6 ? at + 16 : protocol === 17 ? at + 6 : undefined;
  return offset === undefined ? [] : [offset, offset + 1];
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** FNV-1a, twice 32 bits: by chance, two packets of 100,000 are the same once in a billion. */
function hash(bytes: Uint8Array): string {
  let one = 0x811c9dc5;
  let two = 0x01000193;
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    two = Math.imul(two ^ byte ^ (one >>> 24), 0x85ebca6b);
    two ^= two >>> 13;
  }
  return `${(one >>> 0).toString(36)}.${(two >>> 0).toString(36)}`;
}
