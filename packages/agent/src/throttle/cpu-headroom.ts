/** Computes the budget that CPUs leave for copies. Pure: no I/O, no clock. See ADR 0020. */

/** A reading: packets that the kernel has lost for lack of CPU, and bytes of copies. */
export interface CpuReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Packets lost so far because the backlog of a CPU was full. */
  lost: number;
  /** Bytes of copies so far. Only counted while there is a budget; COUNTING is such a budget. */
  copies: number;
}

/** A budget in bytes a second that refuses nothing. With it, the data plane counts copies. */
export const COUNTING = 16e9;
/** The smallest budget, bytes a second. */
export const LEAST = 125_000;
/** Factor of the budget when packets are lost. */
const BACK = 0.5;
/** Seconds without loss before the budget grows, or before counting ends. */
const WAIT = 1;
/**
 * Growth of the budget in a second, and its end: shares of the rate of copies when losses began.
 */
const GROWTH = 0.25;
const ENOUGH = 1.5;

/**
 * The budget of the node. The first loss only starts the counting of copies, because a single burst
 * that overflows a backlog does not prove a busy CPU. If losses continue while copies are made, the
 * budget shrinks at once, and grows again step by step.
 */
export class CpuHeadroom {
  #rate: number;
  #last: CpuReading | undefined;
  #calmFor = 0;
  /** Rate of copies when they were first throttled, bytes a second. */
  #ceiling: number | undefined;

  /** @param rate the current budget, bytes a second; 0: none */
  constructor(rate: number) {
    this.#rate = rate;
    if (rate > 0 && rate < COUNTING) {
      this.#ceiling = rate;
    }
  }

  /**
   * Processes a reading, about every 100 ms. Returns the budget in bytes a second. 0: no limit is
   * needed.
   */
  next(reading: CpuReading): number {
    const last = this.#last;
    this.#last = reading;
    const seconds = last ? (reading.at - last.at) / 1000 : 0;
    // A smaller counter: a CPU was removed, or the number has wrapped.
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
    // Without copies, the losses have another cause.
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
