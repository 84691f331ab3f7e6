/** The answer of a finding: its sentence, and the evidence for it. Pure. */
import {
  FINDING_LIMITS,
  type FindingAnswer,
  type FindingConversation,
  type FindingCounts,
  type FindingDrops,
  type FindingPacket,
  HeardDrop,
  NO_FINDING_COUNTS,
} from '@mirrorplane/contract';
import type { Circumstances, Ends } from './circumstances.ts';
import { type Conversations, type Sighting, WAYS, type Way } from './conversations.ts';
import { kindOf, type ToldDrop } from './drops.ts';
import { greatest } from './extremes.ts';
import { verdictOf } from './judge.ts';
import type { Loss } from './losses.ts';
import { countPlace } from './place.ts';
import { sentenceOf } from './sentence.ts';
import { type Talk, talksOf } from './talks.ts';

/** All that a finding has seen and heard. */
export interface Seen {
  conversations: Conversations;
  drops: readonly ToldDrop[];
  around: Circumstances;
  ends: Ends;
  /** MAC addresses of the second interface are known. */
  isKnown: boolean;
  /** Packets that can be compared at most. */
  most: number;
}

/** What there is to say, and what shows it. */
export function answerOf({ conversations, drops, around, ends, isKnown, most }: Seen): FindingAnswer {
  const { conversations: sorted, unanswered, sentElsewhere } = conversations.sorted();
  const talks = talksOf(sorted, drops);
  const verdict = verdictOf({ talks, unanswered, sentElsewhere, isKnown }, around);
  const counts = { there: totalOf(talks, 'there'), back: totalOf(talks, 'back') };
  const said = sentenceOf(verdict, {
    ends,
    nodes: around.nodes,
    seconds: around.seconds,
    sent: { there: sentOn(talks, 'there'), back: sentOn(talks, 'back') },
    lost: { there: lostOn(talks, 'there'), back: lostOn(talks, 'back') },
    sentElsewhere,
    most,
  });
  const packets = talks.flatMap(lostOf).sort((a, b) => a.sighting.number - b.sighting.number);
  const { cause, undetermined, way, node, device } = verdict;
  return {
    cause,
    ...(undetermined && { undetermined }),
    ...said,
    ...(way && { way }),
    ...(node && { node }),
    ...(device && { device }),
    ...counts,
    conversations: talks
      .toSorted((a, b) => weightOf(b) - weightOf(a))
      .slice(0, FINDING_LIMITS.conversations)
      .map(conversationOf),
    conversationCount: talks.length,
    packets: packets.slice(0, FINDING_LIMITS.packets).map(packetOf),
    packetCount: packets.length,
    drops: dropKinds(talks),
    sentElsewhere,
    lookLost: around.lookLost.map(({ node, lost }) => ({ node, packets: lost })),
  };
}

/** Those that tell most about a fault come first. */
function weightOf({ losses, foreign, sent, attempts }: Talk): number {
  const lost = losses.reduce((total, { packets }) => total + packets, 0);
  const refused = attempts.filter(({ answer }) => answer !== 'accepted').length;
  return (lost + foreign.there.length + foreign.back.length + refused) * 1e9 + sent.there + sent.back;
}

function sentOn(talks: readonly Talk[], way: Way): number {
  return talks.reduce((total, { sent }) => total + sent[way], 0);
}

function lostOn(talks: readonly Talk[], way: Way): number {
  const losses = talks.flatMap(({ losses: own }) => own.filter((loss) => loss.way === way));
  return losses.reduce((total, { packets }) => total + packets, 0);
}

function conversationOf(talk: Talk): FindingConversation {
  const { protocol, from, to } = talk.conversation;
  const attempts = talk.attempts.filter(({ counted }) => counted);
  const longest = (key: 'wholeUs' | 'guestUs') => {
    const times = attempts.flatMap((attempt) => attempt[key] ?? []);
    return times.length > 0 ? greatest(times) : undefined;
  };
  const [handshakeUs, guestUs] = [longest('wholeUs'), longest('guestUs')];
  return {
    protocol,
    from,
    to,
    there: countsOf(talk, 'there'),
    back: countsOf(talk, 'back'),
    attempts: {
      all: attempts.length,
      accepted: attempts.filter(({ answer }) => answer === 'accepted').length,
      refused: attempts.filter(({ answer }) => answer === 'refused').length,
    },
    ...(handshakeUs !== undefined && { handshakeUs }),
    ...(guestUs !== undefined && { guestUs }),
  };
}

function countsOf({ conversation, losses, foreign }: Talk, way: Way): FindingCounts {
  const counted = (place: Sighting['place']) => countPlace(conversation[way][place].filter((one) => one.counted));
  const lost = (stretch: Loss['stretch']) =>
    losses.reduce((total, loss) => total + (loss.way === way && loss.stretch === stretch ? loss.packets : 0), 0);
  const sent = counted('sent');
  return {
    sent: sent.packets,
    arrived: counted('arrived').packets,
    delivered: counted('delivered').packets,
    lostBefore: lost('lostBefore'),
    lostBehind: lost('lostBehind'),
    lostAtDevice: lost('lostAtDevice'),
    retransmissions: sent.retransmissions,
    resets: sent.resets,
    foreignResets: foreign[way].filter((one) => one.counted).length,
    zeroWindows: sent.zeroWindows,
  };
}

function totalOf(talks: readonly Talk[], way: Way): FindingCounts {
  const total: FindingCounts = { ...NO_FINDING_COUNTS };
  for (const counts of talks.map((talk) => countsOf(talk, way))) {
    for (const name of Object.keys(total) as (keyof FindingCounts)[]) {
      total[name] += counts[name];
    }
  }
  return total;
}

/** A packet that the answer may show. */
interface Shown extends Pick<FindingPacket, 'what' | 'way' | 'packets'> {
  sighting: Sighting;
  drop?: ToldDrop;
}

function lostOf({ losses, foreign }: Talk): Shown[] {
  const lost = losses.flatMap(({ missing, stretch, way, drop }) =>
    missing.map(({ sighting, packets }) => ({ sighting, packets, what: stretch, way, ...(drop && { drop }) })),
  );
  const refused = WAYS.flatMap((way) =>
    foreign[way]
      .filter(({ counted }) => counted)
      .map((sighting) => ({ sighting, packets: sighting.packets, what: 'foreignReset' as const, way })),
  );
  return [...lost, ...refused];
}

function packetOf({ sighting, packets, what, way, drop }: Shown): FindingPacket {
  const { number, at, node, device, place, length, headers } = sighting;
  const { protocol, source, sourcePort, target, targetPort, tcp } = headers;
  return {
    number,
    at,
    node,
    device,
    place,
    way,
    protocol,
    source: { address: source, port: sourcePort },
    target: { address: target, port: targetPort },
    ...(tcp && { sequence: tcp.sequence }),
    length,
    packets,
    what,
    ...(drop && { drop: HeardDrop.parse(drop) }),
  };
}

/** Drops that explain losses, by what the kernels say of them. */
function dropKinds(talks: readonly Talk[]): FindingDrops[] {
  const told = talks.flatMap(({ losses }) =>
    losses.flatMap(({ drop, way, packets }) => (drop ? [{ drop, way, packets }] : [])),
  );
  return [...Map.groupBy(told, ({ drop, way }) => `${way} ${kindOf(drop)}`).values()]
    .map((group) => ({
      way: group[0]!.way,
      packets: group.reduce((total, { packets }) => total + packets, 0),
      first: HeardDrop.parse(group.reduce((first, { drop }) => (drop.at < first.at ? drop : first), group[0]!.drop)),
    }))
    .sort((a, b) => b.packets - a.packets)
    .slice(0, FINDING_LIMITS.drops);
}
