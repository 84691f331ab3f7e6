/** Tells one agent how to report: differences, numbers, how often, and once more the whole where counts were left out. */
import { COUNTER_INTERVAL_MS, type ReportingMessage } from '@mirrorplane/contract';

/** Milliseconds between two orders to report the whole: an agent of which nothing is believed must not cost more. */
const WHOLE_MS = 10_000;

export class ReportOrders {
  readonly #tell: (order: ReportingMessage) => void;
  /** Undefined: the agent has not said that it can follow. */
  #intervalMs: number | undefined;
  #more: Pick<ReportingMessage, 'numbers'> = {};
  #wholeAt = Number.NEGATIVE_INFINITY;

  constructor(tell: (order: ReportingMessage) => void) {
    this.#tell = tell;
  }

  /** The agent can report differences. @param numbers whether it can tell counters as numbers, too */
  begin(numbers = false): void {
    this.#more = numbers ? { numbers: true } : {};
    this.#order(COUNTER_INTERVAL_MS.least);
  }

  /** Sets how often counters are to come. @param intervalMs within `COUNTER_INTERVAL_MS` */
  every(intervalMs: number): void {
    if (this.#intervalMs !== undefined && this.#intervalMs !== intervalMs) {
      this.#order(intervalMs);
    }
  }

  /** Counts were not taken over. @param now milliseconds of a clock that does not jump */
  incomplete(now: number): void {
    if (this.#intervalMs !== undefined && now - this.#wholeAt >= WHOLE_MS) {
      this.#wholeAt = now;
      this.#tell({ type: 'reporting', counterIntervalMs: this.#intervalMs, whole: true, ...this.#more });
    }
  }

  #order(counterIntervalMs: number): void {
    this.#intervalMs = counterIntervalMs;
    this.#tell({ type: 'reporting', counterIntervalMs, ...this.#more });
  }
}
