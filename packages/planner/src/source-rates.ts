/** What each source of a policy has been copied lately, in a second. */
import { addCount, type Count } from '@mirrorplane/contract';
import type { Observation } from './observation.ts';

/** Copies in a second. */
interface SourceRate {
  packetsPerSecond: number;
  bitsPerSecond: number;
}

/**
 * The mean rates since the previous counters, by source. A source is absent if its rate is unknown: a node has not reported it
 * twice, or has started again.
 */
export function sourceRates(uid: string, { counters, nodes, previous }: Observation): Map<string, SourceRate> {
  const bySource = Map.groupBy(counters.get(uid)?.captures ?? [], ({ report }) => report.source);
  const rates = new Map<string, SourceRate>();
  for (const [source, captures] of bySource) {
    const parts = captures.map(({ node, report, before }) => {
      const ms = Date.parse(nodes.get(node)?.countersAt ?? '') - Date.parse(previous.get(node)?.at ?? '');
      return before && ms > 0 ? perSecond(report.counts.copied, before.counts.copied, ms / 1000) : undefined;
    });
    const known = parts.filter((part) => part !== undefined);
    if (known.length === parts.length) {
      const { packets, bytes } = known.reduce(addCount);
      rates.set(source, { packetsPerSecond: Math.round(packets * 10) / 10, bitsPerSecond: Math.round(bytes * 8) });
    }
  }
  return rates;
}

function perSecond(now: Count, before: Count, seconds: number): Count {
  return { packets: (now.packets - before.packets) / seconds, bytes: (now.bytes - before.bytes) / seconds };
}
