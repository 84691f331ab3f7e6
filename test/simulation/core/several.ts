/** Which schedules have several controllers. */
import { Random } from './random.ts';

/** Share of the schedules that have several controllers. */
const SEVERAL = 0.25;

/** Whether the schedule of a seed has several controllers. */
export function hasSeveral(seed: number): boolean {
  return new Random(seed, 5).chance(SEVERAL);
}
