/**
 * Tickets: each signs one browser in, once and soon, so that an address with a ticket in it can be
 * shown.
 */

import { newSecret, sha256 } from './api-tokens.ts';
import { givesWay } from './fair-share.ts';
import type { Owner } from './principal.ts';

/** Milliseconds that a ticket is good for. */
export const TICKET_MS = 5 * 60 * 1000;
/** Tickets that wait to be used, of one user or token and of all. One more ends the oldest. */
export const TICKET_PLACES = { each: 16, total: 256 };

export class Tickets {
  readonly #clock: () => number;
  /** By the hash of the ticket, the oldest first. They are gone with the process. */
  readonly #tickets = new Map<string, { owner: Owner; holder: string; expiresAt: number }>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /**
   * @param owner whom the ticket stands for
   * @param holder who has a share of the tickets
   */
  issue(owner: Owner, holder: string): { ticket: string; expiresAt: number } {
    const now = this.#clock();
    for (const [digest, { expiresAt }] of this.#tickets) {
      if (now >= expiresAt) {
        this.#tickets.delete(digest);
      }
    }
    const holders = new Map([...this.#tickets].map(([digest, one]) => [digest, one.holder]));
    const oldest = givesWay(holders, holder, TICKET_PLACES);
    if (oldest !== undefined) {
      this.#tickets.delete(oldest);
    }
    const ticket = newSecret();
    const expiresAt = now + TICKET_MS;
    this.#tickets.set(sha256(ticket), { owner, holder, expiresAt });
    return { ticket, expiresAt };
  }

  /** Uses a ticket up. Undefined: there is none, or not any more. */
  take(ticket: string): Owner | undefined {
    const digest = sha256(ticket);
    const found = this.#tickets.get(digest);
    this.#tickets.delete(digest);
    return found && this.#clock() < found.expiresAt ? found.owner : undefined;
  }
}
