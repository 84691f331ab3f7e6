/** The values of which messages are made. */
import * as z from 'zod';

/** The values in a message, by their names. With the code they give the message, also in another language. */
export const Params = z
  .record(z.string(), z.union([z.string(), z.number(), z.array(z.string()), z.record(z.string(), z.number())]))
  .meta({ id: 'Params', description: 'The values in the message, by their names.' });
/** Counts by name are shown as `overBudget 5, feedback 1`. */
export type Params = z.infer<typeof Params>;
