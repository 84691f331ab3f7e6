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

export function destinationSummaries(policies: Iterable<PolicyEntry>, interfaces: Interfaces): DestinationSummary[] {
  const groups = Map.groupBy(policies, ({ record }) => record.destination);
  return [...groups].map(([id, entries]) => {
    const found = interfaces.of(id);
    return {
      id,
      name: found?.name ?? '',
      ...(found && { kind: found.kind }),
      ...(found?.node !== undefined && { node: found.node }),
      ...(found?.device && { device: found.device.name }),
      policies: entries.slice(0, MAX_SUMMARY_ITEMS).map(({ name }) => name),
      policyCount: entries.length,
      delivered: entries.reduce<Count | null>(
        (sum, { delivered }) => (sum && delivered ? addCount(sum, delivered) : null),
        { packets: 0, bytes: 0 },
      ),
      rates: sumOfRates(entries.map(({ rates }) => rates)),
      reading: interfaces.reading(id),
      sparkline: entries.map(({ sparkline }) => sparkline).reduce(addPoints),
    };
  });
}
