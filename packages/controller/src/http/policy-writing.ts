/** What is written for a change of a policy. */
import { randomUUID } from 'node:crypto';
import { PolicySpec, sayRule } from '@mirrorplane/contract';
import { normalise, validate } from '@mirrorplane/planner';
import type { Judge } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { explainId } from '../inventory/explain.ts';
import { ProblemError } from '../problems/problems.ts';
import { policiesOf } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import { keyOf, type Stored } from '../store/view.ts';
import type { Change, MutationCall } from './mutation.ts';

/** What an operator says of a policy, besides its name. */
const FIELDS = PolicySpec.keyof().exclude(['name']).options;

/** What an operator has said of a policy. */
export function specOf(record: PolicyRecord): PolicySpec {
  const { name, description, sources, destination, direction, percent, vlanId, maxRate, allowFeedback, enabled } =
    record;
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
  };
}

/**
 * Judges what is asked for, and says what to write.
 * @throws ProblemError POLICY_INVALID, FORBIDDEN
 */
export function writePolicy(
  { services, who, judge }: Pick<MutationCall, 'services' | 'who' | 'judge'>,
  given: PolicySpec,
  current: Stored<PolicyRecord> | undefined,
): Change {
  const { view, live, clock } = services;
  requireChange(judge, given, current?.value);
  const context = {
    policies: policiesOf(view),
    inventory: services.inventory.now(),
    explain: (id: string) => explainId(id, live),
  };
  const { refusals, warnings, type } = validate(given, context, current?.value.name);
  if (given.name === 'status') {
    refusals.unshift({ field: 'name', ...sayRule('POLICY_NAME_INVALID', { reserved: given.name }) });
  }
  if (refusals.length > 0 || type === undefined) {
    const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
    throw new ProblemError('POLICY_INVALID', `the policy is refused: ${refusals[0]?.message}${more}`, refusals);
  }
  const spec = normalise(given);
  const now = new Date(clock()).toISOString();
  const old = current?.value;
  const value = {
    ...spec,
    type,
    uid: old?.uid ?? randomUUID(),
    createdAt: old?.createdAt ?? now,
    ...(old ? old.createdBy !== undefined && { createdBy: old.createdBy } : { createdBy: who.name }),
    updatedAt: now,
  } as PolicyRecord;
  const key = keyOf('policies', spec.name);
  if (old && current && sameFields(old, value)) {
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

/**
 * Who writes a policy needs `policy` for it as it was and as it will be, `mirror` for each source,
 * and `send` for the destination.
 */
function requireChange(judge: Judge, given: PolicySpec, old: PolicyRecord | undefined): void {
  for (const ends of [given, ...(old ? [old] : [])]) {
    if (!judge.reaches('policy', ends)) {
      throw forbidden('policy', `policy/${given.name}`);
    }
  }
  for (const right of ['mirror', 'send'] as const) {
    const [first] = judge.lacking(right, given);
    if (first !== undefined) {
      throw forbidden(right, `interface/${first}`);
    }
  }
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
