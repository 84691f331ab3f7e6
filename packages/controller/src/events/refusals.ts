/**
 * What was refused on the agents' port, or to somebody who signs in. Each refusal is counted in memory, for the metrics. It is told at once where the
 * last minute was quiet, and else with all others of its minute: a stranger costs no disk, however often it tries.
 */

/** What was asked for: a certificate, the connection of an agent, a place among the connections, or a session. */
export type RefusedRequest = 'enroll' | 'renew' | 'sync' | 'connection' | 'signIn';

/** One refusal. */
export interface Refusal {
  request: RefusedRequest;
  /** A word of a fixed list, as a code of the error catalogue: label of the metric. */
  reason: string;
  /** For people. */
  message: string;
  address: string;
  /** Name that the other end gave. Anyone can give any. */
  node?: string;
}

/** Milliseconds between two times that refusals of one request are told. */
export const REFUSALS_INTERVAL_MS = 60_000;

interface Told {
  timer: NodeJS.Timeout;
  /** Since it was told last. */
  count: number;
  last: Refusal | undefined;
}

export class Refusals {
  readonly #counts = new Map<RefusedRequest, Map<string, number>>();
  readonly #told = new Map<RefusedRequest, Told>();
  readonly #tell: (refusal: Refusal, count: number) => void;
  readonly #intervalMs: number;

  /**
   * @param tell is given a refusal, and how many it stands for
   * @param intervalMs default `REFUSALS_INTERVAL_MS`
   */
  constructor(tell: (refusal: Refusal, count: number) => void, intervalMs = REFUSALS_INTERVAL_MS) {
    this.#tell = tell;
    this.#intervalMs = intervalMs;
  }

  add(refusal: Refusal): void {
    const { request, reason } = refusal;
    const counts = this.#counts.get(request) ?? new Map<string, number>();
    this.#counts.set(request, counts.set(reason, (counts.get(reason) ?? 0) + 1));
    const told = this.#told.get(request);
    if (told) {
      told.count++;
      told.last = refusal;
      return;
    }
    this.#told.set(request, { timer: this.#later(request), count: 0, last: undefined });
    this.#tell(refusal, 1);
  }

  /** How many there were since the start, by request and reason. */
  *counts(): Generator<{ request: RefusedRequest; reason: string; count: number }> {
    for (const [request, counts] of this.#counts) {
      for (const [reason, count] of counts) {
        yield { request, reason, count };
      }
    }
  }

  close(): void {
    for (const { timer } of this.#told.values()) {
      clearTimeout(timer);
    }
    this.#told.clear();
  }

  #later(request: RefusedRequest): NodeJS.Timeout {
    return setTimeout(() => {
      const { count, last } = this.#told.get(request)!;
      if (last === undefined) {
        this.#told.delete(request);
        return;
      }
      this.#told.set(request, { timer: this.#later(request), count: 0, last: undefined });
      this.#tell(last, count);
    }, this.#intervalMs).unref();
  }
}
