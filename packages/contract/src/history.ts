/** Rates, now and over time. The controller makes them of the counters, once for all who ask. */
import * as z from 'zod';
import { DROP_REASONS } from './counters.ts';
import { Name, Timestamp } from './names.ts';
import { StatusReason } from './status.ts';

/** Copies in a second. Null: not known. */
export const Rate = z
  .object({ packetsPerSecond: z.number(), bitsPerSecond: z.number() })
  .nullable()
  .meta({ id: 'Rate', description: 'Copies in a second, without outer headers and pushed tags. Null: not known.' });
export type Rate = z.infer<typeof Rate>;

/** Rates of a policy or a destination, over the last five seconds that are known. */
export const Rates = z
  .object({
    copied: Rate,
    delivered: Rate,
    dropped: z.number().nullable().meta({ description: 'Packets a second that were matched and dropped.' }),
    lost: z.number().nullable().meta({ description: 'Copies a second that were lost between two nodes.' }),
  })
  .meta({ id: 'Rates' });
export type Rates = z.infer<typeof Rates>;

/**
 * How the traffic of a policy is doing, apart from its state. `ok`: it copies, and nothing is lost.
 * `losing`: copies were dropped or lost within the last ten seconds. `throttled`: copies gave way
 * to a budget. `idle`: there was nothing to copy. `unknown`: a node of it has not reported.
 */
export const TrafficHealth = z
  .object({
    state: z.enum(['ok', 'losing', 'throttled', 'idle', 'unknown']),
    reasons: z.array(StatusReason).meta({ description: 'Reasons of the policy that are about its traffic.' }),
  })
  .meta({ id: 'TrafficHealth' });
export type TrafficHealth = z.infer<typeof TrafficHealth>;

/** Points of a sparkline, and seconds of each. */
export const SPARKLINE = { points: 60, step: 5 };
export const Sparkline = z.array(z.number().nullable()).meta({
  id: 'Sparkline',
  description: `Bits a second over the last five minutes, oldest first: ${SPARKLINE.points} points of ${SPARKLINE.step} s. Null: not known.`,
});

const points = z.array(z.number().nullable());
const ends = {
  sentPackets: points,
  sentBits: points,
  arrivedPackets: points.meta({ description: 'Delivered on the other node.' }),
  arrivedBits: points,
};

/** Rates over time, each a list of as many points. A gap is null. */
export const History = z
  .object({
    from: Timestamp.meta({ description: 'Begin of the first point.' }),
    stepMs: z.number().int().meta({ description: 'Milliseconds of each point.' }),
    series: z.object({
      copiedPackets: points.optional(),
      copiedBits: points.optional(),
      deliveredPackets: points,
      deliveredBits: points,
      sentPackets: points.optional(),
      sentBits: points.optional(),
      arrivedPackets: points.optional(),
      arrivedBits: points.optional(),
      dropped: z
        .partialRecord(z.enum(DROP_REASONS), points)
        .optional()
        .meta({ description: 'Packets by reason. A reason that is absent had none.' }),
      lost: points.optional().meta({ description: 'Packets lost between two nodes.' }),
      paths: z
        .array(z.object({ from: Name, to: Name, ...ends, lost: points }))
        .optional()
        .meta({ description: 'Of a policy: each path that carried something.' }),
    }),
    cut: z.boolean().meta({ description: 'True if there was no room to keep all series.' }),
  })
  .meta({ id: 'History', description: 'Rates over time, each a list of as many points: packets or bits a second.' });
export type History = z.infer<typeof History>;
