/**
 * Calls of the API: one client, typed by openapi.json. What is refused is thrown as a
 * `ProblemError`.
 */
import createClient from 'openapi-fetch';
import type { paths } from './schema.d.ts';
import { session } from './session.ts';
import type { Problem } from './types.ts';

/** Methods that change nothing need no proof that our page sent them. */
const SAFE = new Set(['GET', 'HEAD']);

/** The controller refused a request. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = 'ProblemError';
    this.problem = problem;
  }
}

/** There was no answer: the controller, or the way to it, is away. */
export class NoAnswerError extends Error {
  override name = 'NoAnswerError';
}

/** `fetch` with the session's proof. A 401 ends the session here, too. */
async function sessionFetch(request: Request): Promise<Response> {
  const { csrfToken } = session.state();
  if (!SAFE.has(request.method) && csrfToken !== undefined) {
    request.headers.set('x-mirrorplane-csrf', csrfToken);
  }
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (request.signal.aborted) {
      throw error;
    }
    throw new NoAnswerError((error as Error).message);
  }
  if (response.status === 401 && !new URL(request.url).pathname.endsWith('/session')) {
    session.ended();
  }
  return response;
}

/** The client. `answer(api.GET(…))` gives the body or throws. */
export const api = createClient<paths>({ baseUrl: location.origin, fetch: sessionFetch });

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** An answer with its entity tag. */
export interface Tagged<T> {
  data: T;
  etag: string | null;
}

/** The body of an answer. @throws ProblemError, NoAnswerError */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  return (await tagged(call)).data;
}

/** The body of an answer, and its entity tag. @throws ProblemError, NoAnswerError */
export async function tagged<T>(call: Promise<Outcome<T>>): Promise<Tagged<T>> {
  const { data, error, response } = await call;
  if (!response.ok) {
    throw new ProblemError(problemOf(error, response));
  }
  return { data: data as T, etag: response.headers.get('etag') };
}

/** Something between the controller and us may have answered in its place. */
function problemOf(error: unknown, { status, statusText }: Response): Problem {
  if (typeof error === 'object' && error !== null && 'code' in error) {
    return error as Problem;
  }
  const detail = `${status} ${statusText}`.trim();
  return { type: 'about:blank', title: detail, status, code: 'INTERNAL', detail, errors: [] };
}
