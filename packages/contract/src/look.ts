/** A look as a resource: what is asked for, and how far it has come. */
import * as z from 'zod';
import { Text } from './bounds.ts';
import { LOOK_LIMITS } from './look-limits.ts';
import { COPY_FATES, LOOK_ENDS } from './looks.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { TrafficDirection } from './policy.ts';

/** Characters of the comment of a look. */
export const MAX_LOOK_COMMENT = 256;

const asked = {
  interfaces: z
    .array(InterfaceId)
    .min(1, 'give at least one interface')
    .max(LOOK_LIMITS.interfaces, `a look has at most ${LOOK_LIMITS.interfaces} interfaces; a policy may have more`)
    .optional()
    .meta({ description: 'Interfaces to look at. Either these, or a policy.' }),
  policy: Name.optional().meta({ description: 'The policy whose sources are looked at.' }),
};
const words = z
  .string()
  .max(LOOK_LIMITS.words)
  .meta({
    description: 'Capture words: which packets are asked for. Empty: all. They look behind VLAN tags.',
    examples: ['tcp port 5432 and host 10.0.0.7'],
  });
const fates = z.array(z.enum(COPY_FATES)).max(COPY_FATES.length).meta({
  description: 'Only packets whose copy had one of these fates. Absent: all.',
});
const packetRate = z
  .number()
  .int()
  .min(1)
  .max(LOOK_LIMITS.packetRate)
  .meta({ description: 'Packets a second on each node, at most.' });
const comment = z.string().max(MAX_LOOK_COMMENT).meta({
  description: 'What it is for. The audit log and the events have it.',
});

/** The request for a look. */
export const LookCreate = z
  .strictObject({
    ...asked,
    words: words.default(''),
    fates: fates.optional(),
    payload: z
      .boolean()
      .default(false)
      .meta({
        description: `True: up to ${LOOK_LIMITS.payloadBytes} bytes of a packet, with what guests say to each other. False: ${LOOK_LIMITS.headerBytes} bytes.`,
      }),
    packetRate: packetRate.default(LOOK_LIMITS.packetRate),
    comment: comment.default(''),
  })
  .meta({ id: 'LookCreate', examples: [{ interfaces: ['web-1/0', 'db-1/0'], words: 'tcp port 5432' }] });
export type LookCreate = z.infer<typeof LookCreate>;

const count = z.number().int().nonnegative();

/**
 * Packets of a look since it began: seen = written + overRate + ringFull, and written = received +
 * lostOnTheWay + those that are still on their way to the controller.
 */
export const LookTotals = z
  .object({
    seen: count.meta({ description: 'Packets that the look asks for.' }),
    written: count.meta({ description: 'Packets that a node has taken down.' }),
    overRate: count.meta({ description: 'Left out: the look was over its rate.' }),
    ringFull: count.meta({ description: 'Left out: the agent read too slowly.' }),
    lostOnTheWay: count.meta({
      description: 'Taken down, but not received: the controller read too slowly, or did not believe what came.',
    }),
    received: count.meta({ description: 'Packets that the controller has got.' }),
    dropsHeard: count.meta({ description: 'Drops of these packets that kernels told.' }),
    dropsLost: count.meta({ description: 'Of these drops, those of which no more is known than their number.' }),
  })
  .meta({ id: 'LookTotals' });
export type LookTotals = z.infer<typeof LookTotals>;

/** A place where a look sees nothing, or not all. */
export const LookUnseen = z
  .object({
    device: z.string().max(64),
    direction: TrafficDirection.exclude(['all']).optional().meta({ description: 'Absent: both.' }),
    message: Text.meta({ description: 'Why, and what to do.' }),
  })
  .meta({ id: 'LookUnseen' });
export type LookUnseen = z.infer<typeof LookUnseen>;

/** The part of a look on one node. */
export const LookNode = z
  .object({
    node: Name,
    state: z.enum(['asked', 'running', 'refused', 'away']).meta({
      description:
        'asked: the node has not answered yet. running: it looks. refused: it cannot, see message. ' +
        'away: it does not look any more: its interfaces have moved, it is disconnected, or the look has ended.',
    }),
    message: Text.optional(),
    counts: LookTotals,
    unseen: z.array(LookUnseen),
    unheard: Text.optional().meta({
      description: 'Why the node hears no drops. Absent: it does, or has not answered.',
    }),
  })
  .meta({ id: 'LookNode' });
export type LookNode = z.infer<typeof LookNode>;

/** A bounded view of packets on their way, and whose it is. */
export const Look = z
  .object({
    id: z.string().meta({ description: 'Given by the controller.' }),
    owner: z.string().meta({ description: 'Who looks.' }),
    ...asked,
    words,
    fates: fates.optional(),
    payload: z.boolean(),
    packetRate,
    comment,
    beganAt: Timestamp,
    endsAt: Timestamp.meta({ description: 'When it ends even if it is renewed; once it has ended, when it did.' }),
    leaseEndsAt: Timestamp.meta({ description: 'When it ends if nobody renews it or reads its packets.' }),
    state: z.enum(['running', 'ended']),
    endedBy: z.enum(LOOK_ENDS).optional(),
    nodes: z.array(LookNode),
    totals: LookTotals,
  })
  .meta({ id: 'Look' });
export type Look = z.infer<typeof Look>;

/** A look that sees the traffic of an interface, or has seen it. */
export const LookViewer = z
  .object({
    look: z.string(),
    owner: z.string().meta({ description: 'Who looks.' }),
    isNow: z.boolean(),
    policy: z.string().optional().meta({ description: 'The look is of the sources of this policy.' }),
    from: Timestamp.optional().meta({ description: 'When it began. Absent: before the oldest event.' }),
    until: Timestamp.optional().meta({
      description: 'When it ended. Absent: it has not, or the controller was killed.',
    }),
    message: z.string().meta({ description: 'What is looked at, and the comment.' }),
  })
  .meta({ id: 'LookViewer' });
export type LookViewer = z.infer<typeof LookViewer>;

/** Counts of a look that has seen nothing. */
export const NO_LOOK_TOTALS: Readonly<LookTotals> = {
  seen: 0,
  written: 0,
  overRate: 0,
  ringFull: 0,
  lostOnTheWay: 0,
  received: 0,
  dropsHeard: 0,
  dropsLost: 0,
};
