/**
 * The orderly end of a process. What it has to write last is written as long as etcd answers. Nothing
 * waits for an etcd that is silent: the service manager would kill the process then.
 */

/** Milliseconds that etcd may be silent while the process stops. One dead member takes three seconds. */
const SILENT_MS = 5000;

export class Stopping {
  #began: number | undefined;
  #answeredAt = Number.NEGATIVE_INFINITY;

  /** The process begins to stop. */
  begin(): void {
    this.#began ??= performance.now();
  }

  /** Etcd has answered, whatever it has said. */
  answered(): void {
    this.#answeredAt = performance.now();
  }

  /** When a call that is not answered is given up, on the monotonic clock. Infinity: the process does not stop. */
  get giveUpAt(): number {
    return this.#began === undefined ? Number.POSITIVE_INFINITY : Math.max(this.#began, this.#answeredAt) + SILENT_MS;
  }
}
