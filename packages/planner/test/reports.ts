/** A cluster of one policy under test, with the reports of its agents. */
import type { CaptureCounts, CaptureReport, Count, Policy, PolicyStatus } from '@mirrorplane/contract';
import { type NodeReport, observe, type PreviousCounters, plan, statusFrom } from '@mirrorplane/planner';
import { inventoryOf, policyOf, type ShortInventory } from './golden.ts';

/** `packets` of 100 bytes each. */
export function count(packets: number): Count {
  return { packets, bytes: packets * 100 };
}

/** Counts of a capture; `matched` is what adds up. */
export function counts(
  copied: number,
  { sampledOut = 0, truncated = 0, dropped = {} as Record<string, number> } = {},
): CaptureCounts {
  const lost = Object.values(dropped).reduce((a, b) => a + b, 0);
  return {
    matched: count(copied + sampledOut + lost),
    sampledOut: count(sampledOut),
    copied: count(copied),
    truncated: count(truncated),
    dropped: Object.fromEntries(Object.entries(dropped).map(([reason, packets]) => [reason, count(packets)])),
    skipped: {},
  };
}

/** One capture of policy `u-p`. */
export function capture(source: string, direction: 'inbound' | 'outbound', what: CaptureCounts): CaptureReport {
  return { policy: 'u-p', source, direction, counts: what };
}

/** The report of an up-to-date agent that captures these sources of policy `u-p`. */
export function healthy(sources: string[], more: Partial<NodeReport> = {}): NodeReport {
  return {
    connected: true,
    programRevision: 3,
    appliedRevision: 3,
    captures: sources.map((id) => ({ capture: `u-p/${id}`, device: 'dev1', state: 'capturing' })),
    problems: [],
    ...more,
  };
}

/** Counters of a node, all of one epoch unless given. */
export function counted(
  parts: Partial<NonNullable<NodeReport['counters']>>,
  countersAt = '2026-01-01T00:00:05.000Z',
): Pick<NodeReport, 'counters' | 'countersAt'> {
  return {
    counters: { epoch: 'e1', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0, ...parts },
    countersAt,
  };
}

/**
 * The start of every case: policy `u-p` copies web-1/0 (node-1) and web-2/0 (node-2) to ids-1/0
 * (node-1).
 */
export interface Scene {
  policy?: Partial<Policy>;
  inventory?: ShortInventory;
  nodes?: Record<string, NodeReport>;
  previous?: PreviousCounters;
}

/** The policy of the scene. */
export function scenePolicy(fields: Partial<Policy> = {}): Policy {
  return policyOf({ name: 'p', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0', ...fields });
}

/** Plans the scene, and gives the status of its policy. */
export function statusOf({ policy: fields = {}, inventory: changes = {}, nodes, previous }: Scene): PolicyStatus {
  const policy = scenePolicy(fields);
  const inventory = inventoryOf(changes);
  const reports = nodes ?? { 'node-1': healthy(['web-1/0']), 'node-2': healthy(['web-2/0']) };
  const policyPlan = plan([policy], inventory).policies.get(policy.uid)!;
  return statusFrom(policy, policyPlan, observe(inventory, new Map(Object.entries(reports)), previous));
}

/** State and reasons in short: `degraded SOURCE_ABSENT web-1/0@node-1`. */
export function inShort({ state, reasons }: PolicyStatus): string[] {
  return [
    state,
    ...reasons.map(({ code, interface: id, node }) =>
      [code, ...(id === undefined ? [] : [id]), ...(node === undefined ? [] : [`@${node}`])].join(' '),
    ),
  ];
}
