/** /api/v1/destinations */
import { inTurns } from '@mirrorplane/base';
import { DestinationSummary } from '@mirrorplane/contract';
import type { DestinationEntry } from '../summaries/destinations.ts';
import { isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { listOf, listOptions, pageQuery, pageSteps } from './paging.ts';
import { type Route, route } from './route.ts';
import { freshStatuses } from './seen-policies.ts';

const DESTINATIONS: ListSpec<DestinationEntry> = {
  keyName: 'id',
  key: ({ id }) => id,
  sort: {
    name: ({ found }) => found?.name ?? '',
    node: ({ found }) => found?.node,
    policyCount: ({ policyCount }) => policyCount,
    delivered: ({ rates }) => rates.delivered?.bitsPerSecond,
  },
  texts: ({ found, policies }) => [found?.name, found?.node, found?.device?.name, ...policies],
  filter: {
    kind: ({ found }, value) => isValue(found?.kind, value),
    node: ({ found }, value) => isValue(found?.node, value),
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
    handle: async ({ query, services, judge, who }) => {
      await freshStatuses(services);
      const all = services.destinations.items().values();
      const seen = all.filter(({ id }) => judge.may('read', 'interface', id));
      const page = await inTurns(pageSteps(seen, DESTINATIONS, query, listOptions(services, who)));
      return { body: { ...page, items: page.items.map(({ summary }) => summary) } };
    },
  }),
];
