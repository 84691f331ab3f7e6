/**
 * The node program: the whole desired state of one node's data plane. Made by the planner, carried
 * out by the agent.
 */
import * as z from 'zod';
import { DeviceReference, InterfaceId, MAX_GENERATION, MAX_SECRET, MAX_SESSION, MacAddress, Name } from './names.ts';
import { TrafficDirection } from './policy.ts';
import { Tunnel } from './wireguard.ts';

/**
 * A capture: this interface and this direction belong to that policy. A node has the captures of
 * its whole pool. A capture is inactive while its interface has no device on the node.
 */
export const Capture = z.object({
  id: z.string().meta({ description: 'policy uid and source id, joined by "/": unique within the program.' }),
  policy: z.string().meta({ description: 'uid of the policy.' }),
  source: InterfaceId,
  kind: z.enum(['vm', 'nfv', 'edge']).meta({ description: 'kind of the source: decides which hook is inbound.' }),
  sourceSlot: z
    .number()
    .int()
    .min(0)
    .max(1023)
    .meta({ description: 'position among the sources; goes into the ERSPAN index.' }),
  direction: TrafficDirection,
  percent: z.number().min(0).max(100),
  delivery: z.string().meta({ description: 'id of a delivery of this program.' }),
  skipVlanId: z.number().int().min(1).max(4094).optional().meta({
    description: 'Frames that already carry this outermost VLAN ID are not mirrored.',
  }),
});
export type Capture = z.infer<typeof Capture>;

/**
 * A second delivery on the origin node of a handover. The node uses it while the guest of
 * `interface` is absent there.
 */
export const HandoverDelivery = z.object({
  delivery: z.string().meta({ description: 'id of a delivery of this program.' }),
  interface: InterfaceId,
});
export type HandoverDelivery = z.infer<typeof HandoverDelivery>;

/**
 * A session number and its generation. Policies can have the same number one after another; the
 * generation says which of them is meant.
 */
const sessionNumber = {
  session: z.number().int().min(1).max(MAX_SESSION),
  generation: z.number().int().min(0).max(MAX_GENERATION).meta({
    description: 'Part of the ERSPAN index. A receiver refuses every generation except that of its termination.',
  }),
  secret: z.number().int().min(0).max(MAX_SECRET).optional().meta({
    description:
      'A random number that goes with each copy of the policy. Absent: the sender is of an earlier version, and the receiver does not check it.',
  }),
};

/** Absent for copies in clear text. */
const tunnel = Tunnel.optional().meta({
  description:
    'Copies are encrypted, and `address` is that of the key of the other node. Absent: they are in clear text.',
});

const deliveryBase = {
  id: z.string(),
  policy: z.string(),
  duringHandover: HandoverDelivery.optional().meta({
    description:
      'During a live migration of the destination: the agent uses this automatically, as soon as it sees where the guest is.',
  }),
  maxRate: z.number().optional().meta({ description: 'Mbit/s of copies that this node may make for the policy.' }),
};

/** Into a local device. */
export const LocalDelivery = z.object({
  ...deliveryBase,
  kind: z.literal('local'),
  interface: InterfaceId,
  allowFeedback: z.literal(true).optional().meta({
    description: 'The guest may send on these copies. Absent: they are dropped at its device.',
  }),
});
/** Out of an edge device with a VLAN tag. */
export const EdgeDelivery = z.object({
  ...deliveryBase,
  kind: z.literal('edge'),
  interface: InterfaceId,
  vlanId: z.number().int().min(1).max(4094),
});
/** In ERSPAN to another node. */
export const ErspanDelivery = z.object({
  ...deliveryBase,
  kind: z.literal('erspan'),
  node: Name,
  address: z.ipv4(),
  tunnel,
  remoteMtu: z.number().int().meta({ description: 'Underlay MTU of the other node, bytes.' }),
  destinationMtu: z.number().int().optional().meta({
    description:
      "MTU of the destination's device on the other node, bytes. TCP is cut to this size. Absent: no device there.",
  }),
  lanes: z.literal(true).optional().meta({
    description: 'Each CPU numbers its copies. Absent: one of both nodes has an agent of an earlier version.',
  }),
  ...sessionNumber,
});
/** How copies leave. */
export const Delivery = z.discriminatedUnion('kind', [LocalDelivery, EdgeDelivery, ErspanDelivery]);
export type Delivery = z.infer<typeof Delivery>;

/** ERSPAN from this node with this session, generation and secret becomes that delivery. */
export const Termination = z.object({
  id: z.string(),
  policy: z.string(),
  node: Name,
  address: z.ipv4(),
  tunnel,
  ...sessionNumber,
  delivery: z.string(),
});
export type Termination = z.infer<typeof Termination>;

/** The device of an edge-connected interface, by name or by MAC address. */
export const EdgeBinding = z.object({
  interface: InterfaceId,
  device: DeviceReference.optional(),
  mac: z.string().optional(),
});
export type EdgeBinding = z.infer<typeof EdgeBinding>;

/**
 * An interface with a device on this node while its guest is on another node. `target`: the guest
 * is about to come to this node. `origin`: the guest has left this node. The agent watches for the
 * guest's first frame.
 */
export const Standby = z.object({ interface: InterfaceId, role: z.enum(['origin', 'target']) });
export type Standby = z.infer<typeof Standby>;

/** Copies of guests with this VLAN ID, as they leave edges of other nodes. */
export const GuestCopies = z.object({
  vlanId: z.number().int().min(1).max(4094),
  direction: TrafficDirection.meta({
    description:
      'outbound: a copy has one of the addresses as its source. inbound: as its destination, or goes to many.',
  }),
  macs: z.array(MacAddress),
});
export type GuestCopies = z.infer<typeof GuestCopies>;

/** Desired state of one node. Level-triggered: applying it twice changes nothing. */
export const NodeProgram = z
  .object({
    node: Name,
    revision: z.number().int().meta({ description: 'Grows with every change of the program.' }),
    edges: z.array(EdgeBinding),
    copyVlans: z.array(z.number().int().min(1).max(4094)).default([]).meta({
      description:
        'VLAN IDs that policies of the communication domain push. An edge does not mirror frames with these IDs.',
    }),
    ownCopyVlans: z
      .array(z.number().int().min(1).max(4094))
      .optional()
      .meta({
        description:
          'Part of copyVlans: VLAN IDs that only edges of this node push. Here each copy that comes back is recognised, ' +
          'and all other frames with these VLAN IDs are mirrored. Absent: none.',
      }),
    guestCopies: z
      .array(GuestCopies)
      .optional()
      .meta({
        description:
          'VLAN IDs of copyVlans that edges of other nodes push on copies of guests alone. Frames with other addresses ' +
          'are mirrored. Absent: none.',
      }),
    standby: z.array(Standby).default([]).meta({ description: 'Interfaces of policies that migrate live now.' }),
    handingOver: z.array(InterfaceId).default([]).meta({
      description: 'Interfaces of policies whose guest is here and about to migrate: another node has a newer device.',
    }),
    captures: z.array(Capture),
    deliveries: z.array(Delivery),
    terminations: z.array(Termination),
  })
  .meta({ id: 'NodeProgram' });
export type NodeProgram = z.infer<typeof NodeProgram>;

/**
 * Revision of an empty program that ends all copying of a node which has lost its place: it is of no
 * plan, so no plan can take it for one of its own.
 */
export const UNPLANNED_REVISION = 0;

/** The program of a node that mirrors nothing. */
export function emptyProgram(node: string, revision: number): NodeProgram {
  const nothing = {
    edges: [],
    copyVlans: [],
    standby: [],
    handingOver: [],
    captures: [],
    deliveries: [],
    terminations: [],
  };
  return { node, revision, ...nothing };
}
