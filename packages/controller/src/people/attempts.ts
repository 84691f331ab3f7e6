/**
 * How often passwords may be tried: bounded for each address, for each account, and altogether. An
 * address from which the account has signed in before has a bound of its own, so strangers can
 * shut nobody out who comes from where they came before.
 */
import { KeyedBuckets } from '../auth/keyed-buckets.ts';
import { TokenBucket } from '../token-bucket.ts';

/** One try to sign in. */
export interface Attempt {
  /** Name of the account, which need not exist. */
  user: string;
  /** As `originOf` has it. */
  origin: string;
  /** Whether the account has signed in from there before. */
  isKnown: boolean;
}

export class Attempts {
  /** An account from an address that it knows, and an address with unknown accounts. */
  readonly #known = new KeyedBuckets({ reserve: 10, perSecond: 1 / 6 });
  readonly #addresses = new KeyedBuckets({ reserve: 10, perSecond: 1 / 6 });
  /** An account from all addresses that it does not know. */
  readonly #accounts = new KeyedBuckets({ reserve: 20, perSecond: 1 / 30 });
  readonly #strangers = new TokenBucket({ reserve: 100, perSecond: 5 });
  /** How often an account that has signed in gets back what it has spent at an address. */
  readonly #refills = new KeyedBuckets({ reserve: 100, perSecond: 1 / 6 });
  /** Codes, of those who have the right password: a million of them are not many. */
  readonly #codes = new KeyedBuckets({ reserve: 5, perSecond: 1 / 60 });

  /** Whether one more password may be tried. */
  take({ user, origin, isKnown }: Attempt): boolean {
    if (isKnown) {
      return this.#known.take(pair(user, origin));
    }
    return this.#addresses.take(origin) && this.#accounts.take(user) && this.#strangers.take();
  }

  /** Whether one more code may be tried after a right password. */
  takeCode({ user, origin, isKnown }: Attempt): boolean {
    return this.#codes.take(isKnown ? pair(user, origin) : user);
  }

  /**
   * It has signed in: what was tried for this account from this address does not count, as long as
   * that does not happen often. Tries for other accounts count.
   */
  succeeded({ user, origin, isKnown }: Attempt): void {
    if (this.#refills.take(pair(user, origin))) {
      this.#known.forget(pair(user, origin));
      this.#codes.forget(pair(user, origin));
    }
    if (!isKnown) {
      this.#addresses.giveBack(origin);
    }
  }
}

function pair(user: string, origin: string): string {
  return `${user} ${origin}`;
}
