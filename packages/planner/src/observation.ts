/** What agents report, indexed once for all policies. */
import {
  type CaptureReport,
  type CaptureStatus,
  type CounterReport,
  type DeliveryReport,
  type Inventory,
  type NodeProblem,
  parseDeliveryId,
  refusedOf,
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

/**
 * For one sender: readings of its receivers, by node name. Each was taken before the sender's
 * counters were read.
 */
export type ArrivedBefore = ReadonlyMap<string, ArrivalReading>;

/**
 * The newest report of a node's agent. A part that was never reported is undefined or an empty
 * list.
 */
export interface NodeReport {
  connected: boolean;
  /** Revision of the program that the node should run. */
  programRevision?: number;
  /** Revision that its kernel runs. */
  appliedRevision?: number;
  captures: readonly CaptureStatus[];
  /** uids of the policies that the node copied for in its last report. */
  copying?: readonly string[];
  problems: readonly NodeProblem[];
  /** The node is revoked. These interfaces were on it. Left out: it is not. */
  revoked?: readonly string[];
  counters?: CounterReport;
  /** Time of `counters`, ISO 8601 in UTC. They were read at this time or later. */
  countersAt?: string;
  /**
   * Packets sent by delivery id, in the last few reports, the newest last. Each was read at its
   * time or earlier.
   */
  sent?: readonly SentReading[];
  /** Belongs to `counters`. Left out: the readings of receivers are not recorded. */
  arrivedBefore?: ArrivedBefore;
  /**
   * By delivery id: how many more packets have arrived than the node has sent. Only where this
   * number has grown lately.
   */
  surplus?: ReadonlyMap<string, number>;
  /** What the guest behind a device reads, by ifindex. Undefined: not known. */
  readingOf?: (ifindex: number) => GuestReading | undefined;
}

/** What a guest reads of what its device is given, packets a second. */
export interface GuestReading {
  read: number;
  /** Dropped by the device, because the guest had not read earlier ones. */
  unread: number;
  /** It does not keep up. Stays for a while, so that it does not change with each burst. */
  isSlow: boolean;
}

/** What a node had reported a while ago. */
export interface PreviousReport {
  counters: CounterReport;
  /** Time of `counters`, ISO 8601 in UTC. */
  at?: string;
  arrivedBefore?: ArrivedBefore;
}

/**
 * Node name to its report of 5 to 10 s ago. Only counters that have grown since then degrade a
 * policy.
 */
export type PreviousCounters = ReadonlyMap<string, PreviousReport>;

/**
 * One report of a node, and the previous one. `before` is undefined if the node has started again,
 * or had not reported before.
 */
export interface Observed<T> {
  node: string;
  report: T;
  before?: T;
}

/** The counters of both ends of a path. Undefined for an end that has reported none. */
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

/** Everything that the status of a policy is computed from, except its plan. */
export interface Observation {
  cluster: Cluster;
  nodes: ReadonlyMap<string, NodeReport>;
  previous: PreviousCounters;
  /** Policy uid to its counters. */
  counters: ReadonlyMap<string, PolicyCounters>;
  /** Node name to the packets that the node has refused lately, by address of the sender. */
  refused: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Node name to capture id to the state of the capture on each device. */
  captures: ReadonlyMap<string, ReadonlyMap<string, readonly CaptureStatus[]>>;
  /** Interface id to the nodes that report that they cannot mirror the interface, and why. */
  unsupported: ReadonlyMap<string, readonly { node: string; message: string }[]>;
  /** Interface id to the revoked nodes that it was on. */
  revoked: ReadonlyMap<string, readonly string[]>;
}

/** Indexes inventory and reports, once for the statuses of any number of policies. */
export function observe(
  inventory: Inventory,
  nodes: ReadonlyMap<string, NodeReport>,
  previous: PreviousCounters = new Map(),
): Observation {
  const counters = new Map<string, PolicyCounters>();
  const captures = new Map<string, Map<string, CaptureStatus[]>>();
  const unsupported = new Map<string, { node: string; message: string }[]>();
  const revoked = new Map<string, string[]>();
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
    for (const id of report.revoked ?? []) {
      revoked.set(id, [...(revoked.get(id) ?? []), node]);
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
    // A policy's uid has no space, and a direction is one of two words.
    const captureKey = (item: CaptureReport) => `${item.policy} ${item.direction} ${item.source}`;
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
  return { cluster: indexCluster(inventory), nodes, previous, counters, refused, captures, unsupported, revoked };
}

function refusedLately({ peers }: CounterReport, before: CounterReport | undefined): Map<string, number> {
  const old = new Map((before?.peers ?? []).map((peer) => [peer.address, refusedOf(peer)]));
  const grown = peers.map((peer): [string, number] => [peer.address, refusedOf(peer) - (old.get(peer.address) ?? 0)]);
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
