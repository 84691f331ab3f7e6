/** When API tokens were used last: noted in memory, and in the store now and then. */
import { Coalesced } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import type { Principal } from '../auth/principal.ts';
import type { Decisions } from '../store/decisions.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';

/** Milliseconds between two writes about one token. */
const PRECISION_MS = 5 * 60 * 1000;

export interface TokenUsesOptions {
  view: View;
  decisions: Decisions;
  clock: () => number;
  log: Logger;
}

export class TokenUses {
  readonly #options: TokenUsesOptions;
  /** By digest, milliseconds since 1970: of tokens that were used since the last write. */
  readonly #used = new Map<string, number>();
  readonly #saving = new Coalesced(() => this.#save());

  constructor(options: TokenUsesOptions) {
    this.#options = options;
  }

  /** A request came with this credential. */
  note({ kind, owner }: Principal): void {
    if (kind !== 'apiToken' || !('token' in owner)) {
      return;
    }
    const now = this.#options.clock();
    const stored = this.#options.view.get('tokenUses', owner.token)?.value;
    if (stored === undefined || now - Date.parse(stored) >= PRECISION_MS) {
      this.#used.set(owner.token, now);
      void this.#saving.request();
    }
  }

  /** ISO 8601; undefined: not used yet. */
  lastUse(digest: string): string | undefined {
    return this.#options.view.get('tokenUses', digest)?.value;
  }

  close(): Promise<void> {
    return this.#saving.close();
  }

  async #save(): Promise<void> {
    const { decisions, view, log } = this.#options;
    const used = [...this.#used].map(([digest, at]) => [digest, new Date(at).toISOString()] as const);
    this.#used.clear();
    await decisions
      .decide(() => ({
        // A token that was revoked meanwhile has no use any more.
        ops: used
          .filter(([digest]) => view.get('apiTokens', digest) !== undefined)
          .map(([digest, at]) => ({ type: 'put', key: keyOf('tokenUses', digest), value: at })),
        decisive: false,
        result: () => undefined,
      }))
      .catch((error: unknown) => log.warn({ err: error }, 'use of API tokens not saved'));
  }
}
