/** Timers, clocks and chance of the language, by virtual time while a step is under way. */
import type { Scheduled } from '../core/scheduler.ts';
import { running, simulation } from '../core/simulation.ts';

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  now: performance.now.bind(performance),
  random: Math.random,
  Date: globalThis.Date,
};

type Callback = (...values: unknown[]) => void;

/** A timer of a simulated process. */
class VirtualTimer {
  #event: Scheduled | undefined;

  constructor(run: () => void, ms: number, repeats: boolean) {
    const { scheduler } = simulation();
    const process = scheduler.current!;
    // A millisecond of a fast clock is shorter. Node.js makes 1 of less.
    const wait = Math.max(1, Number(ms) || 0) / process.clock.rate;
    const again = () => {
      this.#event = scheduler.after(wait, process, () => {
        if (repeats) {
          again();
        }
        run();
      });
    };
    again();
  }

  cancel(): void {
    if (this.#event) {
      simulation().scheduler.cancel(this.#event);
    }
    this.#event = undefined;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function timer(repeats: boolean) {
  return (run: Callback, ms = 0, ...values: unknown[]) => {
    if (!running()) {
      return (repeats ? real.setInterval : real.setTimeout)(run, ms, ...values);
    }
    return new VirtualTimer(() => run(...values), ms, repeats);
  };
}

function immediate(run: Callback, ...values: unknown[]) {
  const { scheduler } = running() ?? {};
  return scheduler ? scheduler.after(0, scheduler.current, () => run(...values)) : real.setImmediate(run, ...values);
}

function clear(timer: unknown): void {
  if (timer instanceof VirtualTimer) {
    timer.cancel();
  } else {
    real.clearTimeout(timer as NodeJS.Timeout);
  }
}

/** Milliseconds since 1970 by the clock of the current process. */
function wall(): number {
  const { scheduler } = running() ?? {};
  return scheduler ? Math.floor(scheduler.current!.wall(scheduler.now)) : real.Date.now();
}

class VirtualDate extends real.Date {
  constructor(...values: []) {
    super(...((values.length === 0 ? [wall()] : values) as []));
  }

  static override now(): number {
    return wall();
  }
}

/** Puts the virtual edges in the place of the real ones. Outside of steps they are the real ones. */
export function install(): void {
  Object.assign(globalThis, {
    setTimeout: timer(false),
    setInterval: timer(true),
    setImmediate: immediate,
    clearTimeout: clear,
    clearInterval: clear,
    Date: VirtualDate,
  });
  Math.random = () => running()?.draws.next() ?? real.random();
  performance.now = () => {
    const { scheduler } = running() ?? {};
    return scheduler ? scheduler.current!.monotonic(scheduler.now) : real.now();
  };
}
