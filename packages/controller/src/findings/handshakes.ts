/** How TCP connections began, and what became of the attempts. Pure. */
import type { Conversation, Sighting, Way } from './conversations.ts';

/** One end asks the other for a connection, until it gets an answer. */
export interface Attempt {
  /** Way of the SYN. */
  way: Way;
  /** How often the SYN was sent. */
  sent: number;
  first: Sighting;
  /** What the other end itself has sent as its answer. */
  answer: 'accepted' | 'refused' | 'none';
  /** Whether the SYN was seen at the device of the other end. */
  delivered: boolean;
  /** Whether it was sent early enough that the answer would have been seen. */
  counted: boolean;
  /** Microseconds from the first SYN to the answer, at the device of who asks, by one clock. */
  wholeUs?: number;
  /** Of these, at the device of the other end: how long its guest took. */
  guestUs?: number;
}

/** The attempts of a conversation, one for each initial sequence number. */
export function attemptsOf(conversation: Conversation): Attempt[] {
  return [...attemptsOn('there', conversation), ...attemptsOn('back', conversation)];
}

function attemptsOn(way: Way, conversation: Conversation): Attempt[] {
  const asking = conversation[way];
  const answering = conversation[way === 'there' ? 'back' : 'there'];
  const bySequence = Map.groupBy(asking.sent.filter(isSyn), sequenceOf);
  const answers = firstBy(answering.sent.filter(isAnswer), askedBy);
  const receivedOnes = firstBy([...answering.delivered, ...answering.arrived].filter(isAnswer), askedBy);
  const delivered = firstBy(asking.delivered.filter(isSyn), sequenceOf);
  return [...bySequence].map(([sequence, [first, ...again]]) => {
    const answer = answers.get(sequence);
    const received = receivedOnes.get(sequence);
    const asked = delivered.get(sequence);
    return {
      way,
      first: first!,
      sent: 1 + again.length,
      answer: answer === undefined ? 'none' : answer.headers.tcp!.rst ? 'refused' : 'accepted',
      delivered: asked !== undefined,
      counted: first!.counted,
      ...timeBetween('wholeUs', first, received),
      ...timeBetween('guestUs', asked, answer),
    };
  });
}

function timeBetween<K extends string>(
  key: K,
  from: Sighting | undefined,
  to: Sighting | undefined,
): Partial<Record<K, number>> {
  // Two nodes have two clocks, so times of two nodes are never compared.
  const isOneClock = from !== undefined && to !== undefined && from.node === to.node && to.at >= from.at;
  return isOneClock ? ({ [key]: to.at - from.at } as Partial<Record<K, number>>) : {};
}

function isSyn({ headers: { tcp } }: Sighting): boolean {
  return tcp?.syn === true && !tcp.ack;
}

/** A SYN with ACK, or a reset with one. */
function isAnswer({ headers: { tcp } }: Sighting): boolean {
  return tcp?.ack === true && (tcp.syn || tcp.rst);
}

function sequenceOf({ headers }: Sighting): number {
  return headers.tcp!.sequence;
}

/** Sequence number of the SYN that this acknowledges, and nothing more (RFC 9293, 3.5). */
function askedBy({ headers }: Sighting): number {
  return (headers.tcp!.acknowledged - 1) >>> 0;
}

function firstBy(sightings: readonly Sighting[], key: (one: Sighting) => number): Map<number, Sighting> {
  // The last entry of a key counts.
  return new Map(sightings.toReversed().map((one) => [key(one), one]));
}
