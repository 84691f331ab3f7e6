/** A policy's status: computed from what agents report, never assumed. */
import * as z from 'zod';
import { CaptureCounts, Count } from './counters.ts';
import { ReasonCode } from './errors.ts';
import { InterfaceDevice } from './inventory.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { PolicyType } from './policy.ts';

/**
 * `active`: every source is captured and the destination can be reached. `degraded`: a part of it is not, see reasons.
 * `waiting`: the destination, or every source, has no device now. `ending`: switched off, and a node that may still copy has
 * not confirmed it. `disabled`: switched off, and no node copies any more. `failed`: nothing is copied.
 */
export const PolicyState = z
  .enum(['active', 'degraded', 'waiting', 'ending', 'disabled', 'failed'])
  .meta({ id: 'PolicyState' });
export type PolicyState = z.infer<typeof PolicyState>;

/** Why a policy is not active. Codes are those of the catalogue in errors.ts. */
export const StatusReason = z
  .object({
    code: ReasonCode,
    message: z.string(),
    interface: InterfaceId.optional(),
    node: Name.optional(),
  })
  .meta({ id: 'StatusReason' });
export type StatusReason = z.infer<typeof StatusReason>;

/** One source: its device, whether it is captured, and its counters, summed over the nodes where it has been. */
export const SourceStatus = z.object({
  interface: InterfaceId,
  state: z.enum(['capturing', 'waiting', 'refused', 'pending', 'disabled']),
  devices: z.array(InterfaceDevice),
  inbound: CaptureCounts.optional(),
  outbound: CaptureCounts.optional(),
});
export type SourceStatus = z.infer<typeof SourceStatus>;

/** Between two nodes. Bytes of `sent` are with the outer headers, all others without. */
export const PathStatus = z.object({
  from: Name,
  to: Name,
  sent: Count.nullable().meta({ description: 'Outer packets; bytes with the outer headers.' }),
  sentInner: Count.nullable().meta({
    description: 'The same packets; bytes of the copies in them, without the outer headers, as in `received`.',
  }),
  received: Count.nullable().meta({
    description:
      'Copies; bytes without the outer headers. While the sender is connected: of those in `sent`, so never more, unless copies come twice.',
  }),
  delivered: Count.nullable().meta({ description: 'As `received`.' }),
  lost: z.number().int().nullable().meta({
    description:
      'Packets of `sent` that were neither delivered nor relayed, of those that have had the time to arrive: what is on its way is not among them. Exact at rest; under traffic at least so many. Null while not known.',
  }),
  relayed: Count.optional().meta({
    description: 'Of those received: relayed to the node that the destination has moved to. Absent: none.',
  }),
  missing: Count.nullable().optional().meta({
    description:
      'Sequence numbers that have not come: what the receiver alone can tell of a loss. bytes: not known, 0.',
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
        'Handed to the device of the destination, locally and from other nodes; bytes without outer headers and without a VLAN tag that was pushed. Null while not known.',
    }),
    feedback: Count.optional().meta({
      description:
        'Frames that the guest of the destination sent with addresses of others that were copied. Absent: none.',
    }),
    lost: z.number().int().nullable().meta({ description: 'Sum over all paths; null while one of them is not known.' }),
    sources: z.array(SourceStatus),
    paths: z.array(PathStatus),
    countersAt: Timestamp.nullable().meta({ description: 'Time of the oldest report in the sums; null: none yet.' }),
    stale: z.boolean().meta({ description: 'True where a node of the policy is not connected now.' }),
  })
  .meta({ id: 'PolicyStatus' });
export type PolicyStatus = z.infer<typeof PolicyStatus>;
