/** Waiting with a limit. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Milliseconds after which it is given up. Default 10,000 */
  limitMs?: number;
  /** Milliseconds between two looks at first; they grow to ten times as many. Default 5 */
  pauseMs?: number;
  signal?: AbortSignal | undefined;
}

/** What `check` may give as long as there is nothing yet. */
type Nothing = undefined | null | false;

/**
 * Waits until `check` gives something: anything but undefined, null and false.
 * @param what is waited for, in words, for the error
 * @throws Error `WHAT: not after N ms`, what `check` throws, and the reason of the signal
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  { limitMs = 10_000, pauseMs = 5, signal }: UntilOptions = {},
): Promise<Exclude<T, Nothing>> {
  const end = performance.now() + limitMs;
  for (let pause = pauseMs; ; pause = Math.min(pause * 1.5, pauseMs * 10)) {
    const found = await check();
    if (found !== undefined && found !== null && found !== false) {
      return found as Exclude<T, Nothing>;
    }
    signal?.throwIfAborted();
    if (performance.now() > end) {
      throw new Error(`${what}: not after ${limitMs} ms`);
    }
    await sleep(pause);
  }
}

/** Resolves when the promise is settled, or after `limitMs` milliseconds. Never rejects. */
export async function atMost(promise: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    promise.catch(() => undefined),
    new Promise((resolve) => {
      timer = setTimeout(resolve, limitMs);
    }),
  ]);
  clearTimeout(timer);
}
