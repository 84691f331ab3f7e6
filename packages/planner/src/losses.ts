/** What was lost between two nodes. The one place where it is derived: API, command line and metrics show this number. */
import { erspanDeliveryId, type PathStatus, type TerminationReport } from '@mirrorplane/contract';
import type { NodeReport, Observation, PolicyCounters } from './observation.ts';

/** Milliseconds after which what was sent has arrived, or never will. */
const FLIGHT_MS = 300;

/**
 * Packets that were sent and neither delivered nor relayed. The two nodes report at different moments; so what the receiver
 * has is compared with what the sender had sent a moment before the receiver was read. On a path that loses nothing that is 0
 * at all times. What sequence numbers show is lost is known at once.
 *
 * @returns null where it is not known
 */
export function lostOn(
  { from, to }: Pick<PathStatus, 'from' | 'to'>,
  uid: string,
  counters: PolicyCounters | undefined,
  { nodes }: Pick<Observation, 'nodes'>,
): number | null {
  const sender = nodes.get(from);
  const receiver = nodes.get(to);
  const report = counters?.terminations.find((one) => one.node === to && one.report.node === from)?.report;
  const sent = sentBefore(sender, receiver?.countersAt, erspanDeliveryId(uid, to));
  if (sent === undefined || receiver?.counters === undefined) {
    return null;
  }
  return Math.max(0, sent - arrived(report), missed(report));
}

function sentBefore(sender: NodeReport | undefined, readAt: string | undefined, delivery: string): number | undefined {
  if (readAt === undefined) {
    return undefined;
  }
  const latest = Date.parse(readAt) - FLIGHT_MS;
  const reading = sender?.sent?.findLast(({ at }) => Date.parse(at) <= latest);
  return reading && (reading.packets.get(delivery) ?? 0);
}

function arrived(report: TerminationReport | undefined): number {
  return report ? report.delivered.packets + report.relayed.packets : 0;
}

/** Sequence numbers that never came, and copies that came and could not be delivered. */
function missed(report: TerminationReport | undefined): number {
  if (!report) {
    return 0;
  }
  const dropped = Object.values(report.dropped).reduce((sum, count) => sum + (count?.packets ?? 0), 0);
  return Math.max(0, (report.missing?.packets ?? 0) - (report.late?.packets ?? 0)) + dropped;
}
