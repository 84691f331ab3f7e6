/**
 * Counters as plain numbers. A row of a capture says its policy, its source and its direction each
 * time: that is most of a report in which everything counts. So an agent gives each row a number when
 * it tells the row whole, and tells its counts by this number from then on. Both ends remember the
 * numbers of one connection.
 */
import * as z from 'zod';
import { MAX_COUNT } from './bounds.ts';

/** How many numbers an item has in each list. */
export const WIDTH = { whole: 3, parts: 9, devices: 6 } as const;
/** The most items of each list. An agent tells the others as rows. */
export const MOST = { whole: 4000, parts: 1000, devices: 2000 } as const;
/** In place of the last count of a device that does not say it. */
export const NOT_SAID = -1;

/** A flat list. Its numbers are checked all at once: there are thousands each second. */
function numbers(name: keyof typeof WIDTH, description: string) {
  const [width, most] = [WIDTH[name], WIDTH[name] * MOST[name]];
  const mayLack = name === 'devices' ? width - 1 : width;
  const isList = (value: unknown): value is number[] => {
    if (!Array.isArray(value) || value.length > most || value.length % width !== 0) {
      return false;
    }
    for (let at = 0; at < value.length; at++) {
      const item = value[at];
      const least = at % width === mayLack ? NOT_SAID : 0;
      if (!(typeof item === 'number' && item >= least && item <= MAX_COUNT && Number.isInteger(item))) {
        return false;
      }
    }
    return true;
  };
  const error = `use at most ${most} whole numbers, ${width} for each item`;
  return z.custom<number[]>(isList, error).optional().meta({ description });
}

export const CounterNumbers = z.object({
  whole: numbers(
    'whole',
    'Captures that copy all that they match: number of the row, and packets and bytes of `matched` and `copied`.',
  ),
  parts: numbers(
    'parts',
    'Other captures: number of the row, and packets and bytes of `matched`, `sampledOut`, `copied` and `truncated`.',
  ),
  devices: numbers(
    'devices',
    'What devices carry: ifindex, packets and bytes of `inbound` and of `outbound`, and `unread` or -1.',
  ),
});
export type CounterNumbers = z.infer<typeof CounterNumbers>;
