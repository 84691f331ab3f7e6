/**
 * Virtual time. Everything that happens is an event of one queue, in the order of its time. Between
 * two events all promises are settled that can be, so a process can be killed between any two of
 * its steps, and nothing of it happens after that.
 */
import type { Process } from './process.ts';

/** Something that will happen. */
export interface Scheduled {
  at: number;
  seq: number;
  /** Whose step it is. Undefined: of the world. */
  process: Process | undefined;
  run: (() => void) | undefined;
}

const realImmediate = globalThis.setImmediate;

/** Lets all promises settle that can be. */
export function drained(): Promise<void> {
  return new Promise((resolve) => {
    realImmediate(resolve);
  });
}

export class Scheduler {
  /** Milliseconds. */
  now = 0;
  /** Number of events that have happened. */
  steps = 0;
  /** Whose step is under way. */
  current: Process | undefined;
  readonly #heap: Scheduled[] = [];
  #seq = 0;

  /** Schedules a step. @param delay milliseconds of virtual time */
  after(delay: number, process: Process | undefined, run: () => void): Scheduled {
    const event = { at: this.now + Math.max(0, delay), seq: this.#seq++, process, run };
    this.#push(event);
    return event;
  }

  /** The step does not happen. */
  cancel(event: Scheduled): void {
    event.run = undefined;
  }

  /** Resolves as a step of the process that asks, after `delay` milliseconds. */
  pause(delay: number): Promise<void> {
    const process = this.current;
    return new Promise((resolve) => {
      this.after(delay, process, resolve);
    });
  }

  /**
   * Lets the next event happen. @returns false: there is none until `limit`, and it is `limit` now
   * @throws what the step throws
   */
  async step(limit: number): Promise<boolean> {
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.at > limit) {
        this.now = Math.max(this.now, limit);
        return false;
      }
      this.#pop();
      const { process, run } = event;
      if (run === undefined || process?.alive === false) {
        continue;
      }
      if (process !== undefined && process.stalledUntil > event.at) {
        event.at = process.stalledUntil;
        this.#push(event);
        continue;
      }
      this.now = Math.max(this.now, event.at);
      this.steps++;
      event.run = undefined;
      await this.as(process, run);
      return true;
    }
  }

  /** Runs something as a step of a process, until its promises are settled. */
  async as(process: Process | undefined, run: () => void): Promise<void> {
    this.current = process;
    try {
      run();
      if (process !== undefined) {
        await drained();
      }
    } finally {
      this.current = undefined;
    }
  }

  #push(event: Scheduled): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) {
        break;
      }
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) {
      return;
    }
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) {
        break;
      }
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) {
        child++;
      }
      if (isBefore(last, heap[child]!)) {
        break;
      }
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}
