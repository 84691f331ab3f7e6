/** Collects the controller's knowledge of nodes for the status of policies. */
import type { Policy, PolicyStatus } from '@mirrorplane/contract';
import {
  involvedNodes,
  type NodeReport,
  type Observation,
  observe,
  type PolicyPlan,
  type PreviousReport,
  statusFrom,
} from '@mirrorplane/planner';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import { problemsForPolicies } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { LATELY_MS } from '../reports/saved-counters.ts';
import { allPoliciesOf, isInForce, toPolicy } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
import type { Planning } from './planning.ts';

/** What the status of policies is made of. */
export interface StatusParts {
  view: View;
  live: LiveNodes;
  planning: Planning;
  inventory: CurrentInventory;
}

/** Everything that nodes have reported, for the status of any policy. */
export function observationOf(parts: StatusParts): Observation {
  const { view, live } = parts;
  const reports = new Map<string, NodeReport>();
  const previous = new Map<string, PreviousReport>();
  for (const name of view.all('nodes').keys()) {
    const node = live.get(name);
    const report = reportOf(live, node, view.get('programs', name)?.value.revision);
    reports.set(name, node?.revoked ? { ...report, revoked: interfacesOf(node, parts) } : report);
    const before = node?.counters.previous;
    if (before) {
      previous.set(name, before);
    }
  }
  return observe(parts.inventory.now(), reports, previous);
}

/**
 * The status of one policy, or of all policies by name. The list leaves out policies that are not
 * planned yet.
 * @param observation left out: it is made
 */
export function policyStatuses(
  parts: StatusParts,
  only?: Stored<PolicyRecord>,
  observation = observationOf(parts),
): PolicyStatus[] {
  const { view, planning } = parts;
  const statuses: PolicyStatus[] = [];
  for (const policy of only ? [toPolicy(only)] : allPoliciesOf(view)) {
    const policyPlan = planning.planned?.policies.get(policy.uid) ?? {
      uid: policy.uid,
      reasons: [],
      sources: policy.sources.map((id) => ({ interface: id, nodes: [] })),
      paths: [],
    };
    statuses.push(statusOf(policy, policyPlan, observation));
  }
  return statuses.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Somebody looks at a policy: its nodes report their counters once a second for a while. */
export function lookAt({ live, planning }: Pick<StatusParts, 'live' | 'planning'>, policy: PolicyRecord): void {
  const plan = planning.planned?.policies.get(policy.uid);
  if (plan) {
    live.counters.pace.look(involvedNodes(plan));
  }
}

/** The interfaces that were on a node: those that it was believed to have, and its edges. */
function interfacesOf({ name, devices }: LiveNode, { view, live }: StatusParts): string[] {
  const edges = [...view.all('interfaces').values()].filter(({ value }) => value.edge?.node === name);
  const guests = devices.flatMap(({ identity }) => identity?.id ?? []).filter((id) => live.claims.hasHad(name, id));
  return [...new Set([...edges.map(({ value }) => value.id), ...guests])];
}

/**
 * A policy that waits for consent is planned like one that is disabled. Its status does not say where
 * its ends are: whoever names an interface of others in a request would learn it.
 */
function statusOf(policy: Policy, plan: PolicyPlan, observation: Observation): PolicyStatus {
  if (isInForce(policy)) {
    return statusFrom(policy, plan, observation);
  }
  const status = statusFrom({ ...policy, enabled: false }, plan, observation);
  const isWaiting = status.state === 'disabled' && policy.approval?.state === 'pending';
  return {
    ...status,
    sources: status.sources.map((source) => ({ ...source, devices: [] })),
    destination: { ...status.destination, devices: [] },
    ...(isWaiting && { state: 'pendingApproval' }),
  };
}

function reportOf(live: LiveNodes, node: LiveNode | undefined, programRevision: number | undefined): NodeReport {
  const counters = node?.counters.sums();
  return {
    connected: node?.connected ?? false,
    captures: node?.captures ?? [],
    sent: node?.readings.sent ?? [],
    arrivedBefore: node?.readings.arrivedBefore ?? new Map(),
    surplus: node?.readings.surplusSince(live.now() - 2 * LATELY_MS) ?? new Map(),
    copying: (node?.copying ?? []).map(({ uid }) => uid),
    problems: node ? problemsForPolicies(node) : [],
    ...(node && { readingOf: (ifindex: number) => node.traffic.reading(ifindex, live.steady()) }),
    ...(programRevision !== undefined && { programRevision }),
    ...(node?.appliedRevision !== undefined && { appliedRevision: node.appliedRevision }),
    ...(counters && { counters }),
    ...(counters && node?.countersAt !== undefined && { countersAt: node.countersAt }),
  };
}
