/** The boards that lists and streams are made of. */
import type { History } from '../history/history.ts';
import type { StatusParts } from '../planning/policy-status.ts';
import { Board } from './board.ts';
import { destinationSummaries } from './destinations.ts';
import { interfaceReading } from './interface-traffic.ts';
import { InterfaceSummaries } from './interfaces.ts';
import { nodeSummaries } from './nodes.ts';
import { policyEntries } from './policies.ts';

export function openBoards(parts: StatusParts & { history: History }) {
  const revision = () => parts.view.revision;
  const interfaces = new InterfaceSummaries(parts);
  const policies = new Board({
    key: ({ summary }) => summary.name,
    make: () => policyEntries(parts),
    revision,
  });
  const nodes = new Board({ key: ({ name }) => name, make: () => nodeSummaries(parts), revision });
  const destinations = new Board({
    key: ({ id }) => id,
    make: () =>
      destinationSummaries(policies.items().values(), {
        of: (id) => interfaces.one(id),
        reading: (id) => interfaceReading(parts.inventory.get(id), parts.live),
      }),
    revision,
  });
  return { policies, interfaces, nodes, destinations };
}
