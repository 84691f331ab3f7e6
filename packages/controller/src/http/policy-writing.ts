/** What is written for a change of a policy. */
import { randomUUID } from 'node:crypto';
import { type Approval, type ConsentNeed, type Policy, PolicySpec, sayRule } from '@mirrorplane/contract';
import { normalise, typeAsAsked, validate } from '@mirrorplane/planner';
import { isNarrower, missingConsent } from '../access/consent.ts';
import type { Judge } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { accessSettings } from '../access/settings.ts';
import { explainId } from '../inventory/explain.ts';
import { ProblemError } from '../problems/problems.ts';
import { isInForce, policiesOf } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import { keyOf, type Stored, type View } from '../store/view.ts';
import type { Change, MutationCall } from './mutation.ts';
import { askedReasons, contextWithout, hiddenEnds, seenReasons } from './seen-reasons.ts';

/** Policies and changes of one user that may wait for consent at a time. */
const MAX_REQUESTS = 100;
/** What an operator says of a policy, besides its name. */
const FIELDS = PolicySpec.keyof().exclude(['name']).options;

/** What an operator has said of a policy. */
export function specOf(record: PolicyRecord): PolicySpec {
  const { name, description, sources, destination, direction, percent, enabled } = record;
  const { vlanId, maxRate, allowFeedback, endsAt } = record;
  return {
    name,
    description,
    sources,
    destination,
    direction,
    percent,
    enabled,
    ...(vlanId !== undefined && { vlanId }),
    ...(maxRate !== undefined && { maxRate }),
    ...(allowFeedback !== undefined && { allowFeedback }),
    ...(endsAt !== undefined && { endsAt }),
  };
}

/** What the rules say of a policy, as far as its author may know it. */
function reasonsFor(
  { services: { view, live, inventory, statuses }, judge }: Pick<MutationCall, 'services' | 'judge'>,
  given: PolicySpec,
  { old, waits }: Checked,
) {
  const explain = (id: string) => explainId(id, live);
  const { cluster } = statuses.observation();
  const context = { policies: policiesOf(view), inventory: inventory.now(), cluster, explain };
  const hidden = waits ? hiddenEnds(given, judge) : [];
  if (hidden.length === 0) {
    const { type, ...whole } = validate(given, context, old?.name);
    return { type, ...seenReasons(whole, given, judge) };
  }
  const known = contextWithout(hidden, context);
  return {
    type: typeAsAsked(given, known.inventory),
    ...askedReasons(validate(given, known, old?.name), given, hidden),
  };
}

interface Checked {
  old?: PolicyRecord | undefined;
  /** Whether the policy waits for consent, and so is checked again. */
  waits?: boolean;
}

/** @throws ProblemError POLICY_INVALID with everything that is wrong */
export function checkedPolicy(call: Pick<MutationCall, 'services' | 'judge'>, given: PolicySpec, checked: Checked) {
  const { endClock } = call.services;
  const { type, refusals, warnings } = reasonsFor(call, given, checked);
  if (given.name === 'status') {
    refusals.unshift({ field: 'name', ...sayRule('POLICY_NAME_INVALID', { reserved: given.name }) });
  }
  const { endsAt } = given;
  const now = endClock();
  if (given.enabled && endsAt !== undefined && Date.parse(endsAt) <= now) {
    refusals.push({ field: 'endsAt', ...sayRule('POLICY_END_PAST', { endsAt, now: new Date(now).toISOString() }) });
  }
  if (refusals.length > 0 || type === undefined) {
    const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
    throw new ProblemError('POLICY_INVALID', `the policy is refused: ${refusals[0]?.message}${more}`, refusals);
  }
  return { spec: normalise(given), warnings, type };
}

/**
 * Judges what is asked for, and says what to write: the policy; or what it would be, waiting for the
 * consent of who has the rights that its author lacks.
 * @throws ProblemError POLICY_INVALID, FORBIDDEN
 */
export function writePolicy(
  { services, who, judge }: Pick<MutationCall, 'services' | 'who' | 'judge'>,
  given: PolicySpec,
  current: Stored<PolicyRecord> | undefined,
): Change {
  const old = current?.value;
  requirePolicy(judge, given, old);
  const needs = needsOf({ services, judge }, given, old);
  const { spec, warnings, type } = checkedPolicy({ services, judge }, given, { old, waits: needs.length > 0 });
  const now = new Date(services.clock()).toISOString();
  const asked = { requestedBy: who.name, requestedAt: now, needs, given: [] };
  if (asked.needs.length > 0) {
    refuseManyRequests(services.view, who.name, spec.name);
  }
  const value = recordFor({ spec, type, old, by: who.name, now }, asked);
  const key = keyOf('policies', spec.name);
  if (old && current && isSame(old, value)) {
    return { ops: [], revision: current.revision, body: (revision) => ({ ...old, revision, warnings }) };
  }
  return {
    ops: [{ type: 'put', key, value }],
    revision: current?.revision ?? 0,
    status: old ? 200 : 201,
    ...(!old && { location: `/api/v1/policies/${spec.name}` }),
    body: (revision) => ({ ...value, revision, warnings }),
  };
}

interface Writing {
  spec: PolicySpec;
  type: Policy['type'];
  old: PolicyRecord | undefined;
  by: string;
  now: string;
}

type Asked = Pick<Approval, 'requestedBy' | 'requestedAt' | 'needs' | 'given'>;

/** The record: with a change that waits, as it is until then. */
function recordFor({ spec, type, old, by, now }: Writing, asked: Asked): PolicyRecord {
  const waits = asked.needs.length > 0;
  if (old && waits && isInForce(old)) {
    return { ...old, change: { spec, ...asked } };
  }
  // What was approved covers a policy that copies no more than before. Whoever enables it with all
  // rights leaves the consent of others as it is, so that they can withdraw it.
  const kept = old && isInForce(old) && isNarrower({ ...old, enabled: true }, spec) ? old.approval : undefined;
  const approval = waits ? { state: 'pending' as const, ...asked } : kept;
  return {
    ...spec,
    type,
    uid: old?.uid ?? randomUUID(),
    createdAt: old?.createdAt ?? now,
    ...(old ? old.createdBy !== undefined && { createdBy: old.createdBy } : { createdBy: by }),
    updatedAt: now,
    ...(approval && { approval }),
  } as PolicyRecord;
}

/** Consent that the author cannot give alone. */
function needsOf(
  { services, judge }: Pick<MutationCall, 'services' | 'judge'>,
  spec: PolicySpec,
  old: PolicyRecord | undefined,
): ConsentNeed[] {
  const isCovered = old !== undefined && isInForce(old) && isNarrower(old, spec);
  return isCovered ? [] : missingConsent(judge, spec, accessSettings(services.view).fourEyes);
}

/**
 * Who writes a policy needs `policy` for it as it was and as it will be.
 * @throws ProblemError FORBIDDEN
 */
export function requirePolicy(
  judge: Judge,
  given: Pick<PolicySpec, 'name' | 'sources' | 'destination'>,
  old: PolicyRecord | undefined,
): void {
  for (const ends of [given, ...(old ? [old] : [])]) {
    if (!judge.reaches('policy', ends)) {
      throw forbidden('policy', `policy/${given.name}`);
    }
  }
}

/**
 * Requests bind no interface, so nothing else bounds how many there are.
 * @throws ProblemError REQUESTS_EXCEEDED
 */
function refuseManyRequests(view: View, by: string, name: string): void {
  const waiting = [...view.all('policies').values()].filter(({ value: { name: other, approval, change } }) => {
    const asked = change ?? (approval?.state === 'pending' ? approval : undefined);
    return other !== name && asked?.requestedBy === by;
  });
  if (waiting.length >= MAX_REQUESTS) {
    const message = `${waiting.length} policies of "${by}" wait for consent, and no more may: delete those that are not needed any more, or wait for consent`;
    throw new ProblemError('REQUESTS_EXCEEDED', message);
  }
}

/** Whether nothing changes. The same request again asks for the same consent. */
function isSame(old: PolicyRecord, value: PolicyRecord): boolean {
  const spec = (record: PolicyRecord) => JSON.stringify(record.change?.spec ?? null);
  const state = (record: PolicyRecord) => record.approval?.state;
  return sameFields(old, value) && state(old) === state(value) && spec(old) === spec(value);
}

function sameFields(a: PolicyRecord, b: PolicyRecord): boolean {
  return a.type === b.type && FIELDS.every((field) => JSON.stringify(a[field]) === JSON.stringify(b[field]));
}

/** @throws ProblemError NAME_MISMATCH */
export function refuseOtherName(name: string, given: string | undefined): void {
  if (given !== undefined && given !== name) {
    const message = `"${given}" is not "${name}": remove the name from the body, or make both names the same; a policy cannot be renamed`;
    throw new ProblemError('NAME_MISMATCH', message, [{ code: 'NAME_MISMATCH', field: 'name', message }]);
  }
}
