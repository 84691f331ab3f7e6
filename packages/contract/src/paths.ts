/** Where the copies of a policy go, who sees an interface, and what destinations get. */
import * as z from 'zod';
import { Count } from './counters.ts';
import { Rate, Rates, Sparkline } from './history.ts';
import { InterfaceKind } from './inventory.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { TrafficDirection } from './policy.ts';
import { PathStatus } from './status.ts';
import { MAX_SUMMARY_ITEMS, NodeState } from './summaries.ts';

/** The way of the copies of a policy, from the nodes of its sources to its destination. */
export const PolicyPath = z
  .object({
    nodes: z.array(
      z.object({
        name: Name,
        state: NodeState.meta({ description: 'ready: the node has confirmed its newest program.' }),
        sourceCount: z.number().int().meta({ description: 'Sources of the policy on this node.' }),
        capturingCount: z.number().int().meta({ description: 'Those that the node captures.' }),
        isEnd: z.boolean().meta({ description: 'Whether the destination is on this node.' }),
      }),
    ),
    hops: z.array(
      PathStatus.extend({
        rates: z.object({ sent: Rate, arrived: Rate, lost: z.number().nullable() }),
      }),
    ),
    destination: z.object({
      id: InterfaceId,
      name: z.string(),
      node: Name.optional(),
      device: z.string().optional(),
      delivered: Count.nullable(),
      rate: Rate,
    }),
  })
  .meta({ id: 'PolicyPath' });
export type PolicyPath = z.infer<typeof PolicyPath>;

/** A policy that copies, or has copied, the traffic of an interface. */
export const Viewer = z
  .object({
    policy: Name,
    isNow: z.boolean().meta({ description: 'Whether the policy has the interface as a source now.' }),
    enabled: z.boolean().optional().meta({ description: 'Absent: the policy is gone.' }),
    direction: TrafficDirection.optional(),
    percent: z.number().optional(),
    destination: z
      .object({ id: InterfaceId, name: z.string() })
      .optional()
      .meta({ description: 'Who gets the copies.' }),
    createdBy: z.string().optional().meta({ description: 'Who created the policy. Absent: not known any more.' }),
    captures: z
      .array(z.object({ node: z.string(), from: Timestamp.optional(), until: Timestamp.optional() }))
      .meta({ description: `When nodes captured it, as the event log knows: the newest ${MAX_SUMMARY_ITEMS}.` }),
  })
  .meta({ id: 'Viewer' });
export type Viewer = z.infer<typeof Viewer>;

/** An interface that is the destination of policies. */
export const DestinationSummary = z
  .object({
    id: InterfaceId,
    name: z.string(),
    kind: InterfaceKind.optional(),
    node: Name.optional(),
    device: z.string().optional(),
    policies: z.array(Name).meta({ description: `Policies that end there: the first ${MAX_SUMMARY_ITEMS}.` }),
    policyCount: z.number().int(),
    delivered: Count.nullable().meta({ description: 'Copies delivered for all of them. Null: not known.' }),
    rates: Rates,
    reading: z
      .object({
        read: z.number().meta({ description: 'Packets a second that the guest has read, copies and others.' }),
        unread: z.number().meta({
          description: 'Packets a second that its device dropped, because the guest had not read earlier ones.',
        }),
      })
      .nullable()
      .meta({
        description: 'Whether the guest keeps up, over the last ten seconds. Null: not known; only a tap says it.',
      }),
    sparkline: Sparkline,
  })
  .meta({ id: 'DestinationSummary' });
export type DestinationSummary = z.infer<typeof DestinationSummary>;
