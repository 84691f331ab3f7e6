/** How often one address, and all of them, may try to sign in with a token or a ticket. */
import { TokenBucket } from '../token-bucket.ts';
import { KeyedBuckets } from './keyed-buckets.ts';
import { originOf } from './origin.ts';

export class Tries {
  readonly #addresses = new KeyedBuckets({ reserve: 10, perSecond: 1 / 6 });
  readonly #all = new TokenBucket({ reserve: 200, perSecond: 10 });

  /** Whether the address may try once more. */
  take(address: string): boolean {
    return this.#addresses.take(originOf(address)) && this.#all.take();
  }

  /** It has signed in: this try does not count. Others that it has made do. */
  succeeded(address: string): void {
    this.#addresses.giveBack(originOf(address));
  }
}
