/** Secrets of authenticator apps that wait for their first code: in memory, for ten minutes. */
import { newTotpSecret } from './totp.ts';

/** Milliseconds to confirm a secret with a code. */
const CONFIRM_MS = 10 * 60 * 1000;
/** One more takes the place of the oldest. */
const MAX_BEGINS = 256;

export class TotpBegins {
  readonly #clock: () => number;
  /** By user, the oldest first. */
  readonly #begins = new Map<string, { secret: string; stamp: string; expiresAt: number }>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** A new secret of a user, in place of one that waits. @param stamp of the user */
  begin(user: string, stamp: string): { secret: string; expiresAt: number } {
    this.#begins.delete(user);
    if (this.#begins.size >= MAX_BEGINS) {
      const [oldest] = this.#begins.keys();
      this.#begins.delete(oldest!);
    }
    const begun = { secret: newTotpSecret(), stamp, expiresAt: this.#clock() + CONFIRM_MS };
    this.#begins.set(user, begun);
    return begun;
  }

  /** The secret that waits. Undefined: none, or not any more. */
  waiting(user: string, stamp: string): string | undefined {
    const begun = this.#begins.get(user);
    return begun && begun.stamp === stamp && this.#clock() < begun.expiresAt ? begun.secret : undefined;
  }

  confirmed(user: string): void {
    this.#begins.delete(user);
  }
}
