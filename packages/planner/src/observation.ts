/** What agents report, indexed once for all policies. */
import {
  type CaptureReport,
  type CaptureStatus,
  type CounterReport,
  type DeliveryReport,
  type Inventory,
  type NodeProblem,
  type PeerReport,
  parseDeliveryId,
  type TerminationReport,
} from '@mirrorplane/contract';
import { type Cluster, indexCluster } from './cluster.ts';
import { sortedBy } from './order.ts';

/** What a node had sent at some moment. */
export interface SentReading {
  /** ISO 8601 in UTC. */
  at: string;
  /** Packets by delivery id. */
  packets: ReadonlyMap<string, number>;
}

/** What had arrived at a node at some moment. */
export interface ArrivalReading {
  /** ISO 8601 in UTC. */
  at: string;
  /** By termination id. */
  terminations: ReadonlyMap<string, TerminationReport>;
}

/** What had arrived at each node that one sends to, by its name: before the counters were read that it belongs to. */
export type ArrivedBefore = ReadonlyMap<string, ArrivalReading>;

/** The newest that the agent of a node has said. What was never said is undefined, or an empty list. */
export interface NodeReport {
  connected: boolean;
  /** Revision of the program that the node should run. */
  programRevision?: number;
  /** Revision that its kernel runs. */
  appliedRevision?: number;
  captures: readonly CaptureStatus[];
  /** uids of the policies that it copied for when it was heard last. */
  copying?: readonly string[];
  problems: readonly NodeProblem[];
  counters?: CounterReport;
  /** Time of `counters`, ISO 8601 in UTC: they were read then, or later. */
  countersAt?: string;
  /** Packets sent by delivery id, as the last few reports had them; newest last. Each was read at its time, or before. */
  sent?: readonly SentReading[];
  /** Belongs to `counters`. Left out: not followed. */
  arrivedBefore?: ArrivedBefore;
  /** Packets that more have arrived than it has sent, by delivery id, where that has come to be, or grown, lately. */
  surplus?: ReadonlyMap<string, number>;
}

/** What a node had reported a while ago. */
export interface PreviousReport {
  counters: CounterReport;
  arrivedBefore?: ArrivedBefore;
}

/** Node name to its report of 5 to 10 s ago. Only what grew since then degrades a policy. */
export type PreviousCounters = ReadonlyMap<string, PreviousReport>;

/** One report of a node, with the one of before: undefined where the node started again or said nothing before. */
export interface Observed<T> {
  node: string;
  report: T;
  before?: T;
}

/** What the two ends of a path have counted. Undefined where one has reported nothing of it. */
export interface PathCounters {
  delivery?: Observed<DeliveryReport>;
  termination?: Observed<TerminationReport>;
}

/** Every counter of one policy, in the order of the nodes. */
export interface PolicyCounters {
  captures: Observed<CaptureReport>[];
  deliveries: Observed<DeliveryReport>[];
  terminations: Observed<TerminationReport>[];
  /** By `pathKey`. */
  paths: Map<string, PathCounters>;
}

/** Names a path within a policy. */
export function pathKey(from: string, to: string): string {
  return `${from} ${to}`;
}

/** Everything that the status of any policy is computed from, but its plan. */
export interface Observation {
  cluster: Cluster;
  nodes: ReadonlyMap<string, NodeReport>;
  previous: PreviousCounters;
  /** Policy uid to its counters. */
  counters: ReadonlyMap<string, PolicyCounters>;
  /** Node name to what it has refused lately, by the address of the sender. Packets. */
  refused: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Node name to capture id to what became of it on each device. */
  captures: ReadonlyMap<string, ReadonlyMap<string, readonly CaptureStatus[]>>;
  /** Interface id to the nodes that say that they cannot mirror it, and why. */
  unsupported: ReadonlyMap<string, readonly { node: string; message: string }[]>;
}

/** Indexes inventory and reports. To be done once, for the statuses of any number of policies. */
export function observe(
  inventory: Inventory,
  nodes: ReadonlyMap<string, NodeReport>,
  previous: PreviousCounters = new Map(),
): Observation {
  const counters = new Map<string, PolicyCounters>();
  const captures = new Map<string, Map<string, CaptureStatus[]>>();
  const unsupported = new Map<string, { node: string; message: string }[]>();
  const refused = new Map<string, Map<string, number>>();
  for (const [node, report] of sortedBy(nodes, ([name]) => name)) {
    captures.set(
      node,
      group(report.captures, ({ capture }) => capture),
    );
    for (const { code, interface: id, message } of report.connected ? report.problems : []) {
      if (code === 'DEVICE_UNSUPPORTED' && id !== undefined) {
        unsupported.set(id, [...(unsupported.get(id) ?? []), { node, message }]);
      }
    }
    const now = report.counters;
    if (!now) {
      continue;
    }
    const old = previous.get(node)?.counters;
    const before = old?.epoch === now.epoch ? old : undefined;
    refused.set(node, refusedLately(now, before));
    const of = (uid: string): PolicyCounters => {
      const found = counters.get(uid) ?? { captures: [], deliveries: [], terminations: [], paths: new Map() };
      counters.set(uid, found);
      return found;
    };
    const end = (uid: string, from: string, to: string, known: PathCounters) => {
      const { paths } = of(uid);
      paths.set(pathKey(from, to), { ...paths.get(pathKey(from, to)), ...known });
    };
    const captureKey = (item: CaptureReport) => JSON.stringify([item.policy, item.source, item.direction]);
    for (const item of pair(node, now.captures, before?.captures, captureKey)) {
      of(item.report.policy).captures.push(item);
    }
    for (const item of pair(node, now.deliveries, before?.deliveries, ({ delivery }) => delivery)) {
      const { policy, delivery } = item.report;
      of(policy).deliveries.push(item);
      const parts = parseDeliveryId(delivery);
      if (parts?.kind === 'erspan') {
        end(policy, node, parts.node, { delivery: item });
      }
    }
    for (const item of pair(node, now.terminations, before?.terminations, ({ termination }) => termination)) {
      const { policy, node: from } = item.report;
      of(policy).terminations.push(item);
      end(policy, from, node, { termination: item });
    }
  }
  return { cluster: indexCluster(inventory), nodes, previous, counters, refused, captures, unsupported };
}

function refusedLately({ peers }: CounterReport, before: CounterReport | undefined): Map<string, number> {
  const all = ({ staleSession, wrongAddress }: PeerReport) => staleSession + wrongAddress;
  const old = new Map((before?.peers ?? []).map((peer) => [peer.address, all(peer)]));
  const grown = peers.map((peer): [string, number] => [peer.address, all(peer) - (old.get(peer.address) ?? 0)]);
  return new Map(grown.filter(([, packets]) => packets > 0));
}

function group<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const list = groups.get(key(item));
    if (list) {
      list.push(item);
    } else {
      groups.set(key(item), [item]);
    }
  }
  return groups;
}

function pair<T>(
  node: string,
  now: readonly T[],
  before: readonly T[] | undefined,
  key: (item: T) => string,
): Observed<T>[] {
  const old = new Map((before ?? []).map((item) => [key(item), item]));
  return now.map((report) => {
    const match = old.get(key(report));
    return { node, report, ...(match && { before: match }) };
  });
}
