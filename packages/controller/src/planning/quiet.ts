/** Waits while many are about to say something. */
import { setImmediate as nextTick } from 'node:timers/promises';

/**
 * Resolves when it is quiet, or when it may wait no longer.
 * @param isBurst whether so many are about to say something that it is better to hear them first
 * @param mayWait false: an edit waits for what follows
 * @param limitMs the longest wait, milliseconds
 */
export async function quiet(isBurst: () => boolean, mayWait: () => boolean, limitMs: number): Promise<void> {
  const ends = performance.now() + limitMs;
  while (isBurst() && mayWait() && performance.now() < ends) {
    await nextTick();
  }
}
