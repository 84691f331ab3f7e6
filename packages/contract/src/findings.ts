/** Findings: where packets between two interfaces are lost, in one sentence, and what shows it. */
import * as z from 'zod';
import { HeardDrop } from './looked-packet.ts';
import { LOOK_LIMITS, LOOK_PLACES } from './looks.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { Params } from './params.ts';

/** How long a finding looks, seconds. */
export const FINDING_SECONDS = { least: 5, most: 120, usual: 30 } as const;
/** How much of its evidence a finding keeps, and how many findings there are. */
export const FINDING_LIMITS = {
  /** Findings that are kept in memory, the newest. */
  kept: 16,
  /** Findings that are under way at a time. */
  running: 4,
  /** Those of one user with the own tokens. */
  each: 3,
  conversations: 50,
  packets: 200,
  drops: 50,
} as const;

/**
 * What a finding can say.
 * - `nothingLost`: all was delivered and answered.
 * - `filtered`: a rule of a node dropped it. `rateLimited`: a rule with a limit, or a policer.
 * - `shaped`: a queue or a shaper of a node was full.
 * - `ringFull`: the guest does not take packets out of its device.
 * - `tooBig`: longer than a device of a node takes.
 * - `deviceDown`: a device of a node was down, or a port of a bridge that does not forward.
 * - `noRoute`: a node had no route or neighbour for it. `malformed`: the packet itself was wrong.
 * - `portClosed`: the other guest itself refused.
 * - `resetByRule`: somebody refused in the name of the other guest.
 * - `lostBetweenNodes`: it left one node, and did not arrive at the other.
 * - `guestSilent`: it was delivered, and the guest did not answer.
 * - `neverSent`: nothing was sent.
 * - `undetermined`: what was seen does not say.
 */
export const FINDING_CAUSES = [
  'nothingLost',
  'filtered',
  'rateLimited',
  'shaped',
  'ringFull',
  'tooBig',
  'deviceDown',
  'noRoute',
  'malformed',
  'portClosed',
  'resetByRule',
  'lostBetweenNodes',
  'guestSilent',
  'neverSent',
  'undetermined',
] as const;
export type FindingCause = (typeof FINDING_CAUSES)[number];

/**
 * Why a finding is undetermined.
 * - `lookLost`: the look has not seen all packets. `tooMany`: there were more than are compared.
 * - `notSeen`: a place was not looked at. `moved`: an interface changed its node meanwhile.
 * - `kernelSilent`: a node lost packets, and its kernel gave no reason.
 * - `notHeard`: a node cannot hear drops, or not all of them.
 * - `mixed`: there are several causes. `refuserUnknown`: it is not known who has refused.
 * - `addressUnknown`: it is not known which packets are for the other interface.
 */
export const UNDETERMINED_REASONS = [
  'lookLost',
  'tooMany',
  'notSeen',
  'moved',
  'kernelSilent',
  'notHeard',
  'mixed',
  'refuserUnknown',
  'addressUnknown',
] as const;
export type UndeterminedReason = (typeof UNDETERMINED_REASONS)[number];

/** `there`: from the first interface to the second. */
export const FindingWay = z.enum(['there', 'back']);
export type FindingWay = z.infer<typeof FindingWay>;

const words = z
  .string()
  .max(LOOK_LIMITS.words)
  .meta({
    description: 'Capture words: which packets are looked at. Empty: all.',
    examples: ['tcp port 5432'],
  });

/** The request for a finding. */
export const FindingCreate = z
  .strictObject({
    from: InterfaceId,
    to: InterfaceId,
    seconds: z
      .number()
      .int()
      .min(FINDING_SECONDS.least)
      .max(FINDING_SECONDS.most)
      .default(FINDING_SECONDS.usual)
      .meta({ description: 'How long to look, from when all places are looked at.' }),
    words: words.default(''),
  })
  .meta({ id: 'FindingCreate', examples: [{ from: 'web-1/0', to: 'db-1/0', seconds: 30, words: 'tcp port 5432' }] });
export type FindingCreate = z.infer<typeof FindingCreate>;

const count = z.number().int().nonnegative();

/** Packets of one way, as on the wire: of a super-packet its segments. */
export const FindingCounts = z
  .object({
    sent: count.meta({ description: 'Seen at the device of the sender.' }),
    arrived: count.meta({ description: 'Seen where they enter the bridge of the receiver, before a firewall there.' }),
    delivered: count.meta({ description: 'Seen at the device of the receiver, behind the firewall.' }),
    lostBefore: count.meta({ description: 'Sent, and neither seen arriving nor delivered.' }),
    lostBehind: count.meta({ description: 'Arrived, and not delivered.' }),
    lostAtDevice: count.meta({ description: 'Delivered, and then dropped by the device of the receiver.' }),
    retransmissions: count.meta({ description: 'Segments that the sender sent once more.' }),
    resets: count.meta({ description: 'Resets that the sender sent.' }),
    foreignResets: count.meta({
      description: 'Resets, and ICMP errors, that came to the receiver although the other guest has not sent them.',
    }),
    zeroWindows: count.meta({ description: 'How often the sender said that it has no room for data.' }),
  })
  .meta({ id: 'FindingCounts' });
export type FindingCounts = z.infer<typeof FindingCounts>;
/** Counts of a way on which there was nothing. */
export const NO_FINDING_COUNTS: Readonly<FindingCounts> = {
  sent: 0,
  arrived: 0,
  delivered: 0,
  lostBefore: 0,
  lostBehind: 0,
  lostAtDevice: 0,
  retransmissions: 0,
  resets: 0,
  foreignResets: 0,
  zeroWindows: 0,
};

const end = z.object({ address: z.string(), port: count.meta({ description: '0: the protocol has none.' }) });

/** What was seen of packets with the same two ends. */
export const FindingConversation = z
  .object({
    protocol: z.enum(['tcp', 'udp', 'icmp', 'arp', 'other']),
    from: end,
    to: end,
    there: FindingCounts,
    back: FindingCounts,
    attempts: z.object({
      all: count.meta({ description: 'Connections that one end has asked for.' }),
      accepted: count,
      refused: count.meta({ description: 'Refused by the other guest itself.' }),
    }),
    handshakeUs: count.optional().meta({
      description: 'Microseconds from the first SYN to its answer, at the device of who asked. The longest.',
    }),
    guestUs: count.optional().meta({
      description: 'Of these, microseconds that the guest took that was asked. The longest.',
    }),
  })
  .meta({ id: 'FindingConversation' });
export type FindingConversation = z.infer<typeof FindingConversation>;

/** A packet that was lost, or a reset that its sender has not sent. */
export const FindingPacket = z
  .object({
    number: count.meta({ description: 'Of the packet in the look.' }),
    at: count.meta({ description: 'Microseconds since 1970, by the clock of the node.' }),
    node: Name,
    device: z.string(),
    place: z.enum(LOOK_PLACES).meta({ description: 'Where it was seen last.' }),
    way: FindingWay,
    protocol: z.string(),
    source: end,
    target: end,
    sequence: count.optional().meta({ description: 'Of TCP.' }),
    length: count.meta({ description: 'Bytes of the whole frame.' }),
    packets: count.meta({ description: 'How many of it were lost, on the wire.' }),
    what: z.enum(['lostBefore', 'lostBehind', 'lostAtDevice', 'foreignReset']),
    drop: HeardDrop.optional(),
  })
  .meta({ id: 'FindingPacket' });
export type FindingPacket = z.infer<typeof FindingPacket>;

/** Drops of one kind that a kernel has told. */
export const FindingDrops = z
  .object({ way: FindingWay, packets: count, first: HeardDrop })
  .meta({ id: 'FindingDrops' });
export type FindingDrops = z.infer<typeof FindingDrops>;

/** The answer, once there is one. */
export const FindingAnswer = z
  .object({
    cause: z.enum(FINDING_CAUSES),
    undetermined: z
      .enum(UNDETERMINED_REASONS)
      .optional()
      .meta({ description: 'Why, where the cause is undetermined.' }),
    code: z.string(),
    message: z.string().meta({ description: 'The sentence.' }),
    params: Params,
    remedy: z.string().optional(),
    way: FindingWay.optional().meta({ description: 'Which way the cause is on. Absent: on none, or on both.' }),
    node: Name.optional().meta({ description: 'Where the cause is.' }),
    device: z.string().optional(),
    there: FindingCounts,
    back: FindingCounts,
    conversations: z.array(FindingConversation).meta({
      description: `Those with most losses first, at most ${FINDING_LIMITS.conversations}.`,
    }),
    conversationCount: count,
    packets: z.array(FindingPacket).meta({
      description: `What was lost, packet by packet, at most ${FINDING_LIMITS.packets}.`,
    }),
    packetCount: count,
    drops: z.array(FindingDrops),
    sentElsewhere: count.meta({ description: 'Packets that the first interface sent, and not to the second.' }),
    lookLost: z.array(z.object({ node: Name, packets: count })).meta({
      description: 'Packets that the look has lost, by node.',
    }),
  })
  .meta({ id: 'FindingAnswer' });
export type FindingAnswer = z.infer<typeof FindingAnswer>;

/** A search for where packets between two interfaces are lost. */
export const Finding = z
  .object({
    id: z.string(),
    from: InterfaceId,
    to: InterfaceId,
    words,
    seconds: count,
    owner: z.string().meta({ description: 'Who asked for it.' }),
    look: z.string().meta({ description: 'id of the look that sees the packets. It can be read as any other.' }),
    state: z.enum(['starting', 'looking', 'done']).meta({
      description: 'starting: nodes begin to look. looking: until endsAt. done: there is an answer.',
    }),
    beganAt: Timestamp,
    endsAt: Timestamp.optional().meta({ description: 'When it has looked long enough. Absent: it is starting.' }),
    seen: count.meta({ description: 'Packets that the look has seen so far.' }),
    answer: FindingAnswer.optional(),
  })
  .meta({ id: 'Finding' });
export type Finding = z.infer<typeof Finding>;
