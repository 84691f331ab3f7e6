/** What clients have seen, with times of one clock. */

import { NoAnswerError, type Reply } from '../../packages/controller/test/api-call.ts';
import type { Operation, Outcome, Request, Value } from './checker/operation.ts';
import type { ControllerHost } from './world/controller.ts';

/** An answer that lists all resources of a kind. */
export interface ListRead {
  client: string;
  /** `policies` or `pools`. */
  folder: string;
  invoked: number;
  returned: number;
  /** Value and revision by name. */
  items: Map<string, { revision: number; value: Value }>;
}

/** Outcomes of requests, for the table of faults. */
export interface Counts {
  /** Changes that were acknowledged. */
  acknowledged: number;
  /** Changes whose outcome is not known. */
  unknown: number;
  reads: number;
}

/** Milliseconds of the clock of all clients. */
export const now = (): number => performance.now();

export class Recorder {
  readonly operations: Operation[] = [];
  readonly lists: ListRead[] = [];
  /** Answers that nobody may get. */
  readonly problems: string[] = [];
  /** When changes were acknowledged. */
  readonly acknowledgedAt: number[] = [];
  readonly counts: Counts = { acknowledged: 0, unknown: 0, reads: 0 };

  /**
   * Asks, and notes what came back.
   * @param valueIn makes a value of the body of an answer
   * @returns the outcome; undefined: the request was never sent, or was refused before it was looked at
   */
  async ask(
    controller: ControllerHost,
    { client, key, request, http }: { client: string; key: string; request: Request; http: HttpRequest },
    valueIn: (body: Reply['body']) => Value,
  ): Promise<Outcome | undefined> {
    const invoked = now();
    let outcome: Outcome;
    try {
      const reply = await controller.call(http.method, http.url, http.body, http.headers);
      if (isRefusal(reply)) {
        return undefined;
      }
      const understood = outcomeOf(reply, request, valueIn);
      if (understood === undefined) {
        this.problems.push(`${http.method} ${http.url}: ${JSON.stringify(reply)}`);
      }
      outcome = understood ?? { kind: 'unknown' };
    } catch (error) {
      if (error instanceof NoAnswerError && !error.sent) {
        return undefined;
      }
      outcome = { kind: 'unknown' };
    }
    const returned = outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : now();
    this.#count(request, outcome);
    // A read without an answer has no effect at all.
    if (request.kind !== 'read' || outcome.kind !== 'unknown') {
      this.operations.push({ client, key, invoked, returned, request, outcome });
    }
    return outcome;
  }

  #count({ kind }: Request, outcome: Outcome): void {
    if (kind === 'read') {
      this.counts.reads++;
    } else if (outcome.kind === 'unknown') {
      this.counts.unknown++;
    } else if (outcome.kind === 'written' || outcome.kind === 'deleted') {
      this.counts.acknowledged++;
      this.acknowledgedAt.push(now());
    }
  }
}

export interface HttpRequest {
  method: string;
  url: string;
  body?: unknown;
  headers?: Record<string, string>;
}

/** The controller says that it changes nothing now. So the change must not be found later. */
function isRefusal({ status, body }: Reply): boolean {
  return status === 503 && /nothing may change/.test(body?.detail ?? '');
}

/** Undefined: no client may get this answer. */
function outcomeOf(
  { status, etag, body }: Reply,
  request: Request,
  valueIn: (body: Reply['body']) => Value,
): Outcome | undefined {
  if (status === 200 || status === 201) {
    const revision = Number(etag?.slice(1, -1) ?? body?.revision);
    return { kind: request.kind === 'read' ? 'found' : 'written', revision, value: valueIn(body) };
  }
  switch (status) {
    case 204:
      return { kind: 'deleted' };
    case 404:
      return { kind: 'absent' };
    case 409:
      return body.code === 'ALREADY_EXISTS' ? { kind: 'exists' } : undefined;
    case 412:
      return { kind: 'mismatch' };
    case 500:
    case 503:
      return { kind: 'unknown' };
    default:
      return undefined;
  }
}
