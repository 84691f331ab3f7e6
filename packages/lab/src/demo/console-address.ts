/** The address of the console, with a ticket that signs one browser in. */
import type { Lab } from '../lab.ts';

/** Milliseconds that a ticket must still be good for, when it is shown. */
const LEFT_MS = 60_000;

interface Ticket {
  ticket: string;
  expiresAt: string;
}

/** Makes addresses of the console of a lab. An address is replaced before its ticket ends. */
export class ConsoleAddress {
  readonly #lab: Lab;
  #ticket: Ticket | undefined;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** A line that says where the console is, and until when the address signs in. */
  async line(): Promise<string> {
    if (this.#ticket === undefined || Date.parse(this.#ticket.expiresAt) - Date.now() < LEFT_MS) {
      const { status, body } = await this.#lab.api('POST', '/api/v1/session/tickets');
      if (status !== 201) {
        throw new Error(`a ticket for the console: ${status} ${JSON.stringify(body)}`);
      }
      this.#ticket = body as Ticket;
    }
    const { ticket, expiresAt } = this.#ticket;
    const until = new Date(expiresAt).toISOString().slice(11, 16);
    return `Console: http://127.0.0.1:${this.#lab.state.apiPort}/#ticket=${ticket} (signs in once, until ${until} UTC)`;
  }
}
