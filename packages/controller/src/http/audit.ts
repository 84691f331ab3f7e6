/** /api/v1/audit */
import * as z from 'zod';
import { AuditEntry } from '../audit/audit.ts';
import { filterOf, isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { type Route, route } from './route.ts';

const ENTRIES: Pick<ListSpec<AuditEntry>, 'key' | 'texts' | 'filter'> = {
  key: ({ resource }) => resource,
  texts: ({ actor, address, action, outcome, code, time }) => [actor, address, action, outcome, code, time],
  filter: {
    action: ({ action }, value) => isValue(action, value),
    actor: ({ actor }, value) => isValue(actor, value),
    outcome: ({ outcome }, value) => isValue(outcome, value),
  },
};

/** Entries in which those are looked for that a filter wants. */
const MAX_SEARCHED = 10_000;

const Query = z.strictObject({
  filter: z.string().max(512).default('').meta({
    description:
      'Words that an entry has to contain, all of them. Also: `action:VALUE`, `actor:VALUE`, `outcome:VALUE`. The newest 10,000 entries are searched.',
  }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .meta({ description: 'Largest number of entries, 1 to 1000.' }),
});

export const auditRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/audit',
    tag: 'audit',
    summary: 'List the newest changes, including refused ones',
    query: Query,
    responses: [
      { status: 200, description: 'Entries, the newest first.', schema: z.object({ items: z.array(AuditEntry) }) },
    ],
    handle: async ({ query: { limit, filter }, services }) => {
      const isWanted = filterOf(ENTRIES, filter);
      const entries = await services.audit.read(filter === '' ? limit : MAX_SEARCHED);
      return { body: { items: entries.filter(isWanted).slice(0, limit) } };
    },
  }),
];
