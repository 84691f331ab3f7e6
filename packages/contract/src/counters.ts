/**
 * Names of everything that is counted. The C enums in packages/bpf/src/types.h list the same names
 * in the same order.
 */
import * as z from 'zod';
import { boundedList, Id, MAX_CAPTURE_STATUSES, MAX_COUNT, MAX_LANES, MAX_PEERS, Word } from './bounds.ts';
import { Name } from './names.ts';
import { plainRows } from './plain-counters.ts';

/**
 * Why a matched packet was not copied. Order and number are those of `enum drop_reason` in types.h.
 * - `cloneFailed`: the kernel had no memory for the copy.
 * - `destinationDown`: the device of the destination or the mirror device is absent or down, or it
 *   refused the copy.
 * - `tooBigForDestination`: the packet is not TCP, and larger than the MTU of the local or edge
 *   device.
 * - `tooBigForUnderlay`: a super-packet whose segments do not fit into the underlay MTU.
 * - `gsoUnsupported`: a super-packet that can neither be wrapped whole nor be segmented by the
 *   kernel.
 * - `vlanUnsupported`: more VLAN tags than a copy can carry, or a tagged super-packet of a kind
 *   that cannot be copied.
 * - `noNeighbour`: the link-layer address of the next hop was not known. Only nodes of earlier
 *   versions count it.
 * - `encapFailed`: the kernel refused to make room for the headers.
 * - `noDelivery`: the delivery does not exist at the moment, because the program is being changed.
 * - `overBudget`: the policy, the device or the node has used up its budget.
 * - `feedback`: the destination has sent the packet itself: it is a copy that it got before.
 */
export const DROP_REASONS = [
  'cloneFailed',
  'destinationDown',
  'tooBigForDestination',
  'tooBigForUnderlay',
  'gsoUnsupported',
  'vlanUnsupported',
  'noNeighbour',
  'encapFailed',
  'noDelivery',
  'overBudget',
  'feedback',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/**
 * Why a packet on a mirrored device did not match. Order as in `enum skip_reason` in types.h.
 * - `isCopy`: the packet is a copy itself (loop guard), or a copy that a switch has brought back.
 *   At an edge, all frames with a VLAN ID that edges of other nodes push on copies count as such
 *   copies.
 * - `sameVlan`: the packet carries the VLAN ID that the policy pushes.
 * - `hostTraffic`: on an edge: management, storage or overlay traffic of the node itself.
 * - `guestAbsent`: during a live migration, the packet was sent into a device whose guest is on
 *   another node now.
 */
export const SKIP_REASONS = ['isCopy', 'sameVlan', 'hostTraffic', 'guestAbsent'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/**
 * Why a received ERSPAN packet was not delivered. Order as in `enum termination_drop` in types.h.
 * Packets of an unknown sender are left to the node, and counted in `unknownErspan`. Unproven
 * packets of a known sender are refused, and counted by sender (`PeerReport`).
 * - `malformed`: the packet is shorter than its headers say, or its headers contradict each other.
 * - `destinationDown`, `tooBigForDestination`, `decapFailed`: the destination could not be given
 *   the copy.
 * - `feedback`: the destination has sent the packet itself: it is a copy that it got before.
 */
export const TERMINATION_DROP_REASONS = [
  'malformed',
  'destinationDown',
  'tooBigForDestination',
  'decapFailed',
  'feedback',
] as const;
export type TerminationDropReason = (typeof TERMINATION_DROP_REASONS)[number];

/**
 * Why ERSPAN with the address of another node was not believed, and so delivered to no one. Order
 * as in `enum copy_refusal` in types.h.
 * - `staleSession`: no policy has the session any more, or another policy has it now.
 * - `wrongAddress`: it was sent to an address of this node that does not belong to the policy.
 * - `wrongSecret`: its session and generation are those of a policy, its secret is not.
 * - `wrongDevice`: no route to the node goes by the device that it arrived at.
 * - `tooFar`: it has passed more routers than there are between nodes.
 * - `oddHeader`: it has IP options or is a fragment. No node sends such a copy.
 */
export const COPY_REFUSALS = [
  'staleSession',
  'wrongAddress',
  'wrongSecret',
  'wrongDevice',
  'tooFar',
  'oddHeader',
] as const;
export type CopyRefusal = (typeof COPY_REFUSALS)[number];

/**
 * Packets as they are on the wire, and bytes of their Ethernet frames. A super-packet counts as its
 * segments.
 */
const amount = z
  .number()
  .min(0)
  .max(MAX_COUNT)
  // Not int(): its limit is 2^53. A link of 100 Gbit/s exceeds 2^53 bytes after eight days.
  .refine(Number.isInteger, 'use a whole number')
  .meta({ type: 'integer' });
export const Count = z.object({ packets: amount, bytes: amount }).meta({ id: 'Count' });
export type Count = z.infer<typeof Count>;

/**
 * `matched = sampledOut + copied + sum of dropped`. `truncated` is a share of `copied`. Absent
 * reasons are 0.
 */
export const CaptureCounts = z
  .object({
    matched: Count,
    sampledOut: Count,
    copied: Count,
    truncated: Count,
    dropped: z.partialRecord(z.enum(DROP_REASONS), Count),
    skipped: z.partialRecord(z.enum(SKIP_REASONS), Count),
  })
  .meta({ id: 'CaptureCounts' });
export type CaptureCounts = z.infer<typeof CaptureCounts>;

const life = z.number().int().optional().meta({
  description:
    'Changes when counting starts again from 0 within the epoch, after a time in which the program had no such entry.',
});

/**
 * Bytes that ERSPAN type II adds to a copy: outer Ethernet 14, IPv4 20, GRE 8 and ERSPAN 8. Each
 * outer packet has these headers once.
 */
export const ERSPAN_OVERHEAD = 50;

/** Counts of one source and direction of one policy on one node, since `epoch` began. */
export const CaptureReport = z.object({
  number: z
    .number()
    .int()
    .min(0)
    .max(MAX_CAPTURE_STATUSES - 1)
    .optional()
    .meta({ description: 'Stands for this row on this connection from now on: see `CounterNumbers`.' }),
  policy: Id,
  source: Id,
  direction: z.enum(['inbound', 'outbound']),
  life,
  counts: CaptureCounts,
});
export type CaptureReport = z.infer<typeof CaptureReport>;

/**
 * What left a node by a delivery. For ERSPAN, `packets` are outer packets after segmentation, and
 * `bytes` include the outer headers.
 */
export const DeliveryReport = z.object({
  delivery: Id,
  policy: Id,
  life,
  sent: Count,
  feedback: Count.optional().meta({
    description:
      'Frames that the guest of the destination sent with source addresses that it got in copies. Absent: none.',
  }),
  numbered: z.array(amount).max(MAX_LANES).optional().meta({
    description: 'How many numbers of each lane were given to copies. Absent: none, or by an earlier agent.',
  }),
});
export type DeliveryReport = z.infer<typeof DeliveryReport>;

/**
 * What arrived from another node, and what became of it. Bytes are without the outer headers.
 * `received = delivered + relayed + sum of dropped`.
 */
export const TerminationReport = z.object({
  termination: Id,
  policy: Id,
  node: Name.meta({ description: 'The node that sent the copies.' }),
  life,
  received: Count,
  delivered: Count,
  relayed: Count.default({ packets: 0, bytes: 0 }).meta({
    description: 'Relayed to the target node. That node counts these copies as received again.',
  }),
  dropped: z.partialRecord(z.enum(TERMINATION_DROP_REASONS), Count),
  missing: Count.optional().meta({
    description: 'Sequence numbers that did not arrive, one for each packet. bytes: not known, always 0.',
  }),
  late: Count.optional().meta({
    description: 'Part of `missing`: numbers that arrived later. bytes: not known, always 0.',
  }),
  expected: z.array(amount).max(MAX_LANES).optional().meta({
    description:
      'The number that comes next in each lane, 1 to 2^28, after which numbers begin again. 0: nothing has come in this lane. Absent: not told by an earlier agent.',
  }),
});
export type TerminationReport = z.infer<typeof TerminationReport>;

/** Unproven ERSPAN packets of another node that this node has refused, by `COPY_REFUSALS`. */
export const PeerReport = z.object({
  address: z.ipv4().meta({ description: 'Underlay address of the sender.' }),
  staleSession: amount,
  wrongAddress: amount,
  // Earlier agents do not count these.
  wrongSecret: amount.default(0),
  wrongDevice: amount.default(0),
  tooFar: amount.default(0),
  oddHeader: amount.default(0),
});
export type PeerReport = z.infer<typeof PeerReport>;

/** Packets that were refused for any reason. */
export function refusedOf(peer: PeerReport): number {
  return COPY_REFUSALS.reduce((sum, reason) => sum + peer[reason], 0);
}

const plain = plainRows({ drops: DROP_REASONS, skips: SKIP_REASONS, terminationDrops: TERMINATION_DROP_REASONS });

/**
 * All counters of a node. They grow as long as `epoch` stays the same; a new epoch starts again
 * from 0.
 */
export const CounterReport = z.object({
  epoch: Word,
  captures: boundedList(CaptureReport, MAX_CAPTURE_STATUSES, plain.isCapture),
  deliveries: boundedList(DeliveryReport, MAX_CAPTURE_STATUSES, plain.isDelivery),
  terminations: boundedList(TerminationReport, MAX_CAPTURE_STATUSES, plain.isTermination),
  peers: boundedList(PeerReport, MAX_PEERS).default([]).meta({ description: 'Senders of which packets were refused.' }),
  unknownErspan: amount.meta({ description: 'ERSPAN packets of unknown senders. They are left to the node.' }),
});
export type CounterReport = z.infer<typeof CounterReport>;

/** A count of nothing. */
export const ZERO: Count = Object.freeze({ packets: 0, bytes: 0 });

/** The sum of two counts. */
export function addCount(a: Count, b: Count): Count {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}
