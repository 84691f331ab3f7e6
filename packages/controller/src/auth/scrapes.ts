/** The scrapes that are under way. Each holds its text until it is read, so there are few of them. */

import type { Readable } from 'node:stream';
import { Serial } from '@mirrorplane/base';
import { ProblemError } from '../problems/problems.ts';

/** Scrapes of one user at a time: two servers that scrape alike, and a person who looks. */
export const MOST_OF_USER = 4;
/** Milliseconds that a scrape has to be read. Its reader may be gone without a word. */
const READ_MS = 60_000;

export class Scrapes {
  readonly #collections = new Serial();
  readonly #open = new Map<string, number>();
  readonly #readMs: number;

  /** @param readMs milliseconds that a scrape has to be read */
  constructor(readMs = READ_MS) {
    this.#readMs = readMs;
  }

  /**
   * Runs a scrape, after those that came before.
   * @param holder name of who scrapes
   * @throws ProblemError if this user has too many that are not read to their end
   */
  async run<T extends { text: Readable }>(holder: string, scrape: () => Promise<T>): Promise<T> {
    const count = this.#open.get(holder) ?? 0;
    if (count >= MOST_OF_USER) {
      throw new ProblemError(
        'UNAVAILABLE',
        `${count} scrapes of yours are under way: read them to their end, or scrape less often`,
      );
    }
    this.#open.set(holder, count + 1);
    try {
      const rendered = await this.#collections.run(scrape);
      const { text } = rendered;
      const timer = setTimeout(() => text.destroy(), this.#readMs).unref();
      text.once('close', () => {
        clearTimeout(timer);
        this.#end(holder);
      });
      return rendered;
    } catch (error) {
      this.#end(holder);
      throw error;
    }
  }

  #end(holder: string): void {
    const count = this.#open.get(holder)! - 1;
    if (count === 0) {
      this.#open.delete(holder);
    } else {
      this.#open.set(holder, count);
    }
  }
}
