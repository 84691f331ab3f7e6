/** /api/v1/destinations */
import { DestinationSummary } from '@mirrorplane/contract';
import { isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { type Route, route } from './route.ts';

const DESTINATIONS: ListSpec<DestinationSummary> = {
  keyName: 'id',
  key: ({ id }) => id,
  sort: {
    name: ({ name }) => name,
    node: ({ node }) => node,
    policyCount: ({ policyCount }) => policyCount,
    delivered: ({ rates }) => rates.delivered?.bitsPerSecond,
  },
  texts: ({ name, node, device, policies }) => [name, node, device, ...policies],
  filter: {
    kind: ({ kind }, value) => isValue(kind, value),
    node: ({ node }, value) => isValue(node, value),
    policy: ({ policies }, value) => policies.some((name) => isValue(name, value)),
  },
};

export const destinationRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/destinations',
    tag: 'interfaces',
    needs: 'read',
    about: 'handler',
    summary: 'List the interfaces that are destinations, with what they get',
    query: pageQuery(DESTINATIONS),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Destinations by id.', schema: listOf(DestinationSummary) }],
    handle: ({ query, services, judge, who }) => ({
      body: pageOf(
        services.destinations
          .items()
          .values()
          .filter(({ id }) => judge.may('read', 'interface', id)),
        DESTINATIONS,
        query,
        listOptions(services, who),
      ),
    }),
  }),
];
