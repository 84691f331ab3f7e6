/** Each role at each route: what is written here is what the controller does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import test from 'node:test';
import { ROLE_NAMES, type Role } from '@mirrorplane/contract';
import { rightsReference } from '../../src/http/rights-reference.ts';
import { ROUTES } from '../../src/http/routes.ts';
import { Bench } from '../harness.ts';
import { peopleOf } from './people.ts';

const FILE = new URL('../../../../docs/reference/rights.md', import.meta.url);

/** Who is let in, by the right of a route. Written by hand, from the issue: not taken from the code. */
const LET_IN: Record<string, string> = {
  nothing: 'nobody metrics viewer operator observer auditor admin',
  signIn: 'metrics viewer operator observer auditor admin',
  // Of another user than oneself.
  self: 'admin',
  read: 'viewer operator observer auditor admin',
  metrics: 'metrics viewer operator observer auditor admin',
  policy: 'operator admin',
  packets: 'observer admin',
  inventory: 'admin',
  nodes: 'admin',
  audit: 'auditor admin',
  access: 'admin',
};

/** The right of each route. A route that is not here fails the test. */
const EXPECTED = `
GET /api/v1/access/can-i signIn
GET /api/v1/access/roles signIn
GET /api/v1/audit audit
GET /api/v1/audit/chain audit
GET /api/v1/audit/export audit
POST /api/v1/audit/check audit
GET /api/v1/destinations read
GET /api/v1/domains read
DELETE /api/v1/domains/{name} inventory
GET /api/v1/domains/{name} read
PUT /api/v1/domains/{name} inventory
GET /api/v1/events read
GET /api/v1/events/stream read
GET /api/v1/findings packets
POST /api/v1/findings packets
GET /api/v1/findings/{id} packets
POST /api/v1/forecasts read
GET /api/v1/interfaces read
DELETE /api/v1/interfaces/{id} inventory
GET /api/v1/interfaces/{id} read
PUT /api/v1/interfaces/{id} inventory
GET /api/v1/interfaces/{id}/history read
GET /api/v1/interfaces/{id}/traffic read
GET /api/v1/interfaces/{id}/viewers read
GET /api/v1/looks packets
POST /api/v1/looks packets
GET /api/v1/looks/check packets
DELETE /api/v1/looks/{id} packets
GET /api/v1/looks/{id} packets
GET /api/v1/looks/{id}/packets.pcapng packets
GET /api/v1/looks/{id}/packets/{number} packets
POST /api/v1/looks/{id}/renew packets
GET /api/v1/looks/{id}/rows packets
GET /api/v1/nodes read
DELETE /api/v1/nodes/{name} nodes
GET /api/v1/nodes/{name} read
PUT /api/v1/nodes/{name} nodes
GET /api/v1/nodes/{name}/history read
POST /api/v1/nodes/{name}/token nodes
GET /api/v1/openapi.json signIn
GET /api/v1/policies read
POST /api/v1/policies policy
GET /api/v1/policies/status read
DELETE /api/v1/policies/{name} policy
GET /api/v1/policies/{name} read
PATCH /api/v1/policies/{name} policy
PUT /api/v1/policies/{name} policy
GET /api/v1/policies/{name}/history read
GET /api/v1/policies/{name}/path read
GET /api/v1/policies/{name}/sources read
GET /api/v1/policies/{name}/status read
GET /api/v1/policies/{name}/test read
POST /api/v1/policies/{name}/test policy
GET /api/v1/pools read
DELETE /api/v1/pools/{name} inventory
GET /api/v1/pools/{name} read
PUT /api/v1/pools/{name} inventory
DELETE /api/v1/session signIn
GET /api/v1/session signIn
POST /api/v1/session nothing
POST /api/v1/session/tickets signIn
GET /api/v1/status read
GET /api/v1/stream read
POST /api/v1/device-logins nothing
POST /api/v1/device-logins/poll nothing
GET /api/v1/device-logins/{code} signIn
POST /api/v1/device-logins/{code} signIn
GET /api/v1/users access
GET /api/v1/users/{name} self
PUT /api/v1/users/{name} access
DELETE /api/v1/users/{name} access
POST /api/v1/users/{name}/password signIn
POST /api/v1/users/{name}/totp signIn
PUT /api/v1/users/{name}/totp signIn
DELETE /api/v1/users/{name}/totp access
POST /api/v1/users/{name}/totp/remove signIn
GET /api/v1/tokens signIn
POST /api/v1/tokens signIn
DELETE /api/v1/tokens/{name} signIn
GET /api/v1/join-tokens nodes
POST /api/v1/join-tokens nodes
DELETE /api/v1/join-tokens/{id} nodes
POST /api/v1/nodes/{name}/revoke nodes
GET /api/v1/authority read
POST /api/v1/authority/rotate nodes
POST /api/v1/authority/drop nodes
GET /api/v1/sign-in nothing
POST /api/v1/sign-in/{way} nothing
GET /api/v1/access/settings signIn
PUT /api/v1/access/settings access
POST /api/v1/policies/{name}/approve read
POST /api/v1/policies/{name}/reject read
GET /api/v1/access/who-can read
GET /api/v1/approvals read
GET /healthz nothing
GET /metrics metrics
GET /readyz nothing
`
  .trim()
  .split('\n')
  .map((line) => line.split(' ') as [method: string, path: string, right: string]);

type Ask = (method: string, url: string) => Promise<{ status: number; text: string }>;

const keyOf = (method: string, path: string) => `${method.toUpperCase()} ${path}`;

test('every route has an entry in the table of this test, and says what its right is for', () => {
  const served = ROUTES.map(({ method, path }) => keyOf(method, path));
  const written = EXPECTED.map(([method, path]) => keyOf(method, path));
  const open = 'GET /api/v1/openapi.json';
  assert.deepEqual([...served, open].sort(), [...written].sort());
  for (const { needs, about, method, path } of ROUTES) {
    const isRight = needs !== 'nothing' && needs !== 'signIn';
    assert.equal(about !== undefined, isRight, `${keyOf(method, path)}: give "about" beside a right`);
    assert.ok(about === 'cluster' || !['metrics', 'audit', 'access'].includes(needs), keyOf(method, path));
  }
});

test('each role gets 403 at a route, or not, as the table says', async (t) => {
  const bench = await Bench.start(t);
  const grants = Object.fromEntries(ROLE_NAMES.map((role) => [role, [{ role }]])) as Record<Role, { role: Role }[]>;
  const people: Record<string, Ask> = { ...(await peopleOf(bench, grants)), nobody: nobody(bench) };
  const wrong: string[] = [];
  let asked = 0;
  for (const [method, path, right] of EXPECTED) {
    const letIn = LET_IN[right]!.split(' ');
    const url = path.replaceAll('{number}', '1').replaceAll(/\{\w+\}/g, 'none');
    for (const [name, person] of Object.entries(people)) {
      // Signing out would end the person, and a stream does not end.
      const [with_, at] = method === 'DELETE' && path === '/api/v1/session' ? ['GET', url] : [method, url];
      const { status, text } = await person(with_, /stream$/.test(at) ? `${at}?none=1` : at);
      asked++;
      const refused = name === 'nobody' ? status === 401 : status === 403 && text.includes('"params":{"right":');
      if (refused === letIn.includes(name)) {
        wrong.push(`${name} at ${method} ${path}: ${status} ${text.slice(0, 120)}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  t.diagnostic(`${asked} requests`);
});

test('docs/reference/rights.md has the roles and routes of the code', () => {
  const remedy = 'scripts/run.sh packages/controller/src/http/rights-reference.ts --write docs/reference/rights.md';
  assert.equal(readFileSync(FILE, 'utf8'), rightsReference(), `run ${remedy}`);
});

/** Who sends no credentials. */
function nobody(bench: Bench): Ask {
  return async (method, url) => {
    const [host, port] = bench.controller.addresses[0]!.split(':');
    const request = httpRequest({ host, port, method, path: url, agent: false });
    request.end();
    const [response] = await once(request, 'response');
    let text = '';
    for await (const chunk of response) {
      text += chunk;
    }
    return { status: response.statusCode, text };
  };
}
