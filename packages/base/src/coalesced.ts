/** Work that is asked for more often than it has to be done: reading a table again, saving a file, planning. */

export interface CoalescedOptions {
  /** Milliseconds between the end of a run and the begin of the next that was asked for meanwhile. Default 0 */
  pauseMs?: () => number;
}

/** Runs its work once for all requests that come before the work begins, and once more for those that come while it runs. */
export class Coalesced {
  readonly #work: () => Promise<void>;
  readonly #pauseMs: () => number;
  #running: Promise<void> | undefined;
  #wanted = false;
  #closed = false;
  #wake: (() => void) | undefined;

  /** @param work handles its own errors; one that it throws rejects the requests that wait, and ends no later run */
  constructor(work: () => Promise<void>, { pauseMs = () => 0 }: CoalescedOptions = {}) {
    this.#work = work;
    this.#pauseMs = pauseMs;
  }

  /** True while a run is under way, or waits to begin. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Asks for a run that begins after this call. Resolves when nothing is wanted any more. */
  request(): Promise<void> {
    if (this.#closed) {
      return this.#running ?? Promise.resolve();
    }
    this.#wanted = true;
    this.#running ??= this.#runs().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when no run is under way or wanted. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) {
      await this.#running;
    }
  }

  /** No further run begins. Resolves when the one under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#running;
  }

  async #runs(): Promise<void> {
    while (this.#wanted && !this.#closed) {
      this.#wanted = false;
      await this.#work();
      if (this.#wanted && !this.#closed) {
        await this.#pause(this.#pauseMs());
      }
    }
  }

  #pause(ms: number): Promise<void> | undefined {
    if (ms <= 0) {
      return undefined;
    }
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
