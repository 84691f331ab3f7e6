/** Long work in turns with everything else. */
import { setImmediate as nextTick } from 'node:timers/promises';

/** Milliseconds of work until others have their turn. */
const TURN_MS = 5;
/** Milliseconds that work which nobody waits for gives way before each of its turns, at most. */
const GIVES_WAY_MS = 50;

/** Work under way that a caller waits for. */
let awaited = 0;

/** Whether a caller waits for long work that is under way in this process. */
export function isAwaited(): boolean {
  return awaited > 0;
}

/**
 * Runs all steps, a few milliseconds at a time. Somebody waits for the end: what `inTurnsBeside` runs
 * gives way to it. @returns the result of the last step
 */
export async function inTurns<R>(steps: Generator<unknown, R>): Promise<R> {
  awaited++;
  try {
    return await turns(steps, nextTick);
  } finally {
    awaited--;
  }
}

/**
 * Runs all steps, a few milliseconds at a time. Nobody waits for the end: while a caller waits for other
 * work, each turn is put off for a while.
 * @param givesWayMs milliseconds that each turn is put off at most @returns the result of the last step
 */
export function inTurnsBeside<R>(steps: Generator<unknown, R>, givesWayMs = GIVES_WAY_MS): Promise<R> {
  return turns(steps, async () => {
    const ends = performance.now() + givesWayMs;
    do {
      await nextTick();
    } while (isAwaited() && performance.now() < ends);
  });
}

async function turns<R>(steps: Generator<unknown, R>, pause: () => Promise<unknown>): Promise<R> {
  for (let began = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) {
      return step.value;
    }
    if (performance.now() - began >= TURN_MS) {
      await pause();
      began = performance.now();
    }
  }
}

/** Gives the same pieces, and others their turn between two of them. For who reads them as fast as they come. */
export async function* piecesInTurns<T>(pieces: Iterable<T>): AsyncGenerator<T, void> {
  let began = performance.now();
  for (const piece of pieces) {
    yield piece;
    if (performance.now() - began >= TURN_MS) {
      await nextTick();
      began = performance.now();
    }
  }
}

/** Runs all steps in one turn. @returns the result of the last one */
export function atOnce<R>(steps: Generator<unknown, R>): R {
  for (;;) {
    const step = steps.next();
    if (step.done) {
      return step.value;
    }
  }
}
