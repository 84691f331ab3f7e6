/** The result of a test of a policy: what became of probes of each size, from each node with sources. */
import * as z from 'zod';
import { ReasonCode } from './errors.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { Params } from './params.ts';
import { ProbeSize } from './probes.ts';

/**
 * What became of the probes of one size of one node. `delivered`: all reached the destination whole.
 * `cut`: they reached it shortened. `died`: some did not reach it. `unknown`: a node has not said.
 */
export const ProbeOutcome = z.enum(['delivered', 'cut', 'died', 'unknown']).meta({ id: 'ProbeOutcome' });
export type ProbeOutcome = z.infer<typeof ProbeOutcome>;

const packets = (description: string) =>
  z
    .number()
    .int()
    .nullable()
    .meta({ description: `${description} Null: not known.` });

/** One size of probes from one node. Packets as on the wire: a super-packet counts as its segments. */
export const PolicyTestRow = z
  .object({
    node: Name.meta({ description: 'The node with sources, where the probe was made.' }),
    to: Name.meta({ description: 'The node of the destination.' }),
    size: ProbeSize,
    length: z.number().int().nullable().meta({ description: 'Bytes of the probe as one frame. Null: none was made.' }),
    made: packets('Packets that were made.'),
    sent: packets(
      'Packets that left the node, or went into the destination there; a probe may be sent in smaller segments.',
    ),
    arrived: packets('Packets that arrived at the node of the destination.'),
    delivered: packets('Packets that were handed to the device of the destination.'),
    outcome: ProbeOutcome,
    place: z.enum(['source', 'way', 'destination']).optional().meta({
      description:
        'Where the probe died, or was cut: on the node with sources, between the nodes, or on the node of the destination. Absent: nowhere, or not known.',
    }),
    code: ReasonCode.optional().meta({ description: 'Absent: the probe was delivered whole.' }),
    message: z.string().optional(),
    params: Params.optional(),
    remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
  })
  .meta({ id: 'PolicyTestRow' });
export type PolicyTestRow = z.infer<typeof PolicyTestRow>;

/** The result of a test. */
export const PolicyTest = z
  .object({
    policy: Name,
    destination: InterfaceId,
    by: z.string().meta({ description: 'Who asked for the test, as the audit log names them.' }),
    beganAt: Timestamp,
    endedAt: Timestamp,
    outcome: ProbeOutcome.meta({ description: 'The worst of all rows: died, then unknown, then cut.' }),
    rows: z.array(PolicyTestRow).meta({ description: 'By node, then by size.' }),
    untested: z.array(Name).meta({ description: 'Nodes with sources that were left out, because there are too many.' }),
  })
  .meta({ id: 'PolicyTest' });
export type PolicyTest = z.infer<typeof PolicyTest>;
