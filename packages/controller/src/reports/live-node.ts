/** One node, as its agent described it last, and what of that outlives the controller. */
import {
  type CaptureStatus,
  type CounterReading,
  type Device,
  type DeviceBudget,
  type NodeProblem,
  policyOfId,
  type Underlay,
} from '@mirrorplane/contract';
import type { NodeStateRecord } from '../store/records.ts';
import { CounterTotals } from './counter-totals.ts';
import { Readings } from './readings.ts';

/** Interfaces that had a device on a node of which that is remembered. */
const MAX_FORMER = 4096;
/** And so many of them are kept over a restart of the controller. */
const MAX_FORMER_KEPT = 256;

/** What the agent said last, of which the record in the store has all: one of an older controller may lack some. */
type Said = Omit<NodeStateRecord, 'former'> & Required<Pick<NodeStateRecord, 'running' | 'claimed' | 'copying'>>;

/** One node as `LiveNodes` keeps it, which alone writes it. */
export interface KeptNode extends Said {
  name: string;
  connected: boolean;
  /** When the connection ended, or the controller started. Milliseconds since 1970. */
  disconnectedAt: number;
  /** Claims of the node that are refused, and those of others to what it has. */
  contests: NodeProblem[];
  /** Interfaces to which the claim of the node was accepted at the last judgement. */
  granted: ReadonlySet<string>;
  /** Those that it was believed to have and is not now, those that went last behind. Not all of them: see `MAX_FORMER`. */
  former: Set<string>;
  /** The agent was away, and has not reported counters in whole since. */
  unseen: boolean;
  /** When the agent was heard last before the present connection; milliseconds since 1970. */
  heardBefore?: number | undefined;
  appliedRevision?: number | undefined;
  /** Last status message; undefined until one came. */
  captures?: CaptureStatus[] | undefined;
  problems: NodeProblem[];
  /** Why the agent that tried to connect last was turned away; undefined where it was not. */
  rejection?: NodeProblem | undefined;
  /** An underlay that the agent offers and that is not taken, and why. */
  refusedUnderlay?: { offered: Underlay; problem: NodeProblem } | undefined;
  /** The last agent that was refused because this one answers, and when. */
  second?: { problem: NodeProblem; at: number } | undefined;
  counters: CounterTotals;
  /** What its devices leave for copies, as of the last report. */
  budgets: DeviceBudget[];
  /** Which reading of the agent `counters` has taken last; undefined: none that it wants to hear of. */
  reading?: CounterReading | undefined;
  /** When a whole report of counters was taken last, milliseconds since 1970; undefined: not since the start. */
  completeAt?: number | undefined;
  /** Counters that were refused, and when last. */
  refusedCounters?: { message: string; at: number } | undefined;
  readings: Readings;
  /** Time of the last counters, ISO 8601: they were read then, or later. */
  countersAt?: string | undefined;
  /** True where the record in the store is behind. */
  dirty: boolean;
}

/** One node as all others see it: `LiveNodes` has a method for each change. */
export type LiveNode = Readonly<Omit<KeptNode, 'counters' | 'readings' | 'former'>> & {
  readonly counters: Pick<CounterTotals, 'sums' | 'previous'>;
  readonly readings: Pick<Readings, 'sent' | 'arrivedBefore' | 'surplusSince'>;
  readonly former: ReadonlySet<string>;
};

/** A node of which nothing is known yet. @param now milliseconds since 1970 */
export function newNode(name: string, now: number): KeptNode {
  return {
    name,
    connected: false,
    disconnectedAt: now,
    devices: [],
    copying: [],
    unseen: false,
    seen: byId(),
    running: byId(),
    claimed: byId(),
    contests: [],
    granted: new Set(),
    former: new Set(),
    problems: [],
    budgets: [],
    counters: new CounterTotals(),
    readings: new Readings(),
    dirty: false,
  };
}

/** What has to outlive the controller. */
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

/** Takes over what was kept when the controller ran last. @returns the highest number in it */
export function restore(node: KeptNode, record: NodeStateRecord): number {
  Object.assign(node, record);
  node.former = new Set(record.former);
  node.seen = byId(record.seen);
  node.running = byId(record.running);
  node.claimed = byId(record.claimed ?? record.seen);
  node.copying = record.copying ?? [];
  return [node.seen, node.running, node.claimed]
    .flatMap((numbers) => Object.values(numbers))
    .reduce((highest, number) => Math.max(highest, number), 0);
}

/**
 * Since when a node sees each interface, its guest running, and claims it, after it has listed its devices.
 * @param nextNumber gives a number that is higher than all before
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
      // All that is new of one device has one number: so a device that was never seen without its guest can be told.
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
  return { seen, running, claimed };
}

/**
 * Policies that a node copies for.
 * @param names names of all policies by uid; asked only where the node copies for policies other than before
 */
export function copyingOf(
  before: LiveNode,
  captures: readonly CaptureStatus[],
  names: () => ReadonlyMap<string, string>,
): KeptNode['copying'] {
  const known = new Map(before.copying.map((policy) => [policy.uid, policy.name]));
  const capturing = captures.filter(({ state }) => state === 'capturing');
  const uids = new Set(capturing.flatMap(({ capture }) => policyOfId(capture) ?? []));
  if (uids.size === known.size && [...uids].every((uid) => known.has(uid))) {
    return before.copying;
  }
  const all = names();
  return [...uids].sort().map((uid) => ({ uid, name: all.get(uid) ?? known.get(uid) ?? uid }));
}

/** Adds what was before and is not now to `former`, and forgets what went first. Returns whether anything was added. */
export function remember(former: Set<string>, before: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  const gone = [...before].filter((id) => !now.has(id));
  for (const id of gone) {
    former.delete(id);
    former.add(id);
  }
  for (const id of former) {
    if (former.size <= MAX_FORMER) {
      break;
    }
    former.delete(id);
  }
  return gone.length > 0;
}

/** Numbers by the id of an interface. Without a prototype, for "constructor" is a good id. */
export function byId(from: Record<string, number> = {}): Record<string, number> {
  return Object.assign(Object.create(null), from);
}
