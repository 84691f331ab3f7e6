/** What a look shows of a packet: where it was seen, and what became of its copy and of itself. */
import * as z from 'zod';
import { COPY_FATES, LOOK_PLACES } from './looks.ts';
import { InterfaceId, Name } from './names.ts';
import { TrafficDirection } from './policy.ts';

/**
 * Why the kernel dropped an original, in words of an operator.
 * - `rule`: a firewall's rule of the node wanted it. This is not loss.
 * - `rateLimit`: a policer or a rule with a limit.
 * - `queue`: a queue or a shaper was full.
 * - `ring`: the guest did not take its packets out of its device.
 * - `device`: the device, or the bridge port, was down or does not forward.
 * - `tooBig`: it is longer than what the device behind takes.
 * - `noRoute`: no route, no neighbour, or an address that is not accepted here.
 * - `malformed`: the packet itself was wrong.
 * - `unclear`: the kernel gave no reason, or one that can mean several things.
 */
export const DROP_CAUSES = [
  'rule',
  'rateLimit',
  'queue',
  'ring',
  'device',
  'tooBig',
  'noRoute',
  'malformed',
  'unclear',
] as const;
export type DropCause = (typeof DROP_CAUSES)[number];

/** Microseconds since 1970, by the clock of the node. */
const at = z.number().int().nonnegative().meta({ description: 'Microseconds since 1970, by the clock of the node.' });
const packet = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .meta({
    description: 'The same for the same packet at other places. Absent: it is too short to be told from others.',
  });

/** A drop of an original that a node has heard of its kernel while a look was on. */
export const HeardDrop = z
  .object({
    at,
    node: Name,
    packet: packet.optional(),
    cause: z.enum(DROP_CAUSES),
    reason: z.string().max(64).meta({
      description: "The kernel's name of the reason, for example NETFILTER_DROP. Empty: it gave none.",
    }),
    function: z.string().max(128).meta({ description: 'Function of the kernel that dropped it. Empty: not known.' }),
    device: z.string().max(64).meta({ description: 'Device that the packet had then. Empty: none, or not known.' }),
    packets: z.number().int().positive().meta({ description: 'On the wire: of a super-packet its segments.' }),
  })
  .meta({ id: 'HeardDrop' });
export type HeardDrop = z.infer<typeof HeardDrop>;

/**
 * What became of a packet itself, behind the place where it was seen.
 * - `delivered`: it was given to the device of the guest that it is for.
 * - `seenLater`: the look has seen it at a later place of its way.
 * - `dropped`: a kernel has told that it dropped it, see `drop`.
 * - `unknown`: nobody has told. This is not loss.
 */
export const OriginalFate = z
  .object({ state: z.enum(['delivered', 'seenLater', 'dropped', 'unknown']), drop: HeardDrop.optional() })
  .meta({ id: 'OriginalFate' });
export type OriginalFate = z.infer<typeof OriginalFate>;

/** A packet that a look has seen at one place. */
export const LookedPacket = z
  .object({
    number: z.number().int().positive().meta({ description: 'In the order in which the controller got them, from 1.' }),
    at,
    node: Name,
    interface: InterfaceId.meta({ description: 'The interface that is looked at.' }),
    interfaceName: z.string().meta({ description: 'Display name. Empty: not known.' }),
    device: z.string().max(64).meta({ description: 'Device where it was seen.' }),
    place: z.enum(LOOK_PLACES),
    direction: TrafficDirection.exclude(['all']).meta({ description: 'As the interface sees it.' }),
    length: z.number().int().meta({ description: 'Bytes of the whole frame.' }),
    captured: z.number().int().meta({ description: 'Bytes of it that the look has.' }),
    packets: z.number().int().positive().meta({ description: 'On the wire: of a super-packet its segments.' }),
    gsoSize: z.number().int().meta({ description: 'Bytes of payload of a segment; 0: it is no super-packet.' }),
    vlan: z.number().int().min(0).max(4095).optional().meta({ description: 'VLAN ID of the outermost tag.' }),
    packet: packet.optional(),
    copy: z.enum(COPY_FATES),
    original: OriginalFate,
    lostBefore: z.number().int().meta({
      description: 'Packets that the look lost on this node since the packet before, at the least.',
    }),
  })
  .meta({ id: 'LookedPacket' });
export type LookedPacket = z.infer<typeof LookedPacket>;
