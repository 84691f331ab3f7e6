/** The last reports of one node's agent, and the part that outlives the controller. */
import {
  type CaptureStatus,
  type CounterReading,
  type Device,
  type DeviceBudget,
  MAX_DEVICES,
  type NodeProblem,
  policyOfId,
  type Underlay,
} from '@mirrorplane/contract';
import type { NodeStateRecord } from '../store/records.ts';
import { CounterTotals } from './counter-totals.ts';
import { ForgedCopies } from './forged-copies.ts';
import { GrownSlots } from './grown.ts';
import { type DeviceRoom, NodeTraffic } from './node-traffic.ts';
import { ReadingTimes } from './reading-times.ts';
import { Readings } from './readings.ts';

/** The most interfaces whose earlier device on a node is remembered. */
export const MAX_FORMER = 4096;
/** The most refused claims that are remembered after they have ended: those of one list of devices. */
export const MAX_WITHDRAWN = MAX_DEVICES;
/** The most of them that are kept across a restart of the controller. */
const MAX_FORMER_KEPT = 256;

/**
 * The last reports of the agent, as in the record of the store. A record of an older controller may
 * lack some fields.
 */
type Said = Omit<NodeStateRecord, 'former'> & Required<Pick<NodeStateRecord, 'running' | 'claimed' | 'copying'>>;

/** One node as `LiveNodes` stores it. Only `LiveNodes` writes it. */
export interface KeptNode extends Said {
  name: string;
  connected: boolean;
  /** Time when the connection ended, or the controller started. Milliseconds since 1970. */
  disconnectedAt: number;
  /** Refused claims of the node, and claims of other nodes to its interfaces. */
  contests: NodeProblem[];
  /** Interfaces with an accepted claim of the node at the last judgement. */
  granted: Set<string>;
  /** Interfaces with an earlier accepted claim, the latest last. At most `MAX_FORMER`. */
  former: Set<string>;
  /**
   * Interfaces that it has claimed and claims no longer, of which no claim was accepted, the latest
   * last. At most `MAX_WITHDRAWN`.
   */
  withdrawn: Set<string>;
  /** The agent was away, and has not sent a complete counter report since. */
  unseen: boolean;
  /** No complete counter report has come since the record was made, or the controller started. */
  isFirst: boolean;
  /** Time of the agent's last message before the current connection, milliseconds since 1970. */
  heardBefore?: number | undefined;
  appliedRevision?: number | undefined;
  /** The last status message. Undefined until one has come. */
  captures?: CaptureStatus[] | undefined;
  /** Captures in the last status of interfaces that the node is not believed to have. It may be later. */
  unbelieved: CaptureStatus[];
  problems: NodeProblem[];
  /** Why the last connecting agent was refused. Undefined if it was accepted. */
  rejection?: NodeProblem | undefined;
  /** An underlay of the agent that is refused, and the reason. */
  refusedUnderlay?: { offered: Underlay; problem: NodeProblem } | undefined;
  /** An operator has cut it off: nothing of it counts. */
  revoked: boolean;
  /** The last time that a certificate was seen that is older than the one in use. */
  contested?: { problem: NodeProblem; at: number } | undefined;
  /** The last second agent that was refused because the first one answers, and the time. */
  second?: { problem: NodeProblem; at: number } | undefined;
  /** The last message that could not be read, and the time. */
  badMessage?: { problem: NodeProblem; at: number } | undefined;
  counters: CounterTotals;
  /** Budgets of its devices in the last report. */
  budgets: DeviceBudget[];
  /** The last reading in `counters`. Undefined: there is none to acknowledge. */
  reading?: CounterReading | undefined;
  /**
   * Time of the last complete counter report, milliseconds since 1970. Undefined: none since the
   * start.
   */
  completeAt?: number | undefined;
  /** Refused counters, and the time of the last refusal. */
  refusedCounters?: { message: string; at: number } | undefined;
  /** What it has refused of copies with the addresses of other nodes. */
  forged: ForgedCopies;
  readings: Readings;
  /** How much the counters have grown in each of the last seconds. */
  grown: GrownSlots;
  /** When it has read what it told, on the clock that does not jump. */
  steadyTimes: ReadingTimes;
  /** What its devices have carried in the last minute, on that clock. */
  traffic: NodeTraffic;
  /** Time of the last counters, ISO 8601. They were read at this time or later. */
  countersAt?: string | undefined;
  /**
   * The newest program that the node is told, and the policies of its captures; and those of earlier
   * ones too, until the node reports the newest.
   */
  told?: { revision: number; newest: KeptNode['copying']; policies: KeptNode['copying'] } | undefined;
  /** True if the record in the store is older. */
  dirty: boolean;
}

/** One node for readers. `LiveNodes` has a method for each change. */
export type LiveNode = Readonly<
  Omit<
    KeptNode,
    'counters' | 'forged' | 'readings' | 'former' | 'withdrawn' | 'granted' | 'grown' | 'traffic' | 'steadyTimes'
  >
> & {
  readonly counters: Pick<
    CounterTotals,
    'sums' | 'counted' | 'policies' | 'peers' | 'unknownErspan' | 'previous' | 'version' | 'isIncomplete'
  >;
  readonly forged: Pick<ForgedCopies, 'problem'>;
  readonly readings: Pick<Readings, 'sent' | 'arrived' | 'arrivedBefore' | 'surplusSince' | 'version'>;
  readonly former: ReadonlySet<string>;
  readonly granted: ReadonlySet<string>;
  readonly grown: Pick<GrownSlots, 'at'>;
  readonly traffic: Pick<NodeTraffic, 'rate' | 'reading' | 'uplinks'>;
};

/**
 * A node without any report yet.
 * @param now milliseconds since 1970
 * @param room for devices of all nodes
 */
export function newNode(name: string, now: number, room: DeviceRoom): KeptNode {
  return {
    name,
    connected: false,
    disconnectedAt: now,
    devices: [],
    copying: [],
    unseen: false,
    isFirst: true,
    revoked: false,
    seen: byId(),
    running: byId(),
    claimed: byId(),
    contests: [],
    granted: new Set(),
    former: new Set(),
    withdrawn: new Set(),
    unbelieved: [],
    problems: [],
    budgets: [],
    counters: new CounterTotals(),
    forged: new ForgedCopies(),
    readings: new Readings(),
    grown: new GrownSlots(),
    steadyTimes: new ReadingTimes(),
    traffic: new NodeTraffic(room),
    dirty: false,
  };
}

/** The record that must outlive the controller. */
export function recordOf(node: KeptNode): NodeStateRecord {
  const { underlay, agentVersion, kernel, hook, lastSeenAt, devices, seen, running, claimed, copying } = node;
  const { certificateEndsAt } = node;
  const former = [...node.former].slice(-MAX_FORMER_KEPT);
  return {
    underlay,
    agentVersion,
    kernel,
    hook,
    lastSeenAt,
    devices,
    seen,
    running,
    claimed,
    copying,
    former,
    certificateEndsAt,
  };
}

/**
 * Whether the node is as it was when the record was made. What changes is another object then, but for
 * `former`. When a connected node was heard last is not worth a write of its own.
 */
export function isRecordOf(record: NodeStateRecord, node: KeptNode): boolean {
  const { former = [], lastSeenAt, ...rest } = record;
  const now = [...node.former].slice(-MAX_FORMER_KEPT);
  return (
    (node.connected || lastSeenAt === node.lastSeenAt) &&
    former.length === now.length &&
    former.every((id, index) => id === now[index]) &&
    Object.entries(rest).every(([name, value]) => node[name as keyof typeof rest] === value)
  );
}

/** Restores the record of the previous run. @returns its highest number */
export function restore(node: KeptNode, record: NodeStateRecord): number {
  Object.assign(node, record);
  node.former = new Set(record.former);
  node.seen = byId(record.seen);
  node.running = sameWhereEqual(byId(record.running), node.seen);
  node.claimed = sameWhereEqual(byId(record.claimed ?? record.seen), node.seen);
  node.copying = record.copying ?? [];
  return [node.seen, node.running, node.claimed]
    .flatMap((numbers) => Object.values(numbers))
    .reduce((highest, number) => Math.max(highest, number), 0);
}

/**
 * Updates, from a list of devices, since when a node sees each interface, sees its guest running,
 * and claims it.
 * @param nextNumber returns a number above all earlier ones
 */
export function sightings(
  before: LiveNode,
  devices: readonly Device[],
  nextNumber: () => number,
): Pick<KeptNode, 'seen' | 'running' | 'claimed'> {
  const [seen, running, claimed] = [byId(), byId(), byId()];
  for (const { identity, guest } of devices) {
    if (identity) {
      const { id } = identity;
      // All new facts of one device get the same number. So a device that was never seen without
      // its guest can be recognised.
      let number: number | undefined;
      const next = () => {
        number ??= nextNumber();
        return number;
      };
      seen[id] = before.seen[id] ?? next();
      if (guest !== 'absent') {
        claimed[id] = before.claimed[id] ?? next();
      }
      if (guest === 'running') {
        running[id] = before.running[id] ?? next();
      }
    }
  }
  return { seen, running: sameWhereEqual(running, seen), claimed: sameWhereEqual(claimed, seen) };
}

/** `other` where both say the same, which is so for guests that have run ever since: one object is kept for them. */
function sameWhereEqual(numbers: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const entries = Object.entries(numbers);
  const isEqual = entries.every(([id, number]) => other[id] === number);
  return isEqual && entries.length === Object.keys(other).length ? other : numbers;
}

/**
 * Policies that a node may copy for: those of the captures that it has reported, and those of programs
 * that it was told. Also where a guest is not there yet: it may come while nobody hears the node.
 * @param names names of all policies by uid; only called if the set of policies has changed
 */
export function copyingOf(
  before: Pick<KeptNode, 'copying' | 'told'>,
  captures: readonly CaptureStatus[],
  names: () => ReadonlyMap<string, string>,
): KeptNode['copying'] {
  const { told } = before;
  const known = new Map([...before.copying, ...(told?.policies ?? [])].map((policy) => [policy.uid, policy.name]));
  const reported = captures.flatMap(({ capture }) => policyOfId(capture) ?? []);
  const uids = new Set([...reported, ...(told?.policies ?? []).map(({ uid }) => uid)]);
  if (uids.size === before.copying.length && before.copying.every(({ uid }) => uids.has(uid))) {
    return before.copying;
  }
  const all = names();
  return [...uids].sort().map((uid) => ({ uid, name: all.get(uid) ?? known.get(uid) ?? uid }));
}

/** Adds an item as the latest one, and forgets the oldest. @param most items that are remembered */
export function remember(all: Set<string>, gone: string, most: number): void {
  all.delete(gone);
  all.add(gone);
  for (const id of all) {
    if (all.size <= most) {
      break;
    }
    all.delete(id);
  }
}

/** Numbers by interface id. The object has no prototype, because "constructor" is a valid id. */
export function byId(from: Record<string, number> = {}): Record<string, number> {
  return Object.assign(Object.create(null), from);
}
