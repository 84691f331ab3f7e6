/** What is open on behalf of tokens, as a stream. It is ended with its token. */
import type { Owner } from '../auth/principal.ts';

export class OpenThings {
  /** By the digest of the token. */
  readonly #open = new Map<string, Set<() => void>>();

  /**
   * @param close called when the token ends
   * @returns what says that it is not open any more
   */
  hold(token: string, close: () => void): () => void {
    const open = this.#open.get(token) ?? new Set();
    this.#open.set(token, open.add(close));
    return () => {
      open.delete(close);
      if (open.size === 0 && this.#open.get(token) === open) {
        this.#open.delete(token);
      }
    };
  }

  /** Ends what belongs to tokens that are not valid any more. */
  endInvalid(isValid: (owner: Owner) => boolean): void {
    for (const [token, open] of this.#open) {
      if (!isValid({ token })) {
        this.#open.delete(token);
        for (const close of open) {
          close();
        }
      }
    }
  }
}
