/**
 * Tickets: each signs one browser in, once and soon, so that an address with a ticket in it can be
 * shown.
 */

import { newSecret, sha256 } from './api-tokens.ts';
import type { Owner } from './principal.ts';

/** Milliseconds that a ticket is good for. */
export const TICKET_MS = 5 * 60 * 1000;
/** Tickets that wait to be used. One more ends the oldest. */
export const MAX_TICKETS = 64;

export class Tickets {
  readonly #clock: () => number;
  /** By the hash of the ticket, the oldest first. They are gone with the process. */
  readonly #tickets = new Map<string, { owner: Owner; expiresAt: number }>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** @param owner whom the ticket stands for */
  issue(owner: Owner): { ticket: string; expiresAt: number } {
    const [oldest] = this.#tickets.keys();
    if (this.#tickets.size >= MAX_TICKETS) {
      this.#tickets.delete(oldest!);
    }
    const ticket = newSecret();
    const expiresAt = this.#clock() + TICKET_MS;
    this.#tickets.set(sha256(ticket), { owner, expiresAt });
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
