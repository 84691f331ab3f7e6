/** Chains of policies: the destination of one is a source of the next. */
import { sortedBy } from './order.ts';

/** The part of a policy that matters for chains. */
export interface ChainLink {
  name: string;
  sources: readonly string[];
  destination: string;
}

/** One step of a chain: copies of `from` reach `to` by `policy`. */
export interface ChainStep {
  from: string;
  to: string;
  policy: string;
}

/**
 * The shortest chain by which copies of `candidate` come back to one of its sources. The first step
 * is that of `candidate`. Undefined where there is no chain. A policy whose own source is its
 * destination breaks another rule, and is not a chain. Disabled policies count, because enabling
 * one must not close a cycle.
 */
export function findCycle(candidate: ChainLink, others: readonly ChainLink[]): ChainStep[] | undefined {
  // Most destinations are no source, so that nothing has to be sorted.
  if (!others.some(({ sources }) => sources.includes(candidate.destination))) {
    return undefined;
  }
  const bySource = new Map<string, ChainLink[]>();
  for (const other of sortedBy(others, ({ name }) => name)) {
    for (const source of new Set(other.sources)) {
      const list = bySource.get(source);
      if (list) {
        list.push(other);
      } else {
        bySource.set(source, [other]);
      }
    }
  }
  const own = new Set(candidate.sources);
  const cameBy = new Map<string, ChainStep>();
  const queue = [candidate.destination];
  for (const from of queue) {
    for (const { name, destination: to } of bySource.get(from) ?? []) {
      const step = { from, to, policy: name };
      if (own.has(to)) {
        return [{ from: to, to: candidate.destination, policy: candidate.name }, ...walkBack(step, cameBy)];
      }
      if (to !== candidate.destination && !cameBy.has(to)) {
        cameBy.set(to, step);
        queue.push(to);
      }
    }
  }
  return undefined;
}

function walkBack(last: ChainStep, cameBy: ReadonlyMap<string, ChainStep>): ChainStep[] {
  const steps = [last];
  for (let step = cameBy.get(last.from); step; step = cameBy.get(step.from)) {
    steps.push(step);
  }
  return steps.reverse();
}
