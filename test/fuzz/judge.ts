/** What every answer has to be, whatever was asked. */

import type { Api } from './openapi.ts';
import type { FuzzRequest } from './requests.ts';
import type { WireAnswer } from './wire.ts';

/** Bytes of a problem document at most. docs/security.md names it. */
export const MAX_PROBLEM_BYTES = 600 * 1024;

/** A larger body may still be on its way when its answer comes. */
const LARGE_BODY = 512 * 1024;

/**
 * Characters that a terminal could act on: C0 except the white space of a document, DEL, C1, and
 * those that turn the direction of text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

/**
 * @param answer undefined: the connection was closed without one
 * @returns what is wrong with an answer; undefined: nothing
 */
export function problemOf(request: FuzzRequest, answer: WireAnswer | undefined, api: Api): string | undefined {
  if (answer?.complete !== true) {
    // A connection that is closed before all of the body was read is reset, and the answer with it
    // (RFC 9112, section 9.6).
    const isLarge = request.body !== undefined && request.body.length > LARGE_BODY;
    return isLarge ? undefined : answer ? 'the answer was cut' : 'the connection was closed without an answer';
  }
  return problemOfWhole(request, answer, api);
}

function problemOfWhole(
  { operation, method, target }: FuzzRequest,
  { status, headers, body }: WireAnswer,
  api: Api,
): string | undefined {
  if (!(status >= 100 && status < 500)) {
    return `the status is ${status}`;
  }
  // Pages, metrics and streams are no JSON. A refusal is, except of a file of the console.
  const type = headers.get('content-type') ?? '';
  if (method === 'HEAD' || type.startsWith('text/') || (status < 400 && !type.includes('json'))) {
    return undefined;
  }
  const text = body.toString();
  if (CONTROLS.test(text)) {
    return `the answer has the raw control character ${JSON.stringify(CONTROLS.exec(text)![0])}`;
  }
  if (status >= 400) {
    return refusalProblem(text, status, headers, api);
  }
  const isOwn = method === operation.method && matches(operation.path, target);
  const check = isOwn ? operation.answers.get(status) : undefined;
  const read = check?.safeParse(JSON.parse(text));
  return read && !read.success ? `the answer is not as documented: ${read.error.message.slice(0, 500)}` : undefined;
}

function refusalProblem(text: string, status: number, headers: WireAnswer['headers'], api: Api): string | undefined {
  const type = headers.get('content-type');
  if (!type?.startsWith('application/problem+json')) {
    return `the refusal ${status} is of type ${type}: ${text.slice(0, 200)}`;
  }
  if (text.length > MAX_PROBLEM_BYTES) {
    return `the refusal has ${text.length} bytes: ${text.slice(0, 200)}`;
  }
  const problem = JSON.parse(text) as { status?: number };
  const read = api.problem.safeParse(problem);
  if (!read.success) {
    return `the refusal is no problem document: ${read.error.message.slice(0, 500)}`;
  }
  return problem.status === status ? undefined : `the refusal ${status} says ${problem.status}`;
}

function matches(path: string, target: string): boolean {
  const pattern = path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/?]+');
  return new RegExp(`^${pattern}(\\?|$)`).test(target);
}
