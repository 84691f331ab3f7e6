/** Applies counter reports to a node. Only `LiveNodes` uses this, because only it writes nodes. */
import type { CountersMessage } from '@mirrorplane/contract';
import type { CounterJudge, RefusedCounts } from './counter-totals.ts';
import type { KeptNode } from './live-node.ts';
import type { Readings } from './readings.ts';

/** Milliseconds that refused counters stay a problem of their node. */
const REFUSED_COUNTERS_MS = 60_000;

interface Taking {
  /** Decides which counters are accepted. */
  judge: CounterJudge;
  /** Whether a plan exists. Without one, the judge knows less. */
  isPlanned: boolean;
  /** Milliseconds since 1970. */
  now: number;
  /** Readings of another node. */
  readingsOf(name: string): Readings | undefined;
}

/** Adds a report, or a part of one. @returns the refused counts */
export function takeCounters(
  node: KeptNode,
  { reading, report, budgets }: CountersMessage,
  { judge, isPlanned, now, readingsOf }: Taking,
): RefusedCounts {
  const refused = node.counters.take(report, judge);
  node.reading = reading;
  node.budgets = budgets ?? [];
  const readAt = node.readings.readAt(reading, now);
  if (!node.readings.isPart(reading)) {
    node.countersAt = new Date(readAt).toISOString();
    node.readings.take(node.name, node.counters.ends(), { readAt, now }, readingsOf);
  }
  // A report in several messages is complete when the reading arrives.
  node.unseen &&= reading === undefined || !isPlanned;
  node.completeAt = reading || node.completeAt === undefined ? now : node.completeAt;
  return refused;
}

/**
 * Records a refusal of counters for a while. With `message` undefined, no counter was refused.
 * @param now milliseconds since 1970
 * @returns whether there was no refusal before
 */
export function noteRefusedCounters(node: KeptNode, message: string | undefined, now: number): boolean {
  const before = node.refusedCounters;
  if (message !== undefined) {
    node.refusedCounters = { message, at: now };
    return before === undefined;
  }
  if (before && now - before.at > REFUSED_COUNTERS_MS) {
    node.refusedCounters = undefined;
  }
  return false;
}
