/** Runs work once for many requests: reading a table again, saving a file, planning. */

export interface CoalescedOptions {
  /**
   * Least milliseconds from the end of a run to the start of the next, by how long the run took.
   * The next run serves all requests that come until then. Default 0
   */
  pauseMs?: (tookMs: number) => number;
}

/**
 * One run serves all requests that come before the run begins. Requests that come during a run are
 * served by one more run.
 */
export class Coalesced {
  readonly #work: () => Promise<void>;
  readonly #pauseMs: (tookMs: number) => number;
  #running: Promise<void> | undefined;
  #wanted = false;
  /** The next run begins without a pause. */
  #isHurried = false;
  #closed = false;
  /** When the next run may begin, on the monotonic clock. */
  #notBefore = 0;
  #wake: (() => void) | undefined;

  /**
   * @param work should handle its own errors. An error that it throws rejects the waiting requests.
   * Later runs still take place.
   */
  constructor(work: () => Promise<void>, { pauseMs = () => 0 }: CoalescedOptions = {}) {
    this.#work = work;
    this.#pauseMs = pauseMs;
  }

  /** True while a run is under way, or waits to begin. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Asks for a run that begins after this call. Resolves when no run is requested any more. */
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

  /**
   * As `request`, but where none is under way the run waits so many milliseconds, unless one is hurried
   * meanwhile.
   */
  requestWithin(ms: number): Promise<void> {
    if (!this.busy) {
      this.#notBefore = Math.max(this.#notBefore, performance.now() + ms);
    }
    return this.request();
  }

  /** As `request`, but the run does not wait for the end of a pause. */
  hurry(): Promise<void> {
    this.#notBefore = 0;
    this.#isHurried = true;
    this.#wake?.();
    return this.request();
  }

  /** Resolves when no run is under way or requested. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) {
      await this.#running;
    }
  }

  /** No further run begins. Resolves when the current run has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#running;
  }

  async #runs(): Promise<void> {
    while (this.#wanted && !this.#closed) {
      const now = performance.now();
      if (this.#notBefore > now) {
        await this.#pause(this.#notBefore - now);
      } else {
        this.#wanted = false;
        await this.#run(now);
      }
    }
  }

  async #run(began: number): Promise<void> {
    this.#isHurried = false;
    try {
      await this.#work();
    } finally {
      const ended = performance.now();
      // A hurry may have come during the run, which does not serve it.
      this.#notBefore = this.#isHurried ? 0 : ended + this.#pauseMs(ended - began);
    }
  }

  #pause(ms: number): Promise<void> {
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
