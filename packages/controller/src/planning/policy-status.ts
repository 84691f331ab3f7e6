/** Collects the controller's knowledge of nodes for the status of policies. */
import type { Policy, PolicyStatus } from '@mirrorplane/contract';
import {
  involvedNodes,
  type Observation,
  outlineFrom,
  type PolicyOutline,
  type PolicyPlan,
  statusFrom,
} from '@mirrorplane/planner';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { allPoliciesOf, isInForce } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { KeptObservation } from './kept-observation.ts';
import type { Planning } from './planning.ts';

/** What the status of policies is made of. */
export interface StatusParts {
  view: View;
  live: LiveNodes;
  planning: Pick<Planning, 'planned'>;
  inventory: CurrentInventory;
}

/** The status of all policies by name, made from nothing. See `KeptStatuses`. */
export function policyStatuses(parts: StatusParts): PolicyStatus[] {
  const observation = new KeptObservation(parts).update();
  const statuses = allPoliciesOf(parts.view).map((policy) => statusOf(policy, planOf(policy, parts), observation));
  return statuses.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Somebody looks at a policy: its nodes report their counters once a second for a while. */
export function lookAt({ live, planning }: Pick<StatusParts, 'live' | 'planning'>, policy: PolicyRecord): void {
  const plan = planning.planned?.policies.get(policy.uid);
  if (plan) {
    live.counters.pace.look(involvedNodes(plan));
  }
}

const notPlanned = new WeakMap<Policy, PolicyPlan>();

/** The last plan of a policy; one of nothing where it is not planned yet. The same object until it is another one. */
export function planOf(policy: Policy, { planning }: Pick<StatusParts, 'planning'>): PolicyPlan {
  const planned = planning.planned?.policies.get(policy.uid);
  if (planned) {
    return planned;
  }
  const plan = notPlanned.get(policy) ?? {
    uid: policy.uid,
    reasons: [],
    sources: policy.sources.map((id) => ({ interface: id, nodes: [] })),
    paths: [],
  };
  notPlanned.set(policy, plan);
  return plan;
}

/**
 * A policy that waits for consent is planned like one that is disabled. Its status does not say where
 * its ends are: whoever names an interface of others in a request would learn it.
 */
export function statusOf(policy: Policy, plan: PolicyPlan, observation: Observation): PolicyStatus {
  if (isInForce(policy)) {
    return statusFrom(policy, plan, observation);
  }
  const status = statusFrom({ ...policy, enabled: false }, plan, observation);
  return { ...hidden(status, policy), sources: status.sources.map((source) => ({ ...source, devices: [] })) };
}

/** The same without its sources. */
export function outlineOf(policy: Policy, plan: PolicyPlan, observation: Observation): PolicyOutline {
  if (isInForce(policy)) {
    return outlineFrom(policy, plan, observation);
  }
  const outline = hidden(outlineFrom({ ...policy, enabled: false }, plan, observation), policy);
  return { ...outline, places: [], sourcesAt: new Map() };
}

function hidden<S extends Pick<PolicyStatus, 'state' | 'destination'>>(status: S, { approval }: Policy): S {
  const isWaiting = status.state === 'disabled' && approval?.state === 'pending';
  return {
    ...status,
    destination: { ...status.destination, devices: [] },
    ...(isWaiting && { state: 'pendingApproval' }),
  };
}
