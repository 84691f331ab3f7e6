/**
 * IPv4 and IPv6 addresses and networks as bytes. Pure, and without anything of Node.js: browsers
 * use it too.
 */
import * as z from 'zod';

/** 4 or 6; undefined where the text is no address. */
export function familyOf(text: string): 4 | 6 | undefined {
  if (z.ipv4().safeParse(text).success) {
    return 4;
  }
  return z.ipv6().safeParse(text).success ? 6 : undefined;
}

/** 16 bytes; IPv4 has the first four of them. The text is an address. */
export function addressOf(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (!text.includes(':')) {
    bytes.set(text.split('.').map(Number));
    return bytes;
  }
  const [head, tail] = text.split('::') as [string, string | undefined];
  bytes.set(groups(head));
  const last = groups(tail ?? '');
  bytes.set(last, 16 - last.length);
  return bytes;
}

/** The bytes of colon-separated groups, of which the last may be IPv4. */
function groups(text: string): number[] {
  return text
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => {
      if (group.includes('.')) {
        return group.split('.').map(Number);
      }
      const number = Number.parseInt(group, 16);
      return [number >> 8, number & 0xff];
    });
}

/** 16 bytes of which the first `prefix` bits are 1. */
export function masked(prefix: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => 0xff00 >> Math.min(Math.max(prefix - 8 * i, 0), 8)).map(
    (byte) => byte & 0xff,
  );
}

export interface Net {
  family: 4 | 6;
  /** Bits outside of the mask are 0. */
  address: Uint8Array;
  mask: Uint8Array;
}

/** A network as 10.0.0.0/8, or what is wrong with it, as an order. */
export function parseNet(text: string): Net | string {
  const [head = '', length = '', ...more] = text.split('/');
  const family = familyOf(head);
  if (family === undefined || !/^\d{1,3}$/.test(length) || more.length > 0) {
    return 'write a network here, as 10.0.0.0/8 or fd00::/64';
  }
  const most = family === 4 ? 32 : 128;
  if (Number(length) > most) {
    return `write a prefix length from 0 to ${most}`;
  }
  const mask = masked(Number(length));
  const address = addressOf(head);
  if (address.some((byte, i) => byte & ~mask[i]!)) {
    return `write the address of the network: ${head} has bits behind the first ${length}`;
  }
  return { family, address, mask };
}
