/** The identity providers of an agent together, and their last reports, until they have reported again. */
import { EventEmitter } from 'node:events';
import type { NodeProblem } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';
import type { IdentityRecord } from './identity-record.ts';
import type { Claim, IdentityProvider } from './provider.ts';

/** What the agent asks its providers. */
export class Identities extends EventEmitter<{ change: [] }> {
  readonly #providers: readonly IdentityProvider[];
  readonly #record: IdentityRecord;

  /**
   * @param parts.providers in the order in which they are believed
   * @param parts.record what they said in the last run
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

  /** Begins to listen. @param links the devices that the node has */
  open(links: readonly Link[]): void {
    this.look(links);
    for (const provider of this.#providers) {
      provider.open();
    }
  }

  /** Says which devices the node has now. */
  look(links: readonly Link[]): void {
    for (const provider of this.#providers) {
      provider.look(links);
    }
  }

  /** What is said of a device, the most believed first. */
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

  /** Stops listening. Resolves when what was said last is stored. */
  async close(): Promise<void> {
    this.removeAllListeners();
    for (const provider of this.#providers) {
      provider.close();
    }
    await this.#record.settled();
  }
}
