/** What agents report, indexed once for all policies. */
import {
  type CaptureCounts,
  type CaptureReport,
  type CaptureStatus,
  type CounterReport,
  type DeliveryReport,
  type Inventory,
  type NodeProblem,
  type PeerReport,
  parseDeliveryId,
  refusedOf,
  type TerminationReport,
} from '@mirrorplane/contract';
import { type Cluster, indexCluster, type LookUp } from './cluster.ts';
import { byText, sortedBy } from './order.ts';

/** What a node had sent at some moment. */
export interface SentReading {
  /** ISO 8601 in UTC. */
  at: string;
  /** Packets by delivery id. Absent: 0. */
  packets: ReadonlyMap<string, number>;
  /** By delivery id: how many numbers of each lane were given. Absent: not told. */
  numbered?: ReadonlyMap<string, readonly number[]>;
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

/** What of an earlier report of a capture is compared with a later one. */
export interface CaptureBefore {
  counts: Pick<CaptureCounts, 'copied' | 'dropped' | 'truncated'>;
}

/**
 * One report, and the previous one. `before` is undefined if the node has started again, or had not
 * reported before.
 */
export interface CountedRow<T, B = T> {
  report: T;
  before?: B | undefined;
}

/** One report of a node, and the previous one. */
export interface Observed<T, B = T> extends CountedRow<T, B> {
  node: string;
}

/** What one node has counted for one policy. */
export interface CountedRows {
  captures: readonly CountedRow<CaptureReport, CaptureBefore>[];
  deliveries: readonly CountedRow<DeliveryReport>[];
  terminations: readonly CountedRow<TerminationReport>[];
}

/** The counters of both ends of a path. Undefined for an end that has reported none. */
export interface PathCounters {
  delivery?: Observed<DeliveryReport>;
  termination?: Observed<TerminationReport>;
}

/** Every counter of one policy, in the order of the nodes. */
export interface PolicyCounters {
  captures: Observed<CaptureReport, CaptureBefore>[];
  deliveries: Observed<DeliveryReport>[];
  terminations: Observed<TerminationReport>[];
  /** By `pathKey`. */
  paths: Map<string, PathCounters>;
}

/** Names a path within a policy. */
export function pathKey(from: string, to: string): string {
  return `${from} ${to}`;
}

/** The newest report of a node, without what an observation has by policy, capture or interface. */
export interface ObservedNode extends Omit<NodeReport, 'captures' | 'counters' | 'copying' | 'revoked'> {
  /** Whether it has ever reported counters. */
  hasCounted: boolean;
}

/** States of captures on their devices, by capture id. */
export type CapturesById = Pick<ReadonlyMap<string, readonly CaptureStatus[]>, 'get'>;

/**
 * Everything that the status of a policy is computed from, except its plan. Each entry is asked for
 * by its key, so that it can be known which statuses follow from it.
 */
export interface Observation {
  cluster: Cluster;
  nodes: LookUp<ObservedNode>;
  previous: LookUp<Pick<PreviousReport, 'at' | 'arrivedBefore'>>;
  /** Policy uid to its counters. */
  counters: LookUp<PolicyCounters>;
  /** Node name to the packets that the node has refused lately, by address of the sender. */
  refused: LookUp<ReadonlyMap<string, number>>;
  /** Node name to the states of its captures. */
  captures: LookUp<CapturesById>;
  /** Policy uid to the nodes that copied for it in their last report, sorted. */
  copying: LookUp<readonly string[]>;
  /** Interface id to the nodes that report that they cannot mirror the interface, and why. */
  unsupported: LookUp<readonly Unsupported[]>;
  /** Interface id to the revoked nodes that it was on. */
  revoked: LookUp<readonly string[]>;
}

/** A node that cannot mirror an interface. */
export interface Unsupported {
  node: string;
  message: string;
}

/** Indexes inventory and reports, once for the statuses of any number of policies. */
export function observe(
  inventory: Inventory,
  reports: ReadonlyMap<string, NodeReport>,
  previous: PreviousCounters = new Map(),
): Observation {
  const nodes = new Map<string, ObservedNode>();
  const rows = new Map<string, [node: string, rows: CountedRows][]>();
  const captures = new Map<string, CapturesById>();
  const copying = new Map<string, string[]>();
  const unsupported = new Map<string, Unsupported[]>();
  const revoked = new Map<string, string[]>();
  const refused = new Map<string, ReadonlyMap<string, number>>();
  for (const [node, report] of sortedBy(reports, ([name]) => name)) {
    nodes.set(node, observedNode(report));
    captures.set(node, capturesById(report.captures));
    for (const { interface: id, message } of unsupportedOn(report)) {
      addTo(unsupported, id, { node, message });
    }
    for (const id of report.revoked ?? []) {
      addTo(revoked, id, node);
    }
    for (const uid of new Set(report.copying)) {
      addTo(copying, uid, node);
    }
    const now = report.counters;
    const old = previous.get(node)?.counters;
    const before = old?.epoch === now?.epoch ? old : undefined;
    if (now) {
      refused.set(node, refusedLately(now.peers, before?.peers));
      for (const [uid, ofNode] of rowsOf(now, before)) {
        addTo(rows, uid, [node, ofNode]);
      }
    }
  }
  const counters = new Map([...rows].map(([uid, ofNodes]) => [uid, countersFrom(ofNodes)]));
  const cluster = indexCluster(inventory);
  return { cluster, nodes, previous, counters, refused, captures, copying, unsupported, revoked };
}

/** What an observation has of a node under the name of the node. */
export function observedNode({
  captures: _,
  counters,
  copying: __,
  revoked: ___,
  ...report
}: NodeReport): ObservedNode {
  return { ...report, hasCounted: counters !== undefined };
}

/** A sorted list in place of a map of lists: it takes a tenth of the memory. */
export function capturesById(captures: readonly CaptureStatus[]): CapturesById {
  const sorted = captures.toSorted((a, b) => byText(a.capture, b.capture));
  const first = (id: string) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      [low, high] = sorted[middle]!.capture < id ? [middle + 1, high] : [low, middle];
    }
    return low;
  };
  return {
    get: (id) => {
      const begin = first(id);
      let end = begin;
      while (sorted[end]?.capture === id) {
        end++;
      }
      return begin === end ? undefined : sorted.slice(begin, end);
    },
  };
}

/** Interfaces that a connected node cannot mirror, and why. */
export function unsupportedOn({
  connected,
  problems,
}: Pick<NodeReport, 'connected' | 'problems'>): { interface: string; message: string }[] {
  return problems.flatMap(({ code, interface: id, message }) =>
    connected && code === 'DEVICE_UNSUPPORTED' && id !== undefined ? [{ interface: id, message }] : [],
  );
}

/** Packets that a node has refused since the previous counters, by address of the sender. */
export function refusedLately(
  peers: readonly PeerReport[],
  before: readonly PeerReport[] = [],
): ReadonlyMap<string, number> {
  const old = new Map(before.map((peer) => [peer.address, refusedOf(peer)]));
  const grown = peers.map((peer): [string, number] => [peer.address, refusedOf(peer) - (old.get(peer.address) ?? 0)]);
  return new Map(grown.filter(([, packets]) => packets > 0));
}

/** The counters of one policy. @param rows of nodes that have counted something for it, sorted */
export function countersFrom(rows: Iterable<readonly [node: string, rows: CountedRows]>): PolicyCounters {
  const all: PolicyCounters = { captures: [], deliveries: [], terminations: [], paths: new Map() };
  const end = (from: string, to: string, known: PathCounters) => {
    const key = pathKey(from, to);
    all.paths.set(key, { ...all.paths.get(key), ...known });
  };
  for (const [node, { captures, deliveries, terminations }] of rows) {
    for (const row of captures) {
      all.captures.push({ node, ...row });
    }
    for (const row of deliveries) {
      const delivery = { node, ...row };
      all.deliveries.push(delivery);
      const parts = parseDeliveryId(row.report.delivery);
      if (parts?.kind === 'erspan') {
        end(node, parts.node, { delivery });
      }
    }
    for (const row of terminations) {
      const termination = { node, ...row };
      all.terminations.push(termination);
      end(row.report.node, node, { termination });
    }
  }
  return all;
}

/** What a node has counted, by policy. */
function rowsOf(now: CounterReport, before: CounterReport | undefined): Map<string, CountedRows> {
  const rows = new Map<string, { [K in keyof CountedRows]: CountedRows[K][number][] }>();
  const of = (uid: string) => {
    const found = rows.get(uid) ?? { captures: [], deliveries: [], terminations: [] };
    rows.set(uid, found);
    return found;
  };
  // A policy's uid has no space, and a direction is one of two words.
  const captureKey = (item: CaptureReport) => `${item.policy} ${item.direction} ${item.source}`;
  for (const row of pair(now.captures, before?.captures, captureKey)) {
    of(row.report.policy).captures.push(row);
  }
  for (const row of pair(now.deliveries, before?.deliveries, ({ delivery }) => delivery)) {
    of(row.report.policy).deliveries.push(row);
  }
  for (const row of pair(now.terminations, before?.terminations, ({ termination }) => termination)) {
    of(row.report.policy).terminations.push(row);
  }
  return rows;
}

function addTo<V>(lists: Map<string, V[]>, key: string, item: V): void {
  const list = lists.get(key);
  if (list) {
    list.push(item);
  } else {
    lists.set(key, [item]);
  }
}

function pair<T>(now: readonly T[], before: readonly T[] | undefined, key: (item: T) => string): CountedRow<T>[] {
  const old = new Map((before ?? []).map((item) => [key(item), item]));
  return now.map((report) => {
    const match = old.get(key(report));
    return { report, ...(match && { before: match }) };
  });
}
