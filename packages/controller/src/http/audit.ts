/** /api/v1/audit */
import { AuditEntry } from '@mirrorplane/contract';
import * as z from 'zod';
import type { ChainPlace } from '../audit/reading.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import { filterOf, isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { type Route, route } from './route.ts';

const ENTRIES: Pick<ListSpec<AuditEntry>, 'key' | 'texts' | 'filter'> = {
  key: ({ resource }) => resource,
  texts: ({ actor, address, action, outcome, code, time, detail }) => [
    actor,
    address,
    action,
    outcome,
    code,
    time,
    detail,
  ],
  filter: {
    action: ({ action }, value) => isValue(action, value),
    actor: ({ actor }, value) => isValue(actor, value),
    address: ({ address }, value) => isValue(address, value),
    outcome: ({ outcome }, value) => isValue(outcome, value),
    resource: ({ resource }, value) => isValue(resource, value),
  },
};

const time = z.iso
  .datetime({ offset: true, error: 'write a time of ISO 8601, as in 2026-01-31T12:00:00Z' })
  .transform((text) => Date.parse(text))
  .optional();

const Query = z.strictObject({
  filter: z
    .string()
    .max(512)
    .default('')
    .meta({
      description:
        'Words that an entry has to contain, all of them, in capital or small letters. Also: `actor:VALUE`, `address:VALUE`, ' +
        '`action:VALUE`, `resource:VALUE`, `outcome:VALUE`. Words in double quotes are looked for as they are.',
    }),
  since: time.meta({ description: 'Only entries of this time or later, ISO 8601.' }),
  until: time.meta({ description: 'Only entries before this time, ISO 8601.' }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .meta({ description: 'Largest number of entries, 1 to 1000.' }),
  continue: z.string().max(192).optional().meta({
    description: '`continue` of the previous page. The other parameters have to stay the same.',
  }),
});

const AuditList = z.object({
  items: z.array(AuditEntry),
  continue: z
    .string()
    .optional()
    .meta({
      description:
        'Pass this value as `continue` to get older entries. One request searches 8 MB of the log: a page with few ' +
        'entries, or with none, need not be the last one. Absent on the last page. Its form may change.',
    }),
});

function textOf({ file, at, next }: ChainPlace): string {
  return Buffer.from(`${file} ${at} ${next}`).toString('base64url');
}

/** @throws ProblemError where it is no place */
function placeOf(text: string): ChainPlace {
  const place = /^([0-9a-f]{16}) (\d{1,15}) ([0-9a-f]{64}|)$/;
  const [, file, at, next] = place.exec(Buffer.from(text, 'base64url').toString()) ?? [];
  if (file === undefined || at === undefined || next === undefined) {
    refuseField(
      'continue',
      '"continue" is not a position in the log: remove it, or send `continue` of the previous page',
    );
  }
  return { file, at: Number(at), next };
}

export const auditRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/audit',
    tag: 'audit',
    needs: 'audit',
    about: 'cluster',
    summary: 'List changes, including refused ones, the newest first',
    query: Query,
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Entries, the newest first.', schema: AuditList }],
    handle: async ({ query: { limit, filter, since, until, continue: place }, services }) => {
      const contains = filterOf(ENTRIES, filter);
      const { entries, next, isGone } = await services.audit.page({
        limit,
        after: place === undefined ? undefined : placeOf(place),
        since,
        wanted: (entry) => {
          const at = Date.parse(entry.time);
          return contains(entry) && (since === undefined || at >= since) && (until === undefined || at < until);
        },
      });
      if (isGone) {
        throw new ProblemError(
          'LIST_EXPIRED',
          'the log does not reach back so far any more: read it again from its first page',
        );
      }
      return { body: { items: entries, ...(next && { continue: textOf(next) }) } };
    },
  }),
];
