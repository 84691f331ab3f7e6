/** The boards that lists and streams are made of. */
import type { History } from '../history/history.ts';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { Board } from './board.ts';
import { destinationEntries } from './destinations.ts';
import { interfaceReading } from './interface-traffic.ts';
import { InterfaceSummaries } from './interfaces.ts';
import { nodeEntries } from './nodes.ts';
import { policyEntries, policyEntry } from './policies.ts';

interface Parts {
  view: View;
  live: LiveNodes;
  inventory: CurrentInventory;
  history: History;
  statuses: KeptStatuses;
}

export function openBoards(parts: Parts) {
  const revision = () => parts.view.revision;
  const interfaces = new InterfaceSummaries(parts);
  const policies = new Board({
    key: ({ name }) => name,
    make: () => policyEntries(parts),
    revision,
  });
  const nodes = new Board({ key: ({ name }) => name, make: () => nodeEntries(parts), revision });
  const destinations = new Board({
    key: ({ id }) => id,
    make: () =>
      destinationEntries(policies.items().values(), {
        of: (id) => interfaces.one(id),
        reading: (id) => interfaceReading(parts.inventory.get(id), parts.live),
      }),
    revision,
  });
  return { policies, interfaces, nodes, destinations, policyOf: (name: string) => policyEntry(name, parts) };
}
