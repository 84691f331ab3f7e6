/** The node program: the whole desired state of one node's data plane. Made by the planner, carried out by the agent. */
import * as z from 'zod';
import { DeviceName, InterfaceId, MAX_SESSION, Name } from './names.ts';
import { TrafficDirection } from './policy.ts';

/**
 * This interface, this direction, belongs to that policy. A node holds the captures of its whole pool: one whose
 * interface has no device on the node rests until it has.
 */
export const Capture = z.object({
  id: z.string().meta({ description: 'policy uid and source id, joined by "/": unique within the program.' }),
  policy: z.string().meta({ description: 'uid of the policy.' }),
  source: InterfaceId,
  kind: z.enum(['vm', 'nfv', 'edge']).meta({ description: 'kind of the source: tells which hook is inbound.' }),
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

const deliveryBase = {
  id: z.string(),
  policy: z.string(),
  maxRate: z.number().optional().meta({ description: 'Mbit/s of copies that this node may make for the policy.' }),
};

/** Into a local device. */
export const LocalDelivery = z.object({ ...deliveryBase, kind: z.literal('local'), interface: InterfaceId });
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
  remoteMtu: z.number().int().meta({ description: 'Underlay MTU of the other node, bytes.' }),
  session: z.number().int().min(1).max(MAX_SESSION),
});
/** How copies leave. */
export const Delivery = z.discriminatedUnion('kind', [LocalDelivery, EdgeDelivery, ErspanDelivery]);
export type Delivery = z.infer<typeof Delivery>;

/** ERSPAN from this node with this session becomes that delivery. */
export const Termination = z.object({
  id: z.string(),
  policy: z.string(),
  node: Name,
  address: z.ipv4(),
  session: z.number().int().min(1).max(MAX_SESSION),
  delivery: z.string(),
});
export type Termination = z.infer<typeof Termination>;

/** Tells the agent which of its devices an edge-connected interface is: by name or by MAC address. */
export const EdgeBinding = z.object({
  interface: InterfaceId,
  device: DeviceName.optional(),
  mac: z.string().optional(),
});
export type EdgeBinding = z.infer<typeof EdgeBinding>;

/** Desired state of one node. Level-triggered: applying it twice changes nothing. */
export const NodeProgram = z
  .object({
    node: Name,
    revision: z.number().int().meta({ description: 'Grows with every change of the program.' }),
    edges: z.array(EdgeBinding),
    copyVlans: z
      .array(z.number().int().min(1).max(4094))
      .default([])
      .meta({ description: 'VLAN IDs that policies of the communication domain push: an edge does not mirror these.' }),
    captures: z.array(Capture),
    deliveries: z.array(Delivery),
    terminations: z.array(Termination),
  })
  .meta({ id: 'NodeProgram' });
export type NodeProgram = z.infer<typeof NodeProgram>;
