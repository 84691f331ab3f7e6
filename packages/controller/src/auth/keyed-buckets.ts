/** A token bucket for each of many keys, in bounded memory. */
import { type ShareOptions, TokenBucket } from '../token-bucket.ts';

/** Keys that are remembered: one more is remembered in place of the one that was used least lately. */
const MAX_KEYS = 4096;

export class KeyedBuckets {
  readonly #share: ShareOptions;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(share: ShareOptions) {
    this.#share = share;
  }

  /** Spends one of a key, if one is left. Returns whether it did. */
  take(key: string): boolean {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#share);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_KEYS) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest!);
    }
    return bucket.take();
  }

  /** One that the key has spent does not count any more. */
  giveBack(key: string): void {
    this.#buckets.get(key)?.giveBack();
  }

  /** What the key has spent does not count any more. */
  forget(key: string): void {
    this.#buckets.delete(key);
  }
}
