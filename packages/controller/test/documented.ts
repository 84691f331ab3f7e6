/** Compares answers of the controller with the OpenAPI document. */
import assert from 'node:assert/strict';
import type { ErrorCode } from '@mirrorplane/contract';
import { routesAt } from '../src/http/find-route.ts';
import { ALWAYS, codesOf } from '../src/http/openapi-problems.ts';
import { ROUTES } from '../src/http/routes.ts';

/** The compared parts of an answer. */
interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  body: unknown;
}

/**
 * @throws AssertionError where a route answers with a status, a code or a body that is not
 *   documented
 */
export function assertDocumented(method: string, url: string, { status, headers, text, body }: Answer): void {
  const pathname = url.split('?')[0]!;
  const route = routesAt(ROUTES, pathname).find((one) => one.method === method.toLowerCase());
  if (route === undefined) {
    return;
  }
  const what = `${method} ${route.path} answers ${status} ${text.slice(0, 500)}`;
  if (status >= 400) {
    const { code } = body as { code: ErrorCode };
    assert.ok([...codesOf(route), ...ALWAYS].includes(code), `${what}: add ${code} to "refuses" of the route`);
    return;
  }
  const documented = route.responses.find((response) => response.status === status);
  const dryRun = status === 200 && route.query?.shape.dryRun !== undefined && route.responses[0];
  const response = documented ?? dryRun;
  assert.ok(response, `${what}: the route has no such response`);
  const { schema } = response;
  if (!schema || response.mediaType !== undefined) {
    return;
  }
  const read = schema.safeParse(body);
  assert.ok(read.success, `${what}: ${read.error?.message}`);
  assert.match(String(headers['content-type']), /^application\/json/, what);
}
