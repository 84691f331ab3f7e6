/** The status of a policy: from its plan and from what agents report. */
import {
  addCount,
  type CaptureCounts,
  type Count,
  captureId,
  type PathStatus,
  type Policy,
  type PolicyState,
  type PolicyStatus,
  parseDeliveryId,
  type SourceStatus,
  type StatusReason,
  say,
  ZERO,
} from '@mirrorplane/contract';
import { hasDevice } from './cluster.ts';
import { addCaptureCounts, innerOf, sumOfCaptures, zeroCounts } from './counts.ts';
import { arrivalOn, lostOn } from './losses.ts';
import type { Observation, PolicyCounters } from './observation.ts';
import { byText } from './order.ts';
import type { PolicyPlan, SourcePlan } from './planned.ts';
import {
  dropReasons,
  endingReasons,
  feedbackReasons,
  involvedNodes,
  isPending,
  lossReasons,
  nodeReasons,
  type PolicyProblem,
  problemsOf,
  refusalReason,
  revokedReasons,
  slowReasons,
  surplusReasons,
  truncationReasons,
  UNDERLAY_CODES,
  unprovenReasons,
  unsupportedReasons,
} from './reasons.ts';

/** The status of a policy without its sources one by one, however many there are. */
export interface PolicyOutline extends Omit<PolicyStatus, 'sources'> {
  /** Nodes where its sources and its destination have devices, sorted. */
  places: readonly string[];
  /** By node: how many devices its sources have there, and of how many the source is captured. */
  sourcesAt: ReadonlyMap<string, SourcesAt>;
}

export interface SourcesAt {
  sources: number;
  capturing: number;
}

/**
 * The status of one policy, from an observation of the whole cluster. Without previous counters,
 * any drop or truncation degrades a policy. With counters of 5 to 10 s ago, only their growth does.
 */
export function statusFrom(policy: Policy, plan: PolicyPlan, observation: Observation): PolicyStatus {
  const counters = observation.counters.get(policy.uid);
  const sources = statesOf(policy, plan, observation);
  const { places: _, sourcesAt: __, ...outline } = outlineOf({ policy, plan, sources, counters }, observation);
  const sums = sumBySource(counters);
  return {
    ...outline,
    sources: sources.map(({ interface: id, state }) => {
      const item = observation.cluster.interfaces.get(id);
      const { inbound, outbound } = sums.get(id) ?? {};
      const devices = item ? [...item.devices] : [];
      return { interface: id, state, devices, ...(inbound && { inbound }), ...(outbound && { outbound }) };
    }),
  };
}

/** The same without its sources, for who looks at many policies. */
export function outlineFrom(policy: Policy, plan: PolicyPlan, observation: Observation): PolicyOutline {
  const counters = observation.counters.get(policy.uid);
  return outlineOf({ policy, plan, sources: statesOf(policy, plan, observation), counters }, observation);
}

/** The state of a source, and which of its captures are refused. */
interface JudgedSource {
  interface: string;
  state: SourceStatus['state'];
  refusals: readonly StatusReason[];
}

interface Judged {
  policy: Policy;
  plan: PolicyPlan;
  sources: readonly JudgedSource[];
  counters: PolicyCounters | undefined;
}

function outlineOf({ policy, plan, sources, counters }: Judged, observation: Observation): PolicyOutline {
  const refusals = sources.flatMap((one) => one.refusals);
  const { places, absent } = whereaboutsOf(policy, observation);
  const problems = policy.enabled ? problemsOf(policy, plan, observation) : [];
  const reasons = policy.enabled
    ? uniqueReasons([
        ...plan.reasons,
        ...unsupportedReasons(absent, observation),
        ...revokedReasons(absent, observation),
        ...nodeReasons(plan, observation),
        ...problems.map(({ blocking: _, ...reason }) => reason),
        ...refusals.filter((refusal) => !problems.some((problem) => isSame(problem, refusal))),
        ...unreportedReasons(plan, sources, observation),
        ...dropReasons(policy, counters, observation),
        ...truncationReasons(policy, counters, observation),
        ...unprovenReasons(plan, observation),
        ...lossReasons(plan, counters, observation),
        ...surplusReasons(plan, observation),
        ...feedbackReasons(policy, counters),
        ...slowReasons(policy, observation),
      ])
    : endingReasons(policy, observation);
  const destination = observation.cluster.interfaces.get(policy.destination);
  const paths = pathsOf(plan, counters, observation);
  const nodes = new Set([...involvedNodes(plan), ...reportingNodes(counters)]);
  return {
    name: policy.name,
    uid: policy.uid,
    type: policy.type,
    state: stateOf({ policy, plan, sources, problems, reasons, destinationAbsent: isDestinationAbsent(plan) }),
    reasons,
    destination: { interface: policy.destination, devices: destination ? [...destination.devices] : [] },
    totals: sumOfCaptures(counters?.captures.map(({ report }) => report.counts) ?? []),
    delivered: deliveredOf(plan, counters, observation),
    ...feedbackOf(counters),
    lost: sumOfLost(paths),
    paths,
    countersAt: oldest(policy.uid, nodes, counters, observation),
    stale: [...nodes].some((node) => !observation.nodes.get(node)?.connected),
    places,
    sourcesAt: sourcesAtOf(sources, observation),
  };
}

function sourcesAtOf(sources: readonly JudgedSource[], { cluster }: Observation): Map<string, SourcesAt> {
  const all = new Map<string, SourcesAt>();
  for (const { interface: id, state } of sources) {
    for (const { node } of cluster.interfaces.get(id)?.devices ?? NONE) {
      const { sources: count, capturing } = all.get(node) ?? { sources: 0, capturing: 0 };
      all.set(node, { sources: count + 1, capturing: capturing + (state === 'capturing' ? 1 : 0) });
    }
  }
  return all;
}

function isDestinationAbsent({ reasons }: PolicyPlan): boolean {
  return reasons.some(({ code }) => code === 'DESTINATION_ABSENT');
}

/** Nodes where interfaces of a policy have devices, and those that have none. */
function whereaboutsOf(
  { sources, destination }: Policy,
  { cluster }: Observation,
): { places: string[]; absent: string[] } {
  const places = new Set<string>();
  const absent: string[] = [];
  for (const id of [...sources, destination]) {
    const { devices = NONE } = cluster.interfaces.get(id) ?? {};
    for (const { node } of devices) {
      places.add(node);
    }
    if (devices.length === 0) {
      absent.push(id);
    }
  }
  return { places: [...places].sort(byText), absent };
}

function statesOf(policy: Policy, plan: PolicyPlan, observation: Observation): JudgedSource[] {
  if (!policy.enabled) {
    const state = endingReasons(policy, observation).length > 0 ? 'ending' : 'disabled';
    return plan.sources.map(({ interface: id }) => ({ interface: id, state, refusals: NONE }));
  }
  const absent = isDestinationAbsent(plan);
  return plan.sources.map((source) => judgedSource(policy, source, absent, observation));
}

const NONE: readonly never[] = [];

function judgedSource(
  policy: Policy,
  { interface: id, nodes }: SourcePlan,
  destinationAbsent: boolean,
  { cluster, captures }: Observation,
): JudgedSource {
  const item = cluster.interfaces.get(id);
  if (!item || !hasDevice(item)) {
    return { interface: id, state: 'waiting', refusals: NONE };
  }
  if (nodes.length === 0) {
    return { interface: id, state: destinationAbsent ? 'waiting' : 'refused', refusals: NONE };
  }
  const capture = captureId(policy.uid, id);
  const refusals: StatusReason[] = [];
  let [reported, refused] = [0, 0];
  for (const node of nodes) {
    for (const status of captures.get(node)?.get(capture) ?? NONE) {
      reported++;
      refused += status.state === 'refused' ? 1 : 0;
      if (status.state === 'refused' || status.code !== undefined) {
        refusals.push(refusalReason(id, node, status));
      }
    }
  }
  const state = reported === 0 ? 'pending' : refused < reported ? 'capturing' : 'refused';
  return { interface: id, state, refusals };
}

/**
 * Source id to its counts by direction, summed over the nodes. A direction that no node has
 * reported is absent.
 */
type SourceSums = ReadonlyMap<string, Partial<Record<'inbound' | 'outbound', CaptureCounts>>>;

function sumBySource(counters: PolicyCounters | undefined): SourceSums {
  const sums = new Map<string, Partial<Record<'inbound' | 'outbound', CaptureCounts>>>();
  for (const { report } of counters?.captures ?? []) {
    const { source, direction, counts } = report;
    const found = sums.get(source) ?? {};
    const sum = found[direction];
    found[direction] = addCaptureCounts(sum ?? zeroCounts(), counts);
    sums.set(source, found);
  }
  return sums;
}

/**
 * A reason for each source whose node runs its newest program, but has not reported the capture.
 * Without a report, the capture is not certain.
 */
function unreportedReasons(plan: PolicyPlan, sources: readonly JudgedSource[], { nodes }: Observation): StatusReason[] {
  return sources.flatMap(({ interface: id, state }, index): StatusReason[] => {
    const node = plan.sources[index]!.nodes.find((name) => {
      const report = nodes.get(name);
      return report?.connected && !isPending(report);
    });
    if (state !== 'pending' || node === undefined) {
      return [];
    }
    return [{ ...say('NODE_PENDING', { node, interface: id }), interface: id, node }];
  });
}

/** The node already reports the refusal of a capture as a problem of the same device. */
function isSame(problem: PolicyProblem, { code, node, interface: id }: StatusReason): boolean {
  return problem.code === code && problem.node === node && problem.interface === id;
}

function uniqueReasons(reasons: readonly StatusReason[]): StatusReason[] {
  const seen = new Map<string, StatusReason>();
  for (const reason of reasons) {
    const { code, interface: id, node, message } = reason;
    const key = `${code}\0${id ?? ''}\0${node ?? ''}\0${message}`;
    if (!seen.has(key)) {
      seen.set(key, reason);
    }
  }
  return [...seen.values()];
}

interface StateInput {
  policy: Policy;
  plan: PolicyPlan;
  sources: readonly JudgedSource[];
  problems: readonly PolicyProblem[];
  reasons: readonly StatusReason[];
  destinationAbsent: boolean;
}

function stateOf({ policy, plan, sources, problems, reasons, destinationAbsent }: StateInput): PolicyState {
  if (!policy.enabled) {
    return reasons.length > 0 ? 'ending' : 'disabled';
  }
  if (destinationAbsent || sources.every(({ state }) => state === 'waiting')) {
    return 'waiting';
  }
  const blocking = problems.filter((problem) => problem.blocking);
  const isOfWhole = (problem: PolicyProblem): boolean =>
    problem.node === plan.destinationNode &&
    !UNDERLAY_CODES.has(problem.code) &&
    (problem.interface === undefined || problem.interface === policy.destination);
  const blocks = (id: string, node: string): boolean =>
    blocking.some((problem) =>
      UNDERLAY_CODES.has(problem.code)
        ? // Only copies that cross the underlay need it, on both nodes.
          node !== plan.destinationNode && [node, plan.destinationNode].includes(problem.node)
        : problem.node === node && (problem.interface === undefined || problem.interface === id),
    );
  // A source that waits or was not planned has no nodes. So `every` is true, and nothing is copied
  // of it.
  const copiesNothing = ({ state, interface: id }: JudgedSource, index: number): boolean =>
    state === 'refused' || plan.sources[index]!.nodes.every((node) => blocks(id, node));
  if (blocking.some(isOfWhole) || sources.every(copiesNothing)) {
    return 'failed';
  }
  return reasons.length > 0 ? 'degraded' : 'active';
}

/** Nodes that have reported a counter of the policy. */
function reportingNodes(counters: PolicyCounters | undefined): Set<string> {
  const all = counters ? [...counters.captures, ...counters.deliveries, ...counters.terminations] : [];
  return new Set(all.map(({ node }) => node));
}

/**
 * Copies that the devices of the destination were given on all nodes where it has been: copies made
 * on its own node, and copies from other nodes. Null while unknown.
 */
function deliveredOf(plan: PolicyPlan, counters: PolicyCounters | undefined, { nodes }: Observation): Count | null {
  const end = plan.destinationNode;
  if (end === undefined || !nodes.get(end)?.hasCounted) {
    return null;
  }
  const local = (counters?.deliveries ?? []).flatMap(({ report: { delivery, sent } }) => {
    const kind = parseDeliveryId(delivery)?.kind ?? 'local';
    return kind === 'erspan' ? [] : [innerOf(kind, sent)];
  });
  const remote = arrivals(plan.uid, counters, { nodes }).map((one) => one && (one.arrival.report?.delivered ?? ZERO));
  return [...local, ...remote].reduce<Count | null>((sum, one) => (sum && one ? addCount(sum, one) : null), ZERO);
}

function feedbackOf(counters: PolicyCounters | undefined): Pick<PolicyStatus, 'feedback'> {
  const feedback = (counters?.deliveries ?? []).reduce(
    (sum, { report }) => addCount(sum, report.feedback ?? ZERO),
    ZERO,
  );
  return feedback.packets > 0 ? { feedback } : {};
}

/** All paths that have carried copies, or have a source now, sorted. */
function pathsOf(
  plan: PolicyPlan,
  counters: PolicyCounters | undefined,
  observation: Pick<Observation, 'nodes'>,
): PathStatus[] {
  const paths = new Map<string, PathStatus>();
  const pathOf: PathOf = (from, to) => {
    const key = JSON.stringify([from, to]);
    const unknown = { sent: null, sentInner: null, received: null, delivered: null, lost: null };
    const found = paths.get(key) ?? { from, to, ...unknown };
    paths.set(key, found);
    return found;
  };
  const sending = new Set(plan.sources.flatMap(({ nodes }) => nodes));
  const wanted = new Set([
    ...plan.paths.filter(({ from }) => sending.has(from)).map(({ from, to }) => pathOf(from, to)),
    ...sentOn(plan.uid, counters, pathOf),
    ...arrivedOn(arrivals(plan.uid, counters, observation), pathOf),
  ]);
  for (const path of wanted) {
    path.lost = lostOn(path, plan.uid, counters, observation);
  }
  return [...wanted].sort((a, b) => byText(a.from, b.from) || byText(a.to, b.to));
}

/** The status of the path between two nodes. */
type PathOf = (from: string, to: string) => PathStatus;

/** Notes what was sent on each path. Returns the paths that have carried copies. */
function sentOn(uid: string, counters: PolicyCounters | undefined, pathOf: PathOf): PathStatus[] {
  return (counters?.deliveries ?? []).flatMap(({ node, report: { delivery, sent } }) => {
    const parts = parseDeliveryId(delivery);
    if (parts?.kind !== 'erspan' || parts.policy !== uid) {
      return [];
    }
    const path = pathOf(node, parts.node);
    path.sent = sent;
    path.sentInner = innerOf('erspan', sent);
    return sent.packets > 0 ? [path] : [];
  });
}

/** Notes what arrived on each path. Returns the paths on which copies arrived. */
function arrivedOn(all: ReturnType<typeof arrivals>, pathOf: PathOf): PathStatus[] {
  return all.flatMap((one) => {
    const { report } = one?.arrival ?? {};
    if (!one || !report) {
      return [];
    }
    const path = pathOf(one.from, one.to);
    path.received = report.received;
    path.delivered = report.delivered;
    if (report.relayed.packets > 0) {
      path.relayed = report.relayed;
    }
    if (report.missing) {
      path.missing = { packets: Math.max(0, report.missing.packets - (report.late?.packets ?? 0)), bytes: 0 };
    }
    return report.received.packets > 0 ? [path] : [];
  });
}

/** What arrived on each path, read at the same time as the sent counters. Null while unknown. */
function arrivals(uid: string, counters: PolicyCounters | undefined, observation: Pick<Observation, 'nodes'>) {
  return (counters?.terminations ?? []).map(({ node: to, report: { node: from } }) => {
    const arrival = arrivalOn({ from, to }, uid, counters, observation);
    return arrival && { from, to, arrival };
  });
}

function sumOfLost(paths: readonly PathStatus[]): number | null {
  return paths.reduce<number | null>((sum, { lost }) => (sum === null || lost === null ? null : sum + lost), 0);
}

/**
 * The time of the sums. Null while an involved node has reported nothing, because its share is
 * unknown and not 0. A report that does not mention the policy counts too, and may be older than
 * the policy.
 */
function oldest(
  uid: string,
  involved: Iterable<string>,
  counters: PolicyCounters | undefined,
  { nodes }: Observation,
): string | null {
  const times = arrivals(uid, counters, { nodes }).flatMap((one) => one?.arrival.at ?? []);
  for (const node of involved) {
    const { hasCounted, countersAt } = nodes.get(node) ?? {};
    if (!hasCounted || countersAt === undefined) {
      return null;
    }
    times.push(countersAt);
  }
  return times.sort(byText)[0] ?? null;
}
