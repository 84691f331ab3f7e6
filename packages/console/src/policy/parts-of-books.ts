/** The parts that packets and copies of a policy fall into. Pure. */
import type { CaptureCounts, PolicyStatus } from '../api/types.ts';
import { text } from '../text/index.ts';

const t = text.policy;

/** One part. */
export interface Part {
  label: string;
  packets: number;
  /** Absent: only packets are compared. */
  bytes?: number;
  tone: 'good' | 'bad' | 'quiet' | 'calm' | 'unknown';
  /** Fates of copies that the packets of this part have, as a look takes them. */
  fates?: string;
}

/** The parts of `matched`, in the order in which a packet meets them. */
export function partsOf({ sampledOut, copied, dropped }: CaptureCounts): Part[] {
  const drops = Object.entries(dropped).filter(([, count]) => (count?.packets ?? 0) > 0);
  return [
    { label: t.sampledOut, ...sampledOut, tone: 'quiet', fates: 'sampledOut' },
    { label: t.copied, ...copied, tone: 'good', fates: 'copied' },
    ...drops.map(
      ([reason, count]): Part => ({ label: t.dropped(reason), ...count!, tone: 'bad', fates: `dropped:${reason}` }),
    ),
  ];
}

/**
 * The parts of the copies that were sent to other nodes: delivered, relayed, lost, and what is not
 * known or still on its way. `sent` is null where a node has not told.
 */
export function copiesOf(paths: PolicyStatus['paths']): { sent: number | null; parts: Part[] } {
  const sum = (of: (path: PolicyStatus['paths'][number]) => number | undefined | null) =>
    paths.reduce((all, path) => all + (of(path) ?? 0), 0);
  const isSentKnown = paths.every(({ sent }) => sent !== null);
  const sent = sum((path) => path.sent?.packets);
  const [delivered, relayed] = [sum((path) => path.delivered?.packets), sum((path) => path.relayed?.packets)];
  const lost = sum((path) => path.lost);
  const rest = Math.max(0, sent - delivered - relayed - lost);
  const fates = 'copied';
  return {
    sent: isSentKnown ? sent : null,
    parts: [
      { label: t.delivered, packets: delivered, tone: 'good', fates },
      ...(relayed > 0 ? [{ label: t.relayed, packets: relayed, tone: 'calm', fates } as const] : []),
      { label: t.lost, packets: lost, tone: 'bad', fates },
      ...(rest > 0 ? [{ label: t.unknownPart, packets: rest, tone: 'unknown', fates } as const] : []),
    ],
  };
}
