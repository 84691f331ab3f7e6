/** Conversations with the same service, and what became of them. Pure. */
import { missingAt, wholeOf } from './compare.ts';
import { type Conversation, type Sighting, WAYS, type Way, wireCount } from './conversations.ts';
import { dropsByConversation, type ToldDrop } from './drops.ts';
import { type Attempt, attemptsOf } from './handshakes.ts';
import { baseOf, type Loss, lossesOn } from './losses.ts';

/** A conversation with all that is known of it. */
export interface Talk {
  conversation: Conversation;
  /** Such as `TCP 5432`, or `ICMP`. */
  service: string;
  attempts: Attempt[];
  losses: Loss[];
  /**
   * Resets, and errors of ICMP, that reached the end that the way leads to, and were never sent.
   */
  foreign: Record<Way, Sighting[]>;
  /** Packets that are counted, on the wire. */
  sent: Record<Way, number>;
}

/** Finds out all that conversations have to say, each by itself. */
export function talksOf(conversations: readonly Conversation[], drops: readonly ToldDrop[]): Talk[] {
  const told = dropsByConversation(conversations, drops);
  return conversations.map((conversation) => ({
    conversation,
    service: serviceOf(conversation),
    attempts: conversation.protocol === 'tcp' ? attemptsOf(conversation) : [],
    losses: WAYS.flatMap((way) => lossesOn(way, conversation, told.get(conversation)![way])),
    foreign: { there: foreignOn('there', conversation), back: foreignOn('back', conversation) },
    sent: { there: countedOn('there', conversation), back: countedOn('back', conversation) },
  }));
}

/** Packets that are counted. */
function countedOn(way: Way, conversation: Conversation): number {
  return wireCount(conversation[way].sent.filter(({ counted }) => counted));
}

/** The service is at the end that is asked for connections; else at the lower port. */
function serviceOf(conversation: Conversation): string {
  const { protocol, from, to } = conversation;
  const name = protocol === 'other' ? 'IP' : protocol.toUpperCase();
  if (protocol !== 'tcp' && protocol !== 'udp') {
    return name;
  }
  const asked = WAYS.find((way) => conversation[way].sent.some(({ headers: { tcp } }) => tcp?.syn && !tcp.ack));
  const port = asked === undefined ? Math.min(from.port, to.port) : asked === 'there' ? to.port : from.port;
  return `${name} ${port}`;
}

/** What came on a way in the name of its sender, although the sender has not sent it. */
function foreignOn(way: Way, conversation: Conversation): Sighting[] {
  const { sent, arrived, delivered } = conversation[way];
  const base = baseOf(conversation, way);
  const isReset = ({ headers }: Sighting) => headers.tcp?.rst === true;
  const received = [...arrived.filter(isReset), ...notIn(arrived, delivered.filter(isReset), base)];
  const resets = notIn(sent.filter(isReset), received, base);
  // An error about packets of the one way goes the other way.
  const about = conversation.errors[way === 'there' ? 'back' : 'there'];
  const errors = about.filter(({ headers }) => headers.icmp?.kind === 'unreachable');
  const at = (place: Sighting['place']) => errors.filter((one) => one.place === place);
  const came = [...at('arrived'), ...notIn(at('arrived'), at('delivered'), base)];
  return [...resets, ...notIn(at('sent'), came, base)];
}

/** Those of `seen` that are not in `known`. */
function notIn(known: readonly Sighting[], seen: readonly Sighting[], base: number): Sighting[] {
  return missingAt(wholeOf(seen, base), wholeOf(known, base)).map(({ sighting }) => sighting);
}
