/** What the controller that leads tells agents of itself and the others. */
import * as z from 'zod';
import { boundedList, Text } from './bounds.ts';

/** The most controllers of a cluster. Three are usual. */
export const MAX_CONTROLLERS = 16;

/** Grows from each leader to the next. */
export const Term = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48);

/**
 * Sent by a controller that leads others, first on each connection, and when the list changes. An
 * agent takes nothing from a leader of a lower term than the highest that it knows: another one
 * leads by now.
 */
export const LeaderMessage = z.object({
  type: z.literal('leader'),
  term: Term,
  controllers: boundedList(Text, MAX_CONTROLLERS).meta({
    description: 'HOST:PORT of all controllers that run, as agents reach them.',
  }),
});
export type LeaderMessage = z.infer<typeof LeaderMessage>;

/** WebSocket close code of a controller that does not lead any more. */
export const CLOSE_NO_LEADER = 4010;
