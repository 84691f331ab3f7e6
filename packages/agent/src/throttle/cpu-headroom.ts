/** How much the CPUs that process packets leave for copies. Pure: no I/O, no clock. See ADR 0020. */

/** Packets that the kernel has lost so far for lack of CPU, and the CPU time of copies. */
export interface CpuReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Packets so far that a CPU had no time for: those that its backlog had no room for any more. */
  lost: number;
  /** Bytes of copies so far. Only counted while there is a budget, be it COUNTING. */
  copies: number;
}

/** A budget, in bytes a second, that refuses nothing, and under which the data plane counts what passes. */
export const COUNTING = 16e9;
/** Copies are never throttled below so many bytes a second. */
export const LEAST = 125_000;
/** What the budget is multiplied by when packets are lost. */
const BACK = 0.5;
/** Seconds without loss before the budget grows, or before counting ends. */
const WAIT = 1;
/** What it grows by a second, and where it ends: shares of what was copied when packets began to be lost. */
const GROWTH = 0.25;
const ENOUGH = 1.5;

/**
 * The budget of the node. The first loss only begins to count copies: a single burst that overflows a backlog is no CPU
 * that is at its end. Where the loss goes on while copies are made they go back at once, and come back step by step.
 */
export class CpuHeadroom {
  #rate: number;
  #last: CpuReading | undefined;
  #calmFor = 0;
  /** Bytes of copies a second when they were first throttled. */
  #ceiling: number | undefined;

  /** @param rate the budget that is in force, bytes a second; 0: none */
  constructor(rate: number) {
    this.#rate = rate;
    if (rate > 0 && rate < COUNTING) {
      this.#ceiling = rate;
    }
  }

  /** Takes a reading, about every 100 ms. Returns the budget in bytes a second; 0: no limit is needed. */
  next(reading: CpuReading): number {
    const last = this.#last;
    this.#last = reading;
    const seconds = last ? (reading.at - last.at) / 1000 : 0;
    // Counters that went back: a CPU was taken away, or the number has wrapped.
    if (!last || seconds <= 0 || reading.lost < last.lost || reading.copies < last.copies) {
      return this.#rate;
    }
    const copies = (reading.copies - last.copies) / seconds;
    if (reading.lost > last.lost) {
      this.#lose(copies);
    } else {
      this.#recover(seconds);
    }
    return Math.round(this.#rate);
  }

  #lose(copies: number): void {
    this.#calmFor = 0;
    if (this.#rate === 0) {
      this.#rate = COUNTING;
    }
    // Where nothing is copied, it is not copies that take the CPU.
    else if (copies > 0) {
      this.#ceiling ??= copies;
      this.#rate = Math.max(LEAST, BACK * Math.min(this.#rate, copies));
    }
  }

  #recover(seconds: number): void {
    this.#calmFor += seconds;
    if (this.#rate === 0 || this.#calmFor < WAIT) {
      return;
    }
    const ceiling = this.#ceiling ?? 0;
    this.#rate += Math.max(LEAST, GROWTH * ceiling) * seconds;
    if (this.#rate < Math.max(2 * LEAST, ENOUGH * ceiling)) {
      return;
    }
    this.#rate = 0;
    this.#ceiling = undefined;
  }
}
