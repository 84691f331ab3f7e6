/** Long work in turns with everything else. */
import { setImmediate as nextTick } from 'node:timers/promises';

/** Milliseconds of work until others have their turn. */
const TURN_MS = 5;

/** Runs all steps, a few milliseconds at a time. @returns the result of the last one */
export async function inTurns<R>(steps: Generator<unknown, R>): Promise<R> {
  for (let began = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) {
      return step.value;
    }
    if (performance.now() - began >= TURN_MS) {
      await nextTick();
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
