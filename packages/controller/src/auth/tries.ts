/** How often one address, and all of them, may try to sign in. */

import { type ShareOptions, TokenBucket } from '../token-bucket.ts';
import { originOf } from './origin.ts';

/** Attempts to sign in from one address, and from all addresses. */
const OF_ADDRESS: ShareOptions = { reserve: 10, perSecond: 1 / 6 };
const OF_ALL: ShareOptions = { reserve: 200, perSecond: 10 };
/**
 * Addresses whose tries are remembered: one more is remembered in place of the one that came first.
 */
const MAX_ADDRESSES = 4096;

export class Tries {
  readonly #addresses = new Map<string, TokenBucket>();
  readonly #all = new TokenBucket(OF_ALL);

  /** Whether the address may try once more. */
  take(address: string): boolean {
    const origin = originOf(address);
    const own = this.#addresses.get(origin) ?? new TokenBucket(OF_ADDRESS);
    if (!this.#addresses.has(origin) && this.#addresses.size >= MAX_ADDRESSES) {
      const [first] = this.#addresses.keys();
      this.#addresses.delete(first!);
    }
    this.#addresses.set(origin, own);
    return own.take() && this.#all.take();
  }

  /** It has signed in: what it tried before does not count. */
  succeeded(address: string): void {
    this.#addresses.delete(originOf(address));
  }
}
