/** What can be said of the sizes of frames of which only numbers and bytes are known. Pure. */
import type { Count } from '@mirrorplane/contract';

/** Bytes of an Ethernet header, and of the smallest frame in memory of the kernel. */
export const ETHERNET = 14;
const SMALLEST = 60;
/** Bytes of Ethernet, IPv4 and TCP headers: each segment of a super-packet has them. */
const TCP_HEADERS = 54;

/**
 * Packets and bytes as they are on the wire. A device counts a super-packet as one: its bytes say
 * how many segments it must have had.
 * @param mtu of the device that counted
 */
export function onTheWire({ packets, bytes }: Count, mtu: number): Count {
  const segments = Math.max(packets, bytes / (mtu + ETHERNET));
  return { packets: segments, bytes: bytes + (segments - packets) * TCP_HEADERS };
}

/**
 * The largest share of frames that can have more than `above` bytes: with more of them, the mean
 * would be larger. 0 to 1.
 */
export function shareAbove({ packets, bytes }: Count, above: number): number {
  if (packets === 0) {
    return 0;
  }
  return Math.min(1, Math.max(0, (bytes / packets - SMALLEST) / (above + 1 - SMALLEST)));
}
