/** Reasons why a policy is not active, from the reports of agents. */
import {
  CATALOGUE,
  type CaptureStatus,
  carrierMtu,
  copyAddresses,
  ERSPAN_OVERHEAD,
  erspanDeliveryId,
  NODE_ONLY_CODES,
  type Params,
  type Policy,
  type StatusReason,
  say,
} from '@mirrorplane/contract';
import { homeNode, homePool } from './cluster.ts';
import { packetsGained } from './counts.ts';
import { lostLately } from './losses.ts';
import type { Observation, ObservedNode, PolicyCounters } from './observation.ts';
import { byText, sortedBy } from './order.ts';
import type { PolicyPlan } from './planned.ts';
import { demandingPool } from './tunnels.ts';

/**
 * Problems of sending to another node. They do not affect a policy that does not send from the
 * node.
 */
const SENDING_CODES: ReadonlySet<string> = new Set(['NEIGHBOUR_UNKNOWN', 'ROUTE_MISSING']);
/** Problems of a node's underlay. They do not affect a policy whose copies do not cross it. */
export const UNDERLAY_CODES: ReadonlySet<string> = new Set([
  'NODE_UNDERLAY_UNKNOWN',
  'NODE_UNDERLAY_REFUSED',
  'WIREGUARD_MISSING',
]);

/**
 * Problems that do not stop all copies. Some of them:
 * - `NEIGHBOUR_UNKNOWN`: the network stack may still find the neighbour.
 * - `INTERFACE_DUPLICATE`: one of the two devices is used.
 * - `HOOK_OCCUPIED`, `ARRIVAL_UNSEEN`: packets that another program takes or drops are not copied;
 *   all others are.
 * - `UPLINK_BUSY`, `CPU_BUSY`: copies are throttled, but not stopped.
 */
const PARTIAL_CODES: ReadonlySet<string> = new Set([
  'NEIGHBOUR_UNKNOWN',
  'INTERFACE_DUPLICATE',
  'INTERFACE_CONTESTED',
  'NODE_UNDERLAY_REFUSED',
  'INTERFACE_KIND_REFUSED',
  'HOOK_OCCUPIED',
  'ARRIVAL_UNSEEN',
  'FEEDBACK_UNSEEN',
  'UPLINK_BUSY',
  'CPU_BUSY',
  'OFFLOAD_UNSEEN',
  'PROTOCOL_UNSUPPORTED',
  'COUNTERS_REFUSED',
]);

/** A problem of a node that concerns a policy. */
export interface PolicyProblem {
  node: string;
  code: string;
  message: string;
  params: Params;
  remedy?: string;
  interface?: string;
  /** Whether the problem stops all copies of the policy there. */
  blocking: boolean;
}

/** A plan is not changed, and its nodes are asked for all the time. */
const nodesOfPlans = new WeakMap<PolicyPlan, readonly string[]>();

/** The nodes of a policy now: the destination's node and those of its sources, sorted. */
export function involvedNodes(plan: PolicyPlan): readonly string[] {
  const known = nodesOfPlans.get(plan) ?? nodesIn(plan);
  nodesOfPlans.set(plan, known);
  return known;
}

function nodesIn(plan: PolicyPlan): string[] {
  const nodes = new Set<string>();
  for (const source of plan.sources) {
    for (const node of source.nodes) {
      nodes.add(node);
    }
  }
  if (plan.destinationNode !== undefined) {
    nodes.add(plan.destinationNode);
  }
  return [...nodes].sort(byText);
}

/** The kernel of the node does not run the newest program yet. */
export function isPending({ programRevision, appliedRevision }: ObservedNode): boolean {
  return appliedRevision === undefined || (programRevision !== undefined && appliedRevision < programRevision);
}

/**
 * A reason for every involved node that is not connected, or does not run its newest program yet.
 */
export function nodeReasons(plan: PolicyPlan, { nodes }: Observation): StatusReason[] {
  return involvedNodes(plan).flatMap((node): StatusReason[] => {
    const report = nodes.get(node);
    if (!report?.connected) {
      return [{ ...say('NODE_DISCONNECTED', { node }), node }];
    }
    if (isPending(report)) {
      const { appliedRevision: applied = 'none', programRevision: planned = 'its first' } = report;
      return [{ ...say('NODE_PENDING', { node, applied, planned }), node }];
    }
    return [];
  });
}

/** The reason why a node does not capture a source on one of its devices, or only in part. */
export function refusalReason(source: string, node: string, status: CaptureStatus): StatusReason {
  const code = status.code !== undefined && Object.hasOwn(CATALOGUE, status.code) ? status.code : 'CAPTURE_REFUSED';
  const text = status.message ?? CATALOGUE[code as keyof typeof CATALOGUE].title;
  const device: Params = status.state === 'refused' ? { device: status.device } : { inPart: status.device };
  return { ...say(code, { node, interface: source, ...device, text }), interface: source, node };
}

/** Copies of the policy leave this node for another one, or come to it from another one. */
function crossesUnderlay({ sources, destinationNode }: PolicyPlan, node: string): boolean {
  const senders = sources.flatMap(({ nodes }) => nodes).filter((name) => name !== destinationNode);
  return node === destinationNode ? senders.length > 0 : senders.includes(node);
}

/** Problems of the involved nodes that affect this policy. */
export function problemsOf(policy: Policy, plan: PolicyPlan, { nodes }: Observation): PolicyProblem[] {
  const sourcesOn = new Map<string, Set<string>>();
  for (const source of plan.sources) {
    for (const node of source.nodes) {
      sourcesOn.set(node, (sourcesOn.get(node) ?? new Set()).add(source.interface));
    }
  }
  return involvedNodes(plan).flatMap((node) => {
    const isEnd = node === plan.destinationNode;
    const sources = sourcesOn.get(node);
    const concerns = (problem: ObservedNode['problems'][number]): boolean => {
      if (NODE_ONLY_CODES.has(problem.code)) {
        return false;
      }
      if (problem.policy !== undefined) {
        return problem.policy === policy.uid;
      }
      if (problem.interface !== undefined) {
        // Hardware offload hides flows from a capture. It does not affect a copy that is sent to
        // the NIC.
        const ofEnd = isEnd && problem.code !== 'OFFLOAD_UNSEEN' && problem.interface === policy.destination;
        return sources?.has(problem.interface) || ofEnd;
      }
      if (UNDERLAY_CODES.has(problem.code)) {
        return crossesUnderlay(plan, node);
      }
      return !(isEnd && SENDING_CODES.has(problem.code));
    };
    return (nodes.get(node)?.problems ?? []).filter(concerns).map((problem) => ({
      node,
      ...say(problem.code, { node, text: problem.message }),
      ...(problem.interface !== undefined && { interface: problem.interface }),
      blocking: !PARTIAL_CODES.has(problem.code),
    }));
  });
}

/**
 * Why interfaces of the policy have no device: a node of their pool has their NIC and cannot mirror
 * it. Other nodes are not asked, because they may say anything.
 * @param absent interfaces of the policy that have no device
 */
export function unsupportedReasons(absent: readonly string[], { cluster, unsupported }: Observation): StatusReason[] {
  return absent.flatMap((id) =>
    (unsupported.get(id) ?? []).flatMap(({ node, message }) => {
      const item = cluster.interfaces.get(id);
      const pool = item && homePool(cluster, item);
      const isNear = pool === undefined || cluster.nodes.get(node)?.pool === pool;
      return isNear ? [{ ...say('DEVICE_UNSUPPORTED', { node, text: message }), interface: id, node }] : [];
    }),
  );
}

/**
 * Why interfaces of the policy have no device: they were on a node that is revoked.
 * @param absent interfaces of the policy that have no device
 */
export function revokedReasons(absent: readonly string[], { revoked }: Observation): StatusReason[] {
  return absent.flatMap((id) =>
    (revoked.get(id) ?? []).map((node) => ({ ...say('NODE_REVOKED', { node, interface: id }), interface: id, node })),
  );
}

/** The largest MTU of the devices of some interfaces, in bytes; 0 where none has a device. */
function largestMtu(cluster: Observation['cluster'], ids: readonly string[]): number {
  let largest = 0;
  for (const id of ids) {
    for (const { mtu } of cluster.interfaces.get(id)?.devices ?? []) {
      largest = Math.max(largest, mtu);
    }
  }
  return largest;
}

/** The MTU of the destination and the one that it needs, if it has a smaller one than a source. */
function smallDestination(policy: Policy, { cluster }: Observation): { mtu: number; needed: number } | undefined {
  const needed = largestMtu(cluster, policy.sources);
  const mtu = largestMtu(cluster, [policy.destination]);
  return mtu > 0 && mtu < needed ? { mtu, needed } : undefined;
}

/** What is known of the cause of the drops of one node. */
function dropCause(sums: ReadonlyMap<string, number>, policy: Policy, observation: Observation): Params {
  const { destination } = policy;
  return sums.has('tooBigForDestination') ? { destination, ...smallDestination(policy, observation) } : {};
}

/** A reason for every node that has dropped copies of the policy since the previous counters. */
export function dropReasons(
  policy: Policy,
  counters: PolicyCounters | undefined,
  observation: Observation,
): StatusReason[] {
  const byNode = new Map<string, Map<string, number>>();
  const count = (node: string, gained: [string, number][]): void => {
    const sums = byNode.get(node) ?? new Map<string, number>();
    for (const [reason, packets] of gained) {
      sums.set(reason, (sums.get(reason) ?? 0) + packets);
      byNode.set(node, sums);
    }
  };
  for (const { node, report, before } of counters?.captures ?? []) {
    count(node, packetsGained(report.counts.dropped, before?.counts.dropped));
  }
  for (const { node, report, before } of counters?.terminations ?? []) {
    count(node, packetsGained(report.dropped, before?.dropped));
  }
  return sortedBy(byNode, ([node]) => node).map(([node, sums]) => {
    const total = [...sums.values()].reduce((a, b) => a + b, 0);
    const reasons = Object.fromEntries(sortedBy(sums, ([reason]) => reason));
    const values = { node, packets: total, reasons, ...dropCause(sums, policy, observation) };
    return { ...say('COPIES_DROPPED', values), node };
  });
}

/** A reason for every node whose last report says that it copies for a disabled policy. */
export function endingReasons({ uid }: Policy, { nodes, copying }: Observation): StatusReason[] {
  return (copying.get(uid) ?? []).map((node): StatusReason => {
    const values: Params = nodes.get(node)?.connected ? { node } : { away: node };
    return { ...say('ENDING_UNCONFIRMED', values), node };
  });
}

/** A reason for every path whose receiver has refused unproven copies of its sender. */
export function unprovenReasons({ paths }: PolicyPlan, { cluster, refused }: Observation): StatusReason[] {
  return paths.flatMap(({ from, to }): StatusReason[] => {
    const counts = copyAddresses(cluster.nodes.get(from)?.underlay).map(
      (address) => refused.get(to)?.get(address) ?? 0,
    );
    const packets = counts.reduce((sum, count) => sum + count, 0);
    if (packets === 0) {
      return [];
    }
    return [{ ...say('COPIES_UNPROVEN', { from, to, packets }), node: to }];
  });
}

/** A reason for every path that has lost copies since the previous counters. */
export function lossReasons(
  { uid, paths }: PolicyPlan,
  counters: PolicyCounters | undefined,
  observation: Observation,
): StatusReason[] {
  return paths.flatMap(({ from, to }): StatusReason[] => {
    const lost = lostLately({ from, to }, uid, counters, observation);
    if (!lost) {
      return [];
    }
    return [{ ...say('COPIES_LOST', { from, to, ...lost }), node: to }];
  });
}

/**
 * A reason for every node where the destination has forwarded copies since the previous counters.
 */
export function feedbackReasons(
  { allowFeedback, destination }: Policy,
  counters: PolicyCounters | undefined,
): StatusReason[] {
  const sending = (counters?.deliveries ?? []).flatMap(({ node, report, before }) => {
    const packets = (report.feedback?.packets ?? 0) - (before?.feedback?.packets ?? 0);
    return packets > 0 ? [{ node, packets }] : [];
  });
  return sending.map(({ node, packets }) => {
    const sender: Params = allowFeedback ? { allowed: destination } : { interface: destination };
    return { ...say('DESTINATION_SENDS_COPIES', { ...sender, packets }), interface: destination, node };
  });
}

/** A reason for every device of the destination whose guest does not read all that it is given. */
export function slowReasons({ destination }: Policy, { cluster, nodes }: Observation): StatusReason[] {
  const devices = cluster.interfaces.get(destination)?.devices ?? [];
  return devices.flatMap(({ node, name: device, ifindex }): StatusReason[] => {
    const report = nodes.get(node);
    const reading = report?.connected ? report.readingOf?.(ifindex) : undefined;
    if (!reading?.isSlow) {
      return [];
    }
    const [unread, given] = [Math.round(reading.unread), Math.round(reading.unread + reading.read)];
    return [
      {
        ...say('DESTINATION_SLOW', { interface: destination, device, node, unread, given }),
        interface: destination,
        node,
      },
    ];
  });
}

/**
 * A reason for every path with a surplus that has grown lately: more packets arrived than were
 * sent.
 */
export function surplusReasons({ uid, paths }: PolicyPlan, { nodes }: Observation): StatusReason[] {
  return paths.flatMap(({ from, to }): StatusReason[] => {
    const packets = nodes.get(from)?.surplus?.get(erspanDeliveryId(uid, to));
    if (packets === undefined) {
      return [];
    }
    return [{ ...say('COPIES_SURPLUS', { from, to, packets }), node: to }];
  });
}

/** A reason for every node that has truncated copies of the policy since the previous counters. */
export function truncationReasons(
  policy: Policy,
  counters: PolicyCounters | undefined,
  observation: Observation,
): StatusReason[] {
  const { cluster } = observation;
  const byNode = new Map<string, number>();
  for (const { node, report, before } of counters?.captures ?? []) {
    const gained = report.counts.truncated.packets - (before?.counts.truncated.packets ?? 0);
    if (gained > 0) {
      byNode.set(node, (byNode.get(node) ?? 0) + gained);
    }
  }
  if (byNode.size === 0) {
    return [];
  }
  const largest = largestMtu(cluster, policy.sources);
  // With a larger underlay MTU alone, the destination would get whole copies and drop them.
  const small = smallDestination(policy, observation);
  const destination: Params = small ? { destination: policy.destination, ...small } : {};
  return sortedBy(byNode, ([node]) => node).map(([node, packets]) => {
    const mtu = cluster.nodes.get(node)?.underlay?.mtu;
    const has: Params = mtu === undefined ? {} : { underlayMtu: mtu };
    const wanted = largest > 0 ? wantedMtu(node, policy, { largest, cluster }) : {};
    return { ...say('COPIES_TRUNCATED', { node, packets, ...has, ...wanted, ...destination }), node };
  });
}

/** The MTU of the underlay that keeps the copies of a node whole. */
function wantedMtu(
  node: string,
  { destination }: Policy,
  { largest, cluster }: { largest: number; cluster: Observation['cluster'] },
): Params {
  const item = cluster.interfaces.get(destination);
  const end = item && homeNode(item);
  if (end === undefined || demandingPool(node, end, cluster) === undefined) {
    return { largest, underlay: largest + ERSPAN_OVERHEAD };
  }
  const underlay = carrierMtu(largest + ERSPAN_OVERHEAD);
  return { largest, underlay, encrypted: underlay - largest };
}
