/** Finds when a node has read its counters, on one clock of the controller. */
import type { CounterReading } from '@mirrorplane/contract';

/**
 * Number of last reports that are searched for the shortest transfer time. The clocks of agent and
 * controller drift slowly.
 */
const OFFSETS = 30;
/** The greatest assumed age of a report, milliseconds. */
const OLDEST_MS = 60_000;

/** Of one node. It keeps how far the clocks are from each other. */
export class ReadingTimes {
  #run: string | undefined;
  /** Controller's time minus agent's time, for the last reports. */
  #offsets: number[] = [];

  /** Whether the node has told a reading. */
  get areTold(): boolean {
    return this.#run !== undefined;
  }

  /**
   * Reading time of a report. It was read at this time or later. The estimate assumes the transfer
   * time of the fastest recent report, so a delay of this report does not matter.
   * @param now arrival time of the report, as the result milliseconds of the controller's clock
   */
  at(reading: CounterReading | undefined, now: number): number {
    if (reading === undefined) {
      return now;
    }
    if (reading.run !== this.#run) {
      this.#run = reading.run;
      this.#offsets = [];
    }
    this.#offsets = [...this.#offsets, now - reading.readAt].slice(-OFFSETS);
    return Math.max(now - OLDEST_MS, Math.min(now, reading.readAt + Math.min(...this.#offsets)));
  }
}
