/** What became of the probes of a test, from what nodes have said of their own part. Pure. */
import {
  type Count,
  ERSPAN_OVERHEAD,
  type PolicyTestRow,
  type ProbeCounts,
  type ProbeOutcome,
  type ProbeSize,
  type Said,
  SUPER_PROBE_BYTES,
  say,
  type Underlay,
} from '@mirrorplane/contract';
import type { SourceNode, TestPlan } from './test-plan.ts';

/** What a node has said of its probes. */
export interface NodeAnswer {
  connected: boolean;
  underlay?: Underlay | undefined;
  /** By name of the probe. Empty: it has not answered. */
  counts: ReadonlyMap<string, ProbeCounts>;
  /** Why it could not make a probe, by name. */
  problems: ReadonlyMap<string, string>;
}

/** What rows are made of. */
export interface Answers {
  plan: TestPlan;
  /** id of the destination. */
  destination: string;
  answerOf: (node: string) => NodeAnswer;
}

const ETHERNET = 14;

/** Rows by node, then by size. */
export function rowsOf(answers: Answers): PolicyTestRow[] {
  return answers.plan.sources.flatMap((source) => rowsOfNode(source, answers));
}

/** The worst of all rows. */
export function worstOf(rows: readonly PolicyTestRow[]): ProbeOutcome {
  const has = (outcome: ProbeOutcome) => rows.some((row) => row.outcome === outcome);
  return (['died', 'unknown', 'cut'] as const).find(has) ?? 'delivered';
}

type Verdict = Pick<PolicyTestRow, 'outcome' | 'place'> & { said?: Said<string> };

/** What is known of the smaller probes of the same node. */
interface Before {
  /** One has arrived. */
  arrived: boolean;
  /** One was lost because of its size. */
  lost: boolean;
  /** Bytes of the longest one as a frame; 0: there is none. */
  length: number;
}

/** One probe, with what both nodes have said of it. */
interface Seen {
  size: ProbeSize;
  from: string;
  to: string;
  destination: string;
  /** Bytes as one frame. */
  length: number;
  /** On the node with sources. */
  counts: ProbeCounts;
  end: ProbeCounts | undefined;
  source: NodeAnswer;
  target: NodeAnswer;
  before: Before;
}

function rowsOfNode({ node, probes }: SourceNode, { plan, destination, answerOf }: Answers): PolicyTestRow[] {
  const { to } = plan;
  const source = answerOf(node);
  const target = answerOf(to);
  const before: Before = { arrived: false, lost: false, length: 0 };
  return probes.map(({ probe, size }) => {
    const counts = source.counts.get(probe);
    const end = node === to ? undefined : target.counts.get(probe);
    const base = { node, to, size };
    if (counts === undefined) {
      const said = source.connected ? say('PROBE_UNKNOWN', { node }) : say('NODE_DISCONNECTED', { node });
      return { ...base, length: null, ...NOTHING_KNOWN, outcome: 'unknown', ...said };
    }
    const length = lengthOf(size, counts);
    const seen = { size, from: node, to, destination, length: length ?? 0, counts, end, source, target, before };
    const { said, ...verdict } = judge(seen, source.problems.get(probe));
    const numbers = numbersOf(counts, end, node === to);
    before.arrived ||= (numbers.arrived ?? 0) > 0;
    before.lost ||= said?.code === 'PROBE_LOST_BY_SIZE';
    before.length = length ?? before.length;
    return { ...base, length, ...numbers, ...verdict, ...said };
  });
}

const NOTHING_KNOWN = { made: null, sent: null, arrived: null, delivered: null };

function lengthOf(size: ProbeSize, { made }: ProbeCounts): number | null {
  if (made.packets === 0) {
    return null;
  }
  return size === 'super' ? SUPER_PROBE_BYTES : made.bytes;
}

function numbersOf(counts: ProbeCounts, end: ProbeCounts | undefined, isLocal: boolean) {
  const sent = counts.sent.packets;
  const arrived = isLocal ? sent : (end?.received.packets ?? null);
  const delivered = isLocal ? sent : (end?.delivered.packets ?? null);
  return { made: counts.made.packets, sent, arrived, delivered };
}

function judge(seen: Seen, problem: string | undefined): Verdict {
  const { counts, from, to } = seen;
  if (problem !== undefined || counts.made.packets === 0) {
    const why = problem ?? 'the kernel did not take the frame';
    return { outcome: 'died', place: 'source', said: say('PROBE_NOT_MADE', { maker: from, why }) };
  }
  const dropped = firstOf(counts.dropped);
  if (dropped !== undefined) {
    return { outcome: 'died', place: 'source', said: dropSaid(dropped, from, seen) };
  }
  if (from === to) {
    return { outcome: 'delivered' };
  }
  return judgeWay(seen) ?? judgeCut(seen);
}

/** Behind the node with sources. Undefined: all that was sent has been delivered. */
function judgeWay(seen: Seen): Verdict | undefined {
  const { counts, end, to, target } = seen;
  if (end === undefined) {
    const said = target.connected ? say('PROBE_UNKNOWN', { node: to }) : say('NODE_DISCONNECTED', { node: to });
    return { outcome: 'unknown', said };
  }
  const refused = firstOf(end.refused);
  if (refused !== undefined) {
    return { outcome: 'died', place: 'destination', said: dropSaid(refused, to, seen) };
  }
  if (end.received.packets < counts.sent.packets) {
    return { outcome: 'died', place: 'way', said: lossSaid(seen, end) };
  }
  return undefined;
}

function judgeCut({ counts, length, source, target }: Seen): Verdict {
  if (counts.truncated.packets === 0) {
    return { outcome: 'delivered' };
  }
  const mtus = [source.underlay?.mtu, target.underlay?.mtu].filter((mtu) => mtu !== undefined);
  const needed = length - ETHERNET + ERSPAN_OVERHEAD;
  return {
    outcome: 'cut',
    place: 'source',
    said: say('PROBE_CUT', { length, needed, ...(mtus.length > 0 && { mtu: Math.min(...mtus) }) }),
  };
}

function lossSaid({ counts, from, to, length, size, source, target, before }: Seen, end: ProbeCounts): Said<string> {
  const sent = counts.sent.packets;
  const arrived = end.received.packets;
  // The last segment of a super-packet is short, and may arrive where all others do not.
  if (arrived > 0 && !before.lost) {
    return say('PROBE_LOST_IN_PART', { lost: sent - arrived, sent, from, to });
  }
  if (before.arrived) {
    const whole = (size === 'super' ? before.length : length) - ETHERNET + ERSPAN_OVERHEAD;
    const packet = Math.min(whole, source.underlay?.mtu ?? whole, target.underlay?.mtu ?? whole);
    return say('PROBE_LOST_BY_SIZE', { length, from, to, packet });
  }
  const [sender, receiver] = [source.underlay?.address, target.underlay?.address];
  return say('PROBE_LOST', { from, to, ...(sender && receiver ? { sender, receiver } : {}) });
}

function dropSaid(reason: string, node: string, { from, to, destination, length }: Seen): Said<string> {
  if (reason === 'tooBigForDestination') {
    return say('PROBE_TOO_BIG', { length, destination, node: to, needed: length - ETHERNET });
  }
  if (reason === 'destinationDown') {
    return say('PROBE_DESTINATION_DOWN', node === to ? { destination, node } : { from });
  }
  return say('PROBE_DROPPED', { node, reason });
}

function firstOf(counts: Readonly<Partial<Record<string, Count>>>): string | undefined {
  return Object.entries(counts).find(([, count]) => (count?.packets ?? 0) > 0)?.[0];
}
