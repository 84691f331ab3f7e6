/** /api/v1/policies/{name}/approve and /reject: consent to policies of others. */
import { Policy, Rejection } from '@mirrorplane/contract';
import { consentOf, signed, withoutConsent } from '../access/consent.ts';
import type { Ends, Judge } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { ProblemError } from '../problems/problems.ts';
import type { PolicyRecord } from '../store/records.ts';
import { keyOf, type Stored } from '../store/view.ts';
import { type Change, checkPreconditions, found, type MutationCall, MutationQuery, mutate } from './mutation.ts';
import { PolicyParams } from './policies.ts';
import { partOfPolicy } from './policy-part.ts';
import { checkedPolicy, specOf } from './policy-writing.ts';
import { NOTHING, type Route, route } from './route.ts';

const path = '/api/v1/policies/{name}';
const tag = 'policies';

type ConsentCall = Pick<MutationCall, 'services' | 'who' | 'judge'>;

/** What of a policy waits for consent: a change of the policy, or the policy itself. */
export function questionOf({ change, approval, ...record }: PolicyRecord) {
  if (change) {
    return { ...change, ends: change.spec };
  }
  return approval?.state === 'pending' ? { ...approval, ends: record } : undefined;
}

function written(value: PolicyRecord, { judge }: ConsentCall): Change {
  return {
    ops: [{ type: 'put', key: keyOf('policies', value.name), value }],
    body: (revision) => partOfPolicy({ ...value, revision, warnings: [] }, judge),
  };
}

/** Gives what consent the sender can give. With the last one, the policy or its change comes into force. */
function approve(call: ConsentCall, { value: old }: Stored<PolicyRecord>): Change {
  const { services, who, judge } = call;
  const question = questionOf(old);
  if (!question) {
    throw new ProblemError('NOTHING_TO_APPROVE', `policy "${old.name}" waits for no consent`);
  }
  const consent = consentOf(judge, who.name, question);
  if (consent.length === 0) {
    const [{ right, interfaces }] = question.needs as [(typeof question.needs)[number]];
    const isOwn = right === 'policy' && question.requestedBy === who.name;
    throw forbidden(right, isOwn ? `policy/${old.name}, of another user` : objectOf(old.name, interfaces[0]));
  }
  const now = new Date(services.clock()).toISOString();
  const needs = withoutConsent(question.needs, consent);
  const given = [...question.given, ...signed(consent, who.name, now)];
  const { requestedBy, requestedAt } = question;
  const { change, approval, ...record } = old;
  if (needs.length > 0) {
    return written(
      change ? { ...old, change: { ...change, needs, given } } : { ...old, approval: { ...approval!, needs, given } },
      call,
    );
  }
  const { spec, type } = checkedPolicy(call, change?.spec ?? specOf(old), { old });
  const { name: _, ...fields } = spec;
  const state = { state: 'approved' as const, requestedBy, requestedAt, needs, given };
  return written({ ...withoutSpec(record), ...fields, type, updatedAt: now, approval: state } as PolicyRecord, call);
}

/** What the controller has added to a policy. */
function withoutSpec({ name, uid, createdAt, createdBy }: Omit<PolicyRecord, 'change' | 'approval'>) {
  return { name, uid, createdAt, ...(createdBy !== undefined && { createdBy }) };
}

/** Whether somebody owns an end: may have it mirrored, send to it, or may write the policy. */
function isOwner(judge: Judge, ends: Ends): boolean {
  return (
    judge.may('send', 'interface', ends.destination) ||
    ends.sources.some((id) => judge.may('mirror', 'interface', id)) ||
    judge.reaches('policy', ends)
  );
}

/**
 * Says no to what waits, or withdraws consent to a policy that was approved. Each owner of an end
 * may. Who owns an end of the policy as it is withdraws consent also while a change waits, and the
 * change with it: a change cannot put itself in front of a withdrawal.
 */
function reject(call: ConsentCall, { value: old }: Stored<PolicyRecord>, { reason, only }: Rejection): Change {
  const { who, judge } = call;
  const { change, approval, ...record } = old;
  const consent = approval?.state === 'rejected' ? undefined : approval;
  if (!change && (!consent || only === 'change')) {
    const what = only === 'change' ? 'has no change that waits' : 'waits for no consent, and has none';
    throw new ProblemError('NOTHING_TO_APPROVE', `policy "${old.name}" ${what}`);
  }
  const ownsPolicy = isOwner(judge, record);
  if (!ownsPolicy && !(change && isOwner(judge, change.spec))) {
    throw forbidden('mirror', `policy/${old.name}`);
  }
  if (!consent || !ownsPolicy || only === 'change') {
    return written({ ...record, ...(approval && { approval }) }, call);
  }
  const state = { ...consent, state: 'rejected' as const, rejectedBy: who.name, ...(reason && { reason }) };
  return written({ ...record, approval: state }, call);
}

function objectOf(policy: string, id: string | undefined): string {
  return id === undefined ? `policy/${policy}` : `interface/${id}`;
}

export const policyConsentRoutes: Route[] = [
  route({
    method: 'post',
    path: `${path}/approve`,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'Consent to a policy of others, or to its change, with the rights that one has',
    params: PolicyParams,
    query: MutationQuery,
    body: NOTHING.optional(),
    conditional: true,
    refuses: ['NOT_FOUND', 'FORBIDDEN', 'NOTHING_TO_APPROVE', 'POLICY_INVALID'],
    responses: [{ status: 200, description: 'The policy. It may wait for the consent of more users.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'approve', `policies/${call.params.name}`, () => {
        const stored = seen(call, call.params.name);
        checkPreconditions(call.request, stored.revision);
        return approve(call, stored);
      }),
  }),
  route({
    method: 'post',
    path: `${path}/reject`,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'Refuse consent to a policy or to its change, or withdraw it',
    params: PolicyParams,
    query: MutationQuery,
    body: Rejection.optional(),
    conditional: true,
    refuses: ['NOT_FOUND', 'FORBIDDEN', 'NOTHING_TO_APPROVE'],
    responses: [{ status: 200, description: 'The policy. It copies nothing, or its change is gone.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'reject', `policies/${call.params.name}`, () => {
        const stored = seen(call, call.params.name);
        checkPreconditions(call.request, stored.revision);
        return reject(call, stored, call.body ?? {});
      }),
  }),
];

/** @throws ProblemError NOT_FOUND, FORBIDDEN */
function seen({ services, judge }: ConsentCall, name: string): Stored<PolicyRecord> {
  const stored = services.view.get('policies', name);
  if (judge.everywhere('read')) {
    return found(stored, 'policy', name);
  }
  if (!stored || !partOfPolicy(stored.value, judge)) {
    throw forbidden('read', `policy/${name}`);
  }
  return stored;
}
