/**
 * What arrived of that which was sent from one node to another, and what was lost. The one place where it is derived: API,
 * command line and metrics show these numbers. The two nodes are read at different moments, and copies are on their way.
 */
import { erspanDeliveryId, type PathStatus, type TerminationReport, terminationId } from '@mirrorplane/contract';
import {
  type ArrivalReading,
  type NodeReport,
  type Observation,
  type PathCounters,
  type PolicyCounters,
  pathKey,
} from './observation.ts';

/** Milliseconds after which what was sent has arrived, or never will. */
const FLIGHT_MS = 300;

type Ends = Pick<PathStatus, 'from' | 'to'>;

/** What the receiver of a path had counted at a moment. */
export interface Arrival {
  /** Undefined where it had not counted anything for the path. */
  report: TerminationReport | undefined;
  /** ISO 8601; undefined where the receiver has reported nothing. */
  at: string | undefined;
}

/**
 * What had arrived when the sender was read last, or a moment before. So it is never more than was sent, unless copies come
 * twice. While the sender says nothing, what has arrived since cannot be compared, and is shown as it is.
 *
 * @returns null where it is not known yet
 */
export function arrivalOn(
  { from, to }: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  { nodes }: Pick<Observation, 'nodes'>,
): Arrival | null {
  const sender = nodes.get(from);
  if (!sender?.arrivedBefore || !isHeard(sender) || !countersOf({ from, to }, counters)?.delivery) {
    return { report: countersOf({ from, to }, counters)?.termination?.report, at: nodes.get(to)?.countersAt };
  }
  const reading = sender.arrivedBefore.get(to);
  return reading ? { report: reportOf(reading, uid, from), at: reading.at } : null;
}

/** The sender is there, and has reported since the controller was started. */
function isHeard({ connected, sent }: NodeReport): boolean {
  return connected && (sent?.length ?? 0) > 0;
}

/**
 * Packets that were sent and neither delivered nor relayed: at least so many. What the receiver has now is compared with what
 * the sender had sent a moment before the receiver was read. On a path that loses nothing that is 0 at all times. What
 * sequence numbers show is lost is known at once.
 *
 * @returns null where it is not known
 */
export function lostOn(
  { from, to }: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  { nodes }: Pick<Observation, 'nodes'>,
): number | null {
  const sender = nodes.get(from);
  const receiver = nodes.get(to);
  const report = countersOf({ from, to }, counters)?.termination?.report;
  const sent = sentBefore(sender, receiver?.countersAt, erspanDeliveryId(uid, to));
  if (sent === undefined || receiver?.counters === undefined) {
    return null;
  }
  return Math.max(0, sent - arrived(report), missed(report));
}

/** Packets that are sure to have been lost since the counters of before, and all that were ever; undefined where none were lately. */
export function lostLately(
  path: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  observation: Pick<Observation, 'nodes' | 'previous'>,
): { lately: number; ever: number } | undefined {
  const there = countersOf(path, counters)?.termination;
  const lost = lostOn(path, uid, counters, observation);
  const byNumber = outstanding(there?.report) - outstanding(there?.before);
  const bySum = (lost ?? 0) - mostLostBefore(path, uid, counters, observation);
  const lately = Math.max(byNumber, bySum);
  return lately > 0 ? { lately, ever: lost ?? missed(there?.report) } : undefined;
}

/** No more than these were lost then: what was on its way counts as lost. So growth is never overstated. */
function mostLostBefore(
  path: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  { previous }: Pick<Observation, 'previous'>,
): number {
  const sent = countersOf(path, counters)?.delivery?.before?.sent.packets ?? 0;
  if (sent === 0) {
    return 0;
  }
  const reading = previous.get(path.from)?.arrivedBefore?.get(path.to);
  if (!reading) {
    return Number.POSITIVE_INFINITY;
  }
  const report = reportOf(reading, uid, path.from);
  return Math.max(sent - arrived(report), missed(report));
}

function countersOf({ from, to }: Ends, counters: PolicyCounters | undefined): PathCounters | undefined {
  return counters?.paths.get(pathKey(from, to));
}

function reportOf({ terminations }: ArrivalReading, uid: string, from: string): TerminationReport | undefined {
  return terminations.get(terminationId(uid, from));
}

function sentBefore(sender: NodeReport | undefined, readAt: string | undefined, delivery: string): number | undefined {
  if (readAt === undefined) {
    return undefined;
  }
  const latest = Date.parse(readAt) - FLIGHT_MS;
  const reading = sender?.sent?.findLast(({ at }) => Date.parse(at) <= latest);
  return reading && (reading.packets.get(delivery) ?? 0);
}

/** Packets that came out at the end of a path, or were passed on to the next node. */
export function arrived(report: TerminationReport | undefined): number {
  return report ? report.delivered.packets + report.relayed.packets : 0;
}

/** Sequence numbers that never came. */
function outstanding({ missing, late }: Partial<TerminationReport> = {}): number {
  return Math.max(0, (missing?.packets ?? 0) - (late?.packets ?? 0));
}

/** Sequence numbers that never came, and copies that came and could not be delivered. */
function missed(report: TerminationReport | undefined): number {
  if (!report) {
    return 0;
  }
  const dropped = Object.values(report.dropped).reduce((sum, count) => sum + (count?.packets ?? 0), 0);
  return outstanding(report) + dropped;
}
