/**
 * Refusals on the agents' port, of sign-ins, and of connections to the API. Each refusal is counted in memory for the metrics.
 * If the last minute had no refusal, it is reported at once. Otherwise all refusals of a minute are
 * reported together. So repeated attempts of a stranger do not fill the disk.
 */

/**
 * The refused request: a certificate, the connection of an agent, a connection as such, a session,
 * a connection to the API, or a request there without a valid token or session.
 */
export type RefusedRequest =
  | 'enroll'
  | 'renew'
  | 'sync'
  | 'looks'
  | 'connection'
  | 'signIn'
  | 'apiConnection'
  | 'apiRequest';

/** One refusal. */
export interface Refusal {
  request: RefusedRequest;
  /**
   * A word of a fixed list, for example a code of the error catalogue. It is a label of the metric.
   */
  reason: string;
  /** For people. */
  message: string;
  address: string;
  /** Name given by the other end. It is not verified. */
  node?: string;
  /** The user that somebody tried to sign in as. There is one of this name. */
  user?: string;
}

/** Milliseconds between two reports about one kind of request. */
export const REFUSALS_INTERVAL_MS = 60_000;

interface Told {
  timer: NodeJS.Timeout;
  /** Refusals since the last report. */
  count: number;
  last: Refusal | undefined;
}

export class Refusals {
  readonly #counts = new Map<RefusedRequest, Map<string, number>>();
  readonly #told = new Map<RefusedRequest, Told>();
  readonly #tell: (refusal: Refusal, count: number) => void;
  readonly #intervalMs: number;

  /**
   * @param tell called with a refusal, and the number of refusals that it stands for
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

  /** Number of refusals since the start, by request and reason. */
  *counts(): Generator<{ request: RefusedRequest; reason: string; count: number }> {
    for (const [request, counts] of this.#counts) {
      for (const [reason, count] of counts) {
        yield { request, reason, count };
      }
    }
  }

  /** Reports what is not reported yet. */
  close(): void {
    for (const { timer, last, count } of this.#told.values()) {
      clearTimeout(timer);
      if (last !== undefined) {
        this.#tell(last, count);
      }
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
