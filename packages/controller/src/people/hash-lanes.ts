/**
 * Bounds of the work on passwords. Each hash takes 19 MiB and some hundredths of a second, and
 * strangers can ask for as many as they like. So there are two lanes: one for addresses from which
 * the user has signed in before, one for all others. Strangers fill their own lane alone. In a lane
 * each has one place, so nobody holds up others by asking often.
 */
import { ProblemError } from '../problems/problems.ts';

/** Hashes of a lane at a time, and those that may wait. */
const AT_A_TIME = 1;
const MAX_WAITING = 32;

/** Who asks: from an address that is known, or a stranger. */
export type Lane = 'known' | 'stranger';

interface Queue {
  running: number;
  waiting: (() => void)[];
  /** Who has a hash that runs or waits. */
  busy: Set<string>;
}

export class HashLanes {
  readonly #lanes: Record<Lane, Queue> = {
    known: { running: 0, waiting: [], busy: new Set() },
    stranger: { running: 0, waiting: [], busy: new Set() },
  };

  /**
   * Runs `work` when the lane has room.
   * @param asker who has one place in the lane
   * @throws ProblemError TRIES_EXCEEDED where too many wait or the asker has a place already, and the error of `work`
   */
  async run<T>(lane: Lane, asker: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#lanes[lane];
    if (queue.busy.has(asker)) {
      throw new ProblemError('TRIES_EXCEEDED', 'another try of yours is under way: wait for its answer');
    }
    if (queue.running >= AT_A_TIME && queue.waiting.length >= MAX_WAITING) {
      throw new ProblemError('TRIES_EXCEEDED', 'too many others try to sign in at this moment: try again in a minute');
    }
    queue.busy.add(asker);
    if (queue.running >= AT_A_TIME) {
      await new Promise<void>((resolve) => queue.waiting.push(resolve));
    } else {
      queue.running++;
    }
    try {
      return await work();
    } finally {
      queue.busy.delete(asker);
      // The place goes to the one that has waited for the longest time.
      const next = queue.waiting.shift();
      if (next) {
        next();
      } else {
        queue.running--;
      }
    }
  }
}
