/** The policies of the store, as planner and API use them. */
import type { Policy } from '@mirrorplane/contract';
import type { PolicyRecord } from './records.ts';
import type { Stored, View } from './view.ts';

/** Records are not changed, so that one record gives one object. */
const ofRecords = new WeakMap<Stored<PolicyRecord>, Policy>();

/**
 * A policy with its revision. Warnings are not stored. Its readers share it, and change nothing in
 * it.
 */
export function toPolicy(stored: Stored<PolicyRecord>): Policy {
  const policy = ofRecords.get(stored) ?? { ...stored.value, revision: stored.revision, warnings: [] };
  ofRecords.set(stored, policy);
  return policy;
}

/** All policies of a view that nobody has to consent to any more. */
export function policiesOf(view: View): Policy[] {
  return allPoliciesOf(view).filter(isInForce);
}

/** All policies of a view, also those that wait for consent and copy nothing. */
export function allPoliciesOf(view: View): Policy[] {
  return [...view.all('policies').values()].map(toPolicy);
}

/** Whether a policy may copy as it is: it needs no consent, or has it. */
export function isInForce({ approval }: Pick<Policy, 'approval'>): boolean {
  return approval === undefined || approval.state === 'approved';
}

/** Policies that have the interface as source or destination. */
export function policiesUsing(policies: readonly Policy[], id: string): Policy[] {
  return policies.filter(({ sources, destination }) => destination === id || sources.includes(id));
}

/** Names of all policies by uid. */
export function policyNames(view: View): ReadonlyMap<string, string> {
  return new Map([...view.all('policies').values()].map(({ value }) => [value.uid, value.name]));
}
