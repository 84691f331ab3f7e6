/**
 * Logins of the command line that wait for consent (RFC 8628): the command shows a short code, a
 * person who has signed in types it in the console and sees from where it was asked. In memory only.
 */
import { newSecret, sha256 } from '../auth/api-tokens.ts';
import { originOf } from '../auth/origin.ts';
import { newUserCode } from './generated.ts';

/** Milliseconds that a code is good for. */
const CODE_MS = 10 * 60 * 1000;
/**
 * Codes that are kept, altogether and of one address. One more takes the place of the oldest one of
 * the address with most of them, so strangers take their own places alone.
 */
const MAX_WAITING = 256;
const MAX_OF_ORIGIN = 8;

/** What became of a login: the token is told once. */
export type DeviceOutcome = { state: 'refused' } | { state: 'confirmed'; token: string; digest: string };

export interface DeviceLogin {
  userCode: string;
  /** SHA-256 of the secret with which the command asks. */
  id: string;
  address: string;
  host: string | undefined;
  /** Milliseconds since 1970. */
  askedAt: number;
  expiresAt: number;
  outcome?: DeviceOutcome;
}

export class DeviceLogins {
  readonly #clock: () => number;
  /** By the hash of the device code. */
  readonly #logins = new Map<string, DeviceLogin>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** A new login. Undefined: too many of this address wait. */
  begin(address: string, host: string | undefined): { deviceCode: string; login: DeviceLogin } | undefined {
    this.#forget();
    const byOrigin = Map.groupBy(this.#logins.values(), (login) => originOf(login.address));
    if ((byOrigin.get(originOf(address))?.length ?? 0) >= MAX_OF_ORIGIN) {
      return undefined;
    }
    if (this.#logins.size >= MAX_WAITING) {
      const [most] = [...byOrigin.values()].sort((a, b) => b.length - a.length);
      this.#logins.delete(most![0]!.id);
    }
    const deviceCode = newSecret();
    const askedAt = this.#clock();
    const login: DeviceLogin = {
      userCode: this.#freeCode(),
      id: sha256(deviceCode),
      address,
      host,
      askedAt,
      expiresAt: askedAt + CODE_MS,
    };
    this.#logins.set(login.id, login);
    return { deviceCode, login };
  }

  /** The login that waits for consent. Undefined: none has this code, or not any more. */
  waiting(userCode: string): DeviceLogin | undefined {
    this.#forget();
    return this.#logins.values().find((login) => login.userCode === userCode && login.outcome === undefined);
  }

  /** What became of a login: undefined if there is none, or not any more. An outcome is told once. */
  poll(deviceCode: string): { state: 'pending' } | DeviceOutcome | undefined {
    this.#forget();
    const login = this.#logins.get(sha256(deviceCode));
    if (login?.outcome) {
      this.#logins.delete(login.id);
    }
    return login && (login.outcome ?? { state: 'pending' });
  }

  #freeCode(): string {
    for (;;) {
      const code = newUserCode();
      if (!this.#logins.values().some(({ userCode }) => userCode === code)) {
        return code;
      }
    }
  }

  #forget(): void {
    const now = this.#clock();
    for (const [id, { expiresAt }] of this.#logins) {
      if (now >= expiresAt) {
        this.#logins.delete(id);
      }
    }
  }
}
