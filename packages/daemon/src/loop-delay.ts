/**
 * How long the event loop lets others wait: while one turn runs, no request is answered, and no
 * agent is heard.
 */
import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Milliseconds between two samples, of each window. Each wakes the process up: with 10 ms, samples were
 * most of what a controller did at rest. A turn that is shorter may come between two samples. A longer
 * one is reported up to this much too short.
 */
const RESOLUTION_MS = 100;
/** Milliseconds after which one of the two windows begins again. */
const WINDOW_MS = 30_000;

/** Delays in seconds. */
export interface Delays {
  p50: number;
  p99: number;
  max: number;
}

/**
 * Watches the event loop of this process. There are two windows, of which one is always between half
 * a minute and a minute long.
 */
export class LoopDelay {
  #older = begun();
  #newer = begun();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => this.#turn(), WINDOW_MS).unref();
  }

  /** Delays of the last half minute to minute. Undefined: nothing was measured yet. */
  get seconds(): Delays | undefined {
    const { count, max } = this.#older;
    return count === 0
      ? undefined
      : {
          p50: secondsOf(this.#older.percentile(50)),
          p99: secondsOf(this.#older.percentile(99)),
          max: secondsOf(max),
        };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#older.disable();
    this.#newer.disable();
  }

  #turn(): void {
    this.#older.reset();
    [this.#older, this.#newer] = [this.#newer, this.#older];
  }
}

function begun(): ELDHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

/** What is measured is the time from one sample to the next one. */
function secondsOf(nanoseconds: number): number {
  return Math.max(0, nanoseconds - RESOLUTION_MS * 1e6) / 1e9;
}
