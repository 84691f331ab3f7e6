/** The scrapes that are under way. Each holds its text until it is read, so there are few of them. */

import type { Readable } from 'node:stream';
import { Serial } from '@mirrorplane/base';
import { ProblemError } from '../problems/problems.ts';
import { HeldPlaces } from './fair-share.ts';

/** Scrapes of one user at a time: two servers that scrape alike, and a person who looks. */
export const MOST_OF_USER = 4;
/** Milliseconds that a scrape has to be read. Its reader may be gone without a word. */
const READ_MS = 60_000;

export class Scrapes {
  readonly #collections = new Serial();
  readonly #places = new HeldPlaces({ each: MOST_OF_USER, total: Number.POSITIVE_INFINITY });
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
    if (this.#places.whyNot(holder)) {
      throw new ProblemError(
        'UNAVAILABLE',
        `${MOST_OF_USER} scrapes of yours are under way: read them to their end, or scrape less often`,
      );
    }
    const giveBack = this.#places.take(holder);
    try {
      const rendered = await this.#collections.run(scrape);
      const { text } = rendered;
      const timer = setTimeout(() => text.destroy(), this.#readMs).unref();
      text.once('close', () => {
        clearTimeout(timer);
        giveBack();
      });
      return rendered;
    } catch (error) {
      giveBack();
      throw error;
    }
  }
}
