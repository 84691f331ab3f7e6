/** /api/v1/approvals: what waits for consent, and for whose. */
import { type Policy, WaitingConsent } from '@mirrorplane/contract';
import * as z from 'zod';
import { consentOf } from '../access/consent.ts';
import type { PolicyRecord } from '../store/records.ts';
import { questionOf } from './policy-consent.ts';
import { partOfPolicy } from './policy-part.ts';
import { type Call, type Route, route } from './route.ts';

/** Requests in one answer at most. */
const MAX_ITEMS = 100;

const Query = z.strictObject({
  policy: z.string().optional().meta({ description: 'Only of this policy. Default: of all.' }),
});

const Answer = z
  .object({
    items: z.array(WaitingConsent).meta({ description: `The first ${MAX_ITEMS}.` }),
    total: z.number().int().meta({ description: 'Number of all.' }),
    yours: z.number().int().meta({ description: 'Number of those that the sender of the request can consent to.' }),
  })
  .meta({ id: 'WaitingConsents' });

/** What of a policy waits, as one may see it. Undefined: nothing. */
function waitingOf(record: PolicyRecord, { who, judge }: Pick<Call<never, never, never>, 'who' | 'judge'>) {
  const question = questionOf(record);
  if (!question || !partOfPolicy<Pick<Policy, 'sources' | 'destination' | 'approval' | 'change'>>(record, judge)) {
    return undefined;
  }
  const { requestedBy, requestedAt, needs } = question;
  return {
    policy: record.name,
    kind: record.change ? ('change' as const) : ('policy' as const),
    requestedBy,
    requestedAt,
    rights: needs.map(({ right }) => right),
    yours: consentOf(judge, who.name, question).length > 0,
  };
}

/** What the sender can consent to comes first, and then what waits for longest. */
function byUrgency(a: WaitingConsent, b: WaitingConsent): number {
  return Number(b.yours) - Number(a.yours) || Date.parse(a.requestedAt) - Date.parse(b.requestedAt);
}

export const approvalRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/approvals',
    tag: 'policies',
    needs: 'read',
    about: 'handler',
    summary: 'List what waits for consent',
    query: Query,
    responses: [
      {
        status: 200,
        description: 'What one can consent to comes first, and then what waits for longest.',
        schema: Answer,
      },
    ],
    handle: (call) => {
      const { view } = call.services;
      const one = call.query.policy;
      const stored = one === undefined ? [...view.all('policies').values()] : [view.get('policies', one)];
      const waiting = stored.flatMap((each) => (each && waitingOf(each.value, call)) ?? []).sort(byUrgency);
      const yours = waiting.filter((each) => each.yours).length;
      return { body: { items: waiting.slice(0, MAX_ITEMS), total: waiting.length, yours } };
    },
  }),
];
