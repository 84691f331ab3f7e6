/**
 * How many copies arrived on a path, and how many were lost. Only this file derives these numbers;
 * API, CLI and metrics show them. The counters of the two nodes are read at different moments, and
 * copies may be in flight between the nodes.
 */
import { erspanDeliveryId, type PathStatus, type TerminationReport, terminationId } from '@mirrorplane/contract';
import { passed, waitedFor } from './lanes.ts';
import {
  type ArrivalReading,
  type Observation,
  type ObservedNode,
  type PathCounters,
  type PolicyCounters,
  pathKey,
  type SentReading,
} from './observation.ts';
import type { PolicyPlan } from './planned.ts';

/** Milliseconds after which a sent copy has arrived, or is lost. */
const FLIGHT_MS = 300;

type Ends = Pick<PathStatus, 'from' | 'to'>;

/** The counters of a path's receiver at one moment. */
export interface Arrival {
  /** Undefined where the receiver had counted nothing for the path. */
  report: TerminationReport | undefined;
  /** ISO 8601; undefined where the receiver has reported nothing. */
  at: string | undefined;
}

/**
 * The receiver's counters at, or shortly before, the last reading of the sender. So they never
 * exceed what was sent, unless copies arrive twice. While the sender does not report, newer
 * counters of the receiver cannot be compared, and are returned unchanged.
 *
 * @returns null while they are unknown
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

/** The sender is connected, and has reported since the controller started. */
function isHeard({ connected, sent }: ObservedNode): boolean {
  return connected && (sent?.length ?? 0) > 0;
}

/**
 * A lower bound of the packets that were sent but neither delivered nor relayed. It compares the
 * newest counters of the receiver with those that the sender had shortly before. On a path without
 * losses the result is always 0. A loss that sequence numbers prove counts at once. A loss that was
 * seen goes down only by copies that come late, or twice.
 *
 * @returns null where the number is unknown
 */
export function lostOn(
  { from, to }: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  { nodes }: Pick<Observation, 'nodes'>,
): number | null {
  const report = countersOf({ from, to }, counters)?.termination?.report;
  return lostBetween(nodes.get(from), nodes.get(to), { from, to, uid }, report);
}

/** @param report of the receiver on the path */
function lostBetween(
  sender: Pick<ObservedNode, 'sent' | 'arrivedBefore'> | undefined,
  receiver: Pick<ObservedNode, 'countersAt' | 'hasCounted'> | undefined,
  path: Ends & { uid: string },
  report: TerminationReport | undefined,
): number | null {
  const sent = readingBefore(sender?.sent, receiver?.countersAt);
  if (sent === undefined || !receiver?.hasCounted) {
    return null;
  }
  const delivery = erspanDeliveryId(path.uid, path.to);
  const bySum = (sent.packets.get(delivery) ?? 0) - arrived(report);
  const latest = sender?.sent?.at(-1)?.numbered?.get(delivery);
  const heard = sender?.arrivedBefore?.get(path.to);
  const earlier = heard && reportOf(heard, path.uid, path.from);
  const runs = { latest, earlier: earlier?.expected };
  const byNumber = missed(report) + waitedFor(sent.numbered?.get(delivery), report?.expected, runs);
  const before = readingBefore(sender?.sent, heard?.at);
  return Math.max(0, bySum, byNumber, lostBefore(before, delivery, earlier, latest));
}

/**
 * What had been lost when the receiver was read before the sender: what the sender had sent
 * shortly before that, and the numbers that have passed since, without what had arrived. Other than
 * `missed`, it has what was lost before the first copy of a lane arrived.
 * @param sent reading of the sender shortly before `report` was read
 * @param report of the receiver, read before the last reading of the sender
 * @param latest numbers of each lane in the last reading of the sender
 */
function lostBefore(
  sent: SentReading | undefined,
  delivery: string,
  report: TerminationReport | undefined,
  latest: readonly number[] | undefined,
): number {
  if (!report?.expected || !sent || !latest) {
    return 0;
  }
  const numbers = passed(sent.numbered?.get(delivery) ?? [], report.expected, latest);
  return (sent.packets.get(delivery) ?? 0) + numbers - arrived(report);
}

/**
 * Packets lost for certain since the previous counters, and all lost packets so far. Undefined
 * without a recent loss.
 */
export function lostLately(
  path: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  observation: Pick<Observation, 'nodes' | 'previous'>,
): { lately: number; ever: number } | undefined {
  const there = countersOf(path, counters)?.termination;
  const lost = lostOn(path, uid, counters, observation);
  const byNumber =
    outstanding(there?.report) - outstanding(there?.before) - waitedBefore(path, uid, counters, observation);
  const bySum = (lost ?? 0) - mostLostBefore(path, uid, counters, observation);
  const lately = Math.max(byNumber, bySum);
  return lately > 0 ? { lately, ever: lost ?? missed(there?.report) } : undefined;
}

/**
 * Numbers that were waited for at the time of the previous counters, and so were told as lost then.
 * When their lane speaks again, however long after, the receiver counts them as missing.
 */
function waitedBefore(
  path: Ends,
  uid: string,
  counters: PolicyCounters | undefined,
  { nodes, previous }: Pick<Observation, 'nodes' | 'previous'>,
): number {
  const readings = nodes.get(path.from)?.sent;
  const sent = readingBefore(readings, previous.get(path.to)?.at) ?? readings?.[0];
  const delivery = erspanDeliveryId(uid, path.to);
  const given = sent?.numbered?.get(delivery);
  return waitedFor(given, countersOf(path, counters)?.termination?.before?.expected);
}

/**
 * An upper bound of the packets lost at the time of the previous counters. Copies in flight count
 * as lost, so that the growth is never overstated.
 */
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

/** What losses of paths follow from, of one node. */
export interface PathEnd extends Pick<ObservedNode, 'sent' | 'arrivedBefore' | 'countersAt' | 'hasCounted'> {
  /** What has arrived, by termination id. */
  terminations: ReadonlyMap<string, TerminationReport>;
}

/** What was lost on each path of a plan of which it is known. @param endOf by name of the node */
export function pathLosses(
  { uid, paths }: PolicyPlan,
  endOf: (node: string) => PathEnd | undefined,
): (Ends & { lost: number })[] {
  return paths.flatMap(({ from, to }) => {
    const receiver = endOf(to);
    const report = receiver?.terminations.get(terminationId(uid, from));
    const lost = lostBetween(endOf(from), receiver, { from, to, uid }, report);
    return lost === null ? [] : [{ from, to, lost }];
  });
}

function countersOf({ from, to }: Ends, counters: PolicyCounters | undefined): PathCounters | undefined {
  return counters?.paths.get(pathKey(from, to));
}

function reportOf({ terminations }: ArrivalReading, uid: string, from: string): TerminationReport | undefined {
  return terminations.get(terminationId(uid, from));
}

/** The last reading of a sender whose copies have arrived, or are lost, at a time. */
function readingBefore(readings: readonly SentReading[] | undefined, at: string | undefined): SentReading | undefined {
  if (at === undefined) {
    return undefined;
  }
  const latest = Date.parse(at) - FLIGHT_MS;
  return readings?.findLast((one) => timeOf(one) <= latest);
}

/** A reading is not changed, and its time is asked for by each path. */
const times = new WeakMap<object, number>();

/** Milliseconds since 1970. */
function timeOf(reading: { at: string }): number {
  const time = times.get(reading) ?? Date.parse(reading.at);
  times.set(reading, time);
  return time;
}

/** Packets that were delivered, or relayed to the next node. */
export function arrived(report: TerminationReport | undefined): number {
  return report ? report.delivered.packets + report.relayed.packets : 0;
}

/** Sequence numbers that have not arrived. */
function outstanding({ missing, late }: Partial<TerminationReport> = {}): number {
  return Math.max(0, (missing?.packets ?? 0) - (late?.packets ?? 0));
}

/** Sequence numbers that have not arrived, and copies that arrived but could not be delivered. */
function missed(report: TerminationReport | undefined): number {
  if (!report) {
    return 0;
  }
  const dropped = Object.values(report.dropped).reduce((sum, count) => sum + (count?.packets ?? 0), 0);
  return outstanding(report) + dropped;
}
