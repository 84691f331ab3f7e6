/** Stands in for `node:crypto`: what is drawn follows from the seed. */
import * as real from 'node:crypto';
import { running } from '../core/simulation.ts';

export * from 'node:crypto';

/** 16 random bytes as a UUID of version 4 (RFC 9562, section 5.4). */
export function randomUUID(): ReturnType<typeof real.randomUUID> {
  const draws = running()?.draws;
  if (!draws) {
    return real.randomUUID();
  }
  const word = () =>
    draws
      .below(2 ** 32)
      .toString(16)
      .padStart(8, '0');
  const text = word() + word() + word() + word();
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-a${text.slice(17, 20)}-${text.slice(20)}`;
}

/** A random whole number: from 0 to below `most`, or from `most` to below `bound`. */
export function randomInt(most: number, bound?: number): number {
  const [from, to] = bound === undefined ? [0, most] : [most, bound];
  const draws = running()?.draws;
  return draws ? from + draws.below(to - from) : real.randomInt(from, to);
}

export function randomBytes(count: number): Buffer {
  const draws = running()?.draws;
  return draws ? Buffer.from(Array.from({ length: count }, () => draws.below(256))) : real.randomBytes(count);
}
