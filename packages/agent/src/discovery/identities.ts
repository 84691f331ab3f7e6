/**
 * All identity providers of an agent. Until a provider has reported, its last report of an earlier
 * run counts.
 */
import { EventEmitter } from 'node:events';
import type { NodeProblem } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';
import type { IdentityRecord } from './identity-record.ts';
import type { Claim, IdentityProvider } from './provider.ts';

/** Queries all providers. */
export class Identities extends EventEmitter<{ change: [] }> {
  readonly #providers: readonly IdentityProvider[];
  readonly #record: IdentityRecord;

  /**
   * @param parts.providers in order of precedence
   * @param parts.record their reports of the last run
   */
  constructor(parts: { providers: readonly IdentityProvider[]; record: IdentityRecord }) {
    super();
    this.#providers = parts.providers;
    this.#record = parts.record;
    for (const provider of this.#providers) {
      provider.on('change', () => {
        this.#record.keep(provider.name, provider.knowledge()?.claims ?? new Map());
        this.emit('change');
      });
    }
  }

  /** Begins to listen. @param links the devices of the node */
  open(links: readonly Link[]): void {
    this.look(links);
    for (const provider of this.#providers) {
      provider.open();
    }
  }

  /** Sets the current devices of the node. */
  look(links: readonly Link[]): void {
    for (const provider of this.#providers) {
      provider.look(links);
    }
  }

  /** The claims on a device, in order of precedence. */
  of(link: Link): Claim[] {
    return this.#providers.flatMap((provider) => {
      const knowledge = provider.knowledge();
      const claim = knowledge ? knowledge.claims.get(link.ifindex) : this.#record.find(provider.name, link);
      return claim ?? [];
    });
  }

  problems(): NodeProblem[] {
    return this.#providers.flatMap((provider) => provider.knowledge()?.problems ?? []);
  }

  /** Stops listening. Resolves when the last reports are stored. */
  async close(): Promise<void> {
    this.removeAllListeners();
    for (const provider of this.#providers) {
      provider.close();
    }
    await this.#record.settled();
  }
}
