/** Interfaces that are destinations, with what they get. */
import {
  addCount,
  type Count,
  type DestinationSummary,
  type InterfaceSummary,
  MAX_SUMMARY_ITEMS,
} from '@mirrorplane/contract';
import { sumOfRates } from '../history/rates.ts';
import { addPoints } from '../history/read.ts';
import type { PolicyEntry } from './policies.ts';

/** What is known of interfaces, by their ids. */
interface Interfaces {
  of: (id: string) => InterfaceSummary | undefined;
  reading: (id: string) => DestinationSummary['reading'];
}

/**
 * A destination with the policies that end there. Of many, few are shown: a summary is made each time
 * that it is asked for.
 */
export class DestinationEntry {
  readonly id: string;
  readonly #policies: readonly PolicyEntry[];
  readonly #interfaces: Interfaces;

  constructor(id: string, policies: readonly PolicyEntry[], interfaces: Interfaces) {
    this.id = id;
    this.#policies = policies;
    this.#interfaces = interfaces;
  }

  /** What is known of its interface. */
  get found(): InterfaceSummary | undefined {
    return this.#interfaces.of(this.id);
  }

  /** Names of its first policies, as the summary has them. */
  get policies(): string[] {
    return this.#policies.slice(0, MAX_SUMMARY_ITEMS).map(({ name }) => name);
  }

  get policyCount(): number {
    return this.#policies.length;
  }

  get rates(): DestinationSummary['rates'] {
    return sumOfRates(this.#policies.map(({ rates }) => rates));
  }

  get summary(): DestinationSummary {
    const { id, found, policies, policyCount, rates } = this;
    const all = this.#policies;
    return {
      id,
      name: found?.name ?? '',
      ...(found && { kind: found.kind }),
      ...(found?.node !== undefined && { node: found.node }),
      ...(found?.device && { device: found.device.name }),
      policies,
      policyCount,
      delivered: all.reduce<Count | null>(
        (sum, { delivered }) => (sum && delivered ? addCount(sum, delivered) : null),
        { packets: 0, bytes: 0 },
      ),
      rates,
      reading: this.#interfaces.reading(id),
      sparkline: all.map(({ sparkline }) => sparkline).reduce(addPoints),
    };
  }
}

/** All destinations of policies. */
export function destinationEntries(policies: Iterable<PolicyEntry>, interfaces: Interfaces): DestinationEntry[] {
  const groups = Map.groupBy(policies, ({ record }) => record.destination);
  return [...groups].map(([id, entries]) => new DestinationEntry(id, entries, interfaces));
}
