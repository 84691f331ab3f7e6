/** What a policy would make of the traffic of the last minute. */
import * as z from 'zod';
import { Name } from './names.ts';

/** Seconds over which the traffic of an interface is a mean. */
export const TRAFFIC_SECONDS = 60;

const rate = z.object({ packetsPerSecond: z.number(), bitsPerSecond: z.number() });

/** What an interface carries, as the mean of the last minute. */
export const InterfaceTraffic = z
  .object({
    inbound: rate.meta({ description: 'Received by the interface.' }),
    outbound: rate.meta({ description: 'Sent by the interface.' }),
    unread: z.number().nullable().meta({
      description:
        'Packets a second for its guest that its device dropped, because the guest had not read earlier ones. Null: this kind of device does not say.',
    }),
    seconds: z.number().meta({
      description: `Seconds of which it is the mean: ${TRAFFIC_SECONDS}, or fewer where less is known.`,
    }),
  })
  .meta({
    id: 'InterfaceTraffic',
    description:
      'Traffic of an interface, as its device counts it: a super-packet is one packet. Mean of the last minute.',
  });
export type InterfaceTraffic = z.infer<typeof InterfaceTraffic>;

const share = z.number().nullable();

/** Frames that would be too large. The kernel counts no sizes: what is known is the mean. */
const tooLarge = z
  .object({
    above: z.number().int().meta({ description: 'Frames with more bytes than this.' }),
    atMost: share.meta({ description: 'No more than this share of all frames can be so large. Null: not known.' }),
  })
  .optional();

/** What one node would do. */
export const NodeForecast = z
  .object({
    node: Name,
    sources: z.number().int().meta({ description: 'Sources that have their guest there, with a known rate.' }),
    unknown: z.number().int().meta({ description: 'Sources there whose rate is not known.' }),
    way: z.enum(['local', 'edge', 'erspan']).meta({
      description: 'How copies leave: into a device of the node, by an edge of the node, or to another node.',
    }),
    copies: rate.meta({ description: 'Copies without headers of the way.' }),
    wireBitsPerSecond: z.number().meta({ description: 'The same on the wire of the uplink, with all headers.' }),
    uplink: z
      .object({
        device: z.string(),
        bitsPerSecond: z.number().nullable().meta({ description: 'Its speed. Null: not known.' }),
        shareBefore: share.meta({ description: 'Share of the speed in use now. Null: not known.' }),
        shareAfter: share.meta({ description: 'Share of the speed with the copies that are not held back.' }),
      })
      .optional()
      .meta({ description: 'Absent: copies do not leave the node, or its agent does not report the device.' }),
    givesWay: share.meta({
      description: 'Share of the copies that would be dropped as `overBudget`. Null: not known.',
    }),
    why: z
      .enum(['maxRate', 'uplink', 'speedUnknown', 'uplinkUnknown', 'ratesUnknown'])
      .optional()
      .meta({ description: 'Why copies give way, or why it is not known. Absent: none give way.' }),
    cut: tooLarge.meta({
      description: 'Copies that would be truncated to fit into the underlay. TCP is segmented instead where it can be.',
    }),
    dropped: tooLarge.meta({
      description: 'Copies that would be dropped as `tooBigForDestination`. TCP is segmented instead where it can be.',
    }),
  })
  .meta({ id: 'NodeForecast' });
export type NodeForecast = z.infer<typeof NodeForecast>;

/** What a policy would make of the traffic of the last minute. */
export const Forecast = z
  .object({
    seconds: z.number().nullable().meta({ description: 'Seconds of which rates are means: the fewest. Null: none.' }),
    sourceCount: z.number().int(),
    unknownCount: z.number().int().meta({ description: 'Sources whose rate is not known. They are in no sum.' }),
    unknown: z
      .array(
        z.object({
          interface: z.string().meta({ description: 'As the request names it. It may be no id at all.' }),
          why: z.enum(['absent', 'noReport']),
        }),
      )
      .meta({ description: 'The first of them. absent: no device now. noReport: its agent has not told twice.' }),
    originals: rate.meta({ description: 'What the sources carried in the directions of the policy.' }),
    copies: rate.meta({ description: 'Copies that the policy would ask for.' }),
    givesWay: share.meta({ description: 'Share of all copies that would be dropped as `overBudget`.' }),
    nodes: z.array(NodeForecast),
  })
  .meta({
    id: 'Forecast',
    description: 'What a policy would make of the traffic of the last minute. It is no promise: traffic changes.',
  });
export type Forecast = z.infer<typeof Forecast>;
