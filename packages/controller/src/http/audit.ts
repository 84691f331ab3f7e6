/** /api/v1/audit */
import * as z from 'zod';
import { AuditEntry } from '../audit/audit.ts';
import { type Route, route } from './route.ts';

const Query = z.strictObject({
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
    handle: async ({ query: { limit }, services }) => ({ body: { items: await services.audit.read(limit) } }),
  }),
];
