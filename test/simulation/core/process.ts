/** A process of the simulated cluster: what is killed as a whole, with a clock of its own. */

export interface ProcessClock {
  /** How fast it goes: 1 is right. */
  rate: number;
  /** Milliseconds since 1970 at the start of the schedule. */
  offset: number;
}

export class Process {
  readonly name: string;
  readonly clock: ProcessClock;
  /** Virtual time of its start. */
  readonly born: number;
  /** False: it was killed, and nothing of it happens any more. */
  alive = true;
  /** Virtual time until which it does nothing, because its host gives it no CPU. */
  stalledUntil = 0;

  constructor(name: string, clock: ProcessClock, born: number) {
    this.name = name;
    this.clock = clock;
    this.born = born;
  }

  /** Milliseconds since 1970, as its host says. */
  wall(now: number): number {
    return this.clock.offset + now * this.clock.rate;
  }

  /** Milliseconds since its start. */
  monotonic(now: number): number {
    return (now - this.born) * this.clock.rate;
  }
}
