/** A policy's status: computed from what agents report, never assumed. */
import * as z from 'zod';
import { CaptureCounts, Count } from './counters.ts';
import { ReasonCode } from './errors.ts';
import { InterfaceDevice } from './inventory.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { Params } from './params.ts';
import { PolicyType } from './policy.ts';

/**
 * `active`: every source is captured, and the destination can be reached. `degraded`: a part is
 * not; the reasons say which. `waiting`: the destination, or every source, has no device now.
 * `ending`: switched off, but a node that may still copy has not confirmed this. `disabled`:
 * switched off, and no node copies any more. `failed`: nothing is copied.
 */
export const PolicyState = z
  .enum(['active', 'degraded', 'waiting', 'ending', 'disabled', 'failed', 'pendingApproval'])
  .meta({ id: 'PolicyState' });
export type PolicyState = z.infer<typeof PolicyState>;

/** Why a policy is not active. Codes are those of the catalogue in errors.ts. */
export const StatusReason = z
  .object({
    code: ReasonCode,
    message: z.string(),
    params: Params.optional(),
    remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
    interface: InterfaceId.optional(),
    node: Name.optional(),
  })
  .meta({ id: 'StatusReason' });
export type StatusReason = z.infer<typeof StatusReason>;

export const SourceState = z
  .enum(['capturing', 'waiting', 'refused', 'pending', 'ending', 'disabled'])
  .meta({ id: 'SourceState' });
export type SourceState = z.infer<typeof SourceState>;

/**
 * One source: its device, whether it is captured, and its counters. The counters are sums over all
 * nodes where the source has been.
 */
export const SourceStatus = z.object({
  interface: InterfaceId,
  state: SourceState,
  devices: z.array(InterfaceDevice),
  inbound: CaptureCounts.optional(),
  outbound: CaptureCounts.optional(),
});
export type SourceStatus = z.infer<typeof SourceStatus>;

/** One path. Bytes of `sent` include the outer headers. Bytes of all other counts do not. */
export const PathStatus = z.object({
  from: Name,
  to: Name,
  sent: Count.nullable().meta({ description: 'Outer packets; bytes with the outer headers.' }),
  sentInner: Count.nullable().meta({
    description:
      'The same packets as `sent`. Bytes are those of the copies, without the outer headers, as in `received`.',
  }),
  received: Count.nullable().meta({
    description:
      'Copies; bytes without the outer headers. While the sender is connected, never more than `sent`, unless copies arrive twice.',
  }),
  delivered: Count.nullable().meta({ description: 'Copies delivered, counted like `received`.' }),
  lost: z.number().int().nullable().meta({
    description:
      'Packets of `sent` that were neither delivered nor relayed. Packets that are still on their way are not included. Exact at rest; a lower bound under traffic. Null: not known.',
  }),
  relayed: Count.optional().meta({
    description: 'Part of `received`: relayed to the target node, to which the destination has migrated. Absent: none.',
  }),
  missing: Count.nullable().optional().meta({
    description:
      'Sequence numbers that have not arrived: the loss as the receiver alone sees it. bytes: not known, always 0.',
  }),
});
export type PathStatus = z.infer<typeof PathStatus>;

export const PolicyStatus = z
  .object({
    name: Name,
    uid: z.string(),
    type: PolicyType,
    state: PolicyState,
    reasons: z.array(StatusReason),
    destination: z.object({ interface: InterfaceId, devices: z.array(InterfaceDevice) }),
    totals: CaptureCounts.meta({ description: 'Sum over all sources and directions.' }),
    delivered: Count.nullable().meta({
      description:
        'Copies handed to the device of the destination, from its own node and from other nodes. Bytes are without outer headers and without a pushed VLAN tag. Null: not known.',
    }),
    feedback: Count.optional().meta({
      description:
        'Frames that the guest of the destination sent with source addresses that it got in copies. Absent: none.',
    }),
    lost: z
      .number()
      .int()
      .nullable()
      .meta({ description: 'Sum over all paths. Null: the value of one path is not known.' }),
    sources: z.array(SourceStatus),
    paths: z.array(PathStatus),
    countersAt: Timestamp.nullable().meta({
      description: 'Time of the oldest report in the sums. Null: no report yet.',
    }),
    stale: z.boolean().meta({ description: 'True if a node of the policy is not connected now.' }),
  })
  .meta({ id: 'PolicyStatus' });
export type PolicyStatus = z.infer<typeof PolicyStatus>;
