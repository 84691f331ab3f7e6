/** What a report of counters changes of a node. For `LiveNodes`, which alone writes nodes. */
import type { CountersMessage } from '@mirrorplane/contract';
import type { CounterJudge, RefusedCounts } from './counter-totals.ts';
import type { KeptNode } from './live-node.ts';
import type { Readings } from './readings.ts';

/** Milliseconds that refused counters stay a problem of their node. */
const REFUSED_COUNTERS_MS = 60_000;

interface Taking {
  /** Says which counters are believed. */
  judge: CounterJudge;
  /** Whether there is a plan, without which the judge knows less. */
  isPlanned: boolean;
  /** Milliseconds since 1970. */
  now: number;
  /** Readings of another node. */
  readingsOf(name: string): Readings | undefined;
}

/** Takes a report, or the part of one that a message is. @returns what was refused */
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
  // A report in several messages is complete with the reading.
  node.unseen &&= reading === undefined || !isPlanned;
  node.completeAt = reading || node.completeAt === undefined ? now : node.completeAt;
  return refused;
}

/**
 * Keeps that some counters were refused, for a while; with `message` undefined, none were.
 * @param now milliseconds since 1970
 * @returns whether none were refused before
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
