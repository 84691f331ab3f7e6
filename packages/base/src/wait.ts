/** Waiting with a limit. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Milliseconds to wait at most. Default 10,000 */
  limitMs?: number;
  /**
   * Milliseconds between the first two checks. The pause grows to ten times this value. Default 5
   */
  pauseMs?: number;
  signal?: AbortSignal | undefined;
}

/** Results of `check` that mean: not yet. */
type Nothing = undefined | null | false;

/**
 * Waits until `check` returns a value other than undefined, null or false.
 * @param what names the awaited condition in the error message
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
