/** The problems of a route: their codes, and their responses in the OpenAPI document. */
import { CATALOGUE, type ErrorCode, Problem, problem } from '@mirrorplane/contract';
import type { Components, Schema } from './openapi-components.ts';
import type { Route } from './route.ts';

/** Codes that any request may get. */
export const ALWAYS: readonly ErrorCode[] = ['INTERNAL', 'UNAVAILABLE'];

/** The codes of a route's problems, without those of `ALWAYS`, in order of status. */
export function codesOf(route: Route): ErrorCode[] {
  const { method, needs, params, query, body, conditional, refuses = [] } = route;
  const codes = new Set<ErrorCode>(['BAD_REQUEST', 'FIELD_UNKNOWN', ...refuses]);
  if (params || query || body) {
    codes.add('FIELD_INVALID');
  }
  if (needs !== 'nothing') {
    codes.add('UNAUTHENTICATED').add('CSRF_REFUSED');
  }
  if (needs !== 'nothing' && needs !== 'signIn') {
    codes.add('FORBIDDEN');
  }
  if (conditional) {
    codes.add('PRECONDITION_FAILED');
  }
  if (method !== 'get') {
    codes.add('BODY_TOO_LARGE').add('MEDIA_TYPE_UNSUPPORTED');
  }
  return [...codes].sort((a, b) => CATALOGUE[a].status - CATALOGUE[b].status || (a < b ? -1 : 1));
}

/** The problem responses of a route, by status, as references to `problemComponents`. */
export function problemResponses(route: Route): Schema {
  const refer = (codes: readonly ErrorCode[]) => ({ $ref: `#/components/responses/${nameOf(codes)}` });
  const responses = byStatus(route).map(([status, codes]) => [String(status), refer(codes)]);
  return { ...Object.fromEntries(responses), default: refer(ALWAYS) };
}

/** The problem responses. Routes with the same codes share one. */
export function problemComponents(routes: readonly Route[], components: Components): Schema {
  const all = [ALWAYS, ...routes.flatMap((route) => byStatus(route).map(([, codes]) => codes))];
  const named = new Map(all.map((codes) => [nameOf(codes), codes]));
  const sorted = [...named].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, codes]) => [name, problemResponse(codes, components)]));
}

function byStatus(route: Route): [status: number, codes: ErrorCode[]][] {
  return [...Map.groupBy(codesOf(route), (code) => CATALOGUE[code].status)];
}

function nameOf(codes: readonly ErrorCode[]): string {
  return codes.join('.');
}

function problemResponse(codes: readonly ErrorCode[], components: Components): Schema {
  const schema = { allOf: [components.use(Problem, 'output'), { properties: { code: { enum: codes } } }] };
  const examples = codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]);
  return {
    description: codes.map((code) => `\`${code}\`: ${CATALOGUE[code].title}.`).join(' '),
    content: { 'application/problem+json': { schema, examples: Object.fromEntries(examples) } },
  };
}

/** An example problem for each code of the routes. */
export function problemExamples(routes: readonly Route[]): Schema {
  const codes = new Set([...routes.flatMap(codesOf), ...ALWAYS]);
  const examples = [...codes].sort().map((code) => {
    const { title, remedy } = CATALOGUE[code];
    return [code, { summary: title, value: problem(code, `${title}: ${remedy}`) }];
  });
  return Object.fromEntries(examples);
}
