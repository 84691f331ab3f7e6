/** Requests without a token, invalid requests, and requests of supervisors. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { CATALOGUE, type ErrorCode, Problem } from '@mirrorplane/contract';
import { Bench, type Reply } from './harness.ts';

function assertProblem(reply: Reply, status: number, code: ErrorCode): void {
  assert.equal(reply.status, status, reply.text);
  assert.match(String(reply.headers['content-type']), /^application\/problem\+json/);
  const problem = Problem.parse(reply.body);
  assert.deepEqual([problem.code, problem.status, problem.title], [code, status, CATALOGUE[code].title]);
}

test('the API and the metrics need the token, and health does not', async (t) => {
  const bench = await Bench.start(t);
  const without = { token: undefined };
  for (const url of ['/api/v1/policies', '/api/v1/openapi.json', '/metrics']) {
    for (const token of [undefined, 'wrong', `${bench.token}x`]) {
      const reply = await bench.request('GET', url, undefined, { token });
      assertProblem(reply, 401, 'UNAUTHENTICATED');
      assert.match(String(reply.headers['www-authenticate']), /^Bearer/);
    }
    assert.equal((await bench.get(url)).status, 200);
  }
  assert.equal((await bench.put('/api/v1/domains/blue', {}, without)).status, 401);
  assert.equal((await bench.get('/api/v1/domains/blue')).status, 404);
  for (const url of ['/healthz', '/readyz']) {
    assert.deepEqual((await bench.request('GET', url, undefined, without)).body, { status: 'ok' });
  }
});

test('the read token reads everything, changes nothing, and is enough for the metrics', async (t) => {
  const bench = await Bench.start(t);
  const token = readFileSync(path.join(bench.data, 'read-token'), 'utf8').trim();
  assert.notEqual(token, bench.token);
  for (const url of ['/metrics', '/api/v1/policies', '/api/v1/policies/status', '/api/v1/nodes', '/api/v1/events']) {
    assert.equal((await bench.request('GET', url, undefined, { token })).status, 200, url);
  }
  const body = { description: 'x' };
  const refused = [
    await bench.request('PUT', '/api/v1/domains/blue', body, { token }),
    await bench.request('PUT', '/api/v1/domains/blue?dryRun=true', body, { token }),
    await bench.request('PATCH', '/api/v1/policies/none', body, { token }),
    await bench.request('DELETE', '/api/v1/domains/default', undefined, { token }),
    await bench.request('POST', '/api/v1/nodes/node-1/token', {}, { token }),
  ];
  for (const reply of refused) {
    assertProblem(reply, 403, 'FORBIDDEN');
    assert.match(
      reply.body.detail,
      /the right "(inventory|policy|nodes)" is missing: ask an administrator for one of the/,
    );
  }
  assert.equal((await bench.get('/api/v1/domains/blue')).status, 404);
  assert.notEqual((await bench.get('/api/v1/domains/default')).body.description, 'x');
  await bench.restart();
  assert.equal((await bench.request('GET', '/metrics', undefined, { token })).status, 200, 'it stays');
});

test('the files with secrets are readable by their owner alone', async (t) => {
  const bench = await Bench.start(t);
  for (const name of ['admin-token', 'read-token', 'ca.key', 'ca.crt', 'audit.log', 'store.db', 'store.db-wal']) {
    assert.equal(statSync(path.join(bench.data, name)).mode & 0o777, 0o600, name);
  }
  assert.match(bench.token, /^[A-Za-z0-9_-]{43}$/);
});

test('a request that is unreadable, unknown or unacceptable gets a problem document', async (t) => {
  const bench = await Bench.start(t);
  const put = (body: string, headers = {}) => bench.put('/api/v1/domains/blue', body, { headers });
  assertProblem(await put('{"description": '), 400, 'BAD_REQUEST');
  assertProblem(await put(''), 400, 'FIELD_INVALID');
  assert.match((await put('')).body.detail, /it is missing: send it as JSON/);
  assert.match((await bench.get('/api/v1/domains?limit=5&limit=6')).body.detail, /"limit" is given more than once/);
  const changed = await put('{}', { 'if-match': '"7"' });
  assert.match(changed.body.detail, /the resource does not exist, and If-Match is "7"/);
  assertProblem(await put('[]'), 400, 'FIELD_INVALID');
  assertProblem(await put('null'), 400, 'FIELD_INVALID');
  assertProblem(await put('x: 1', { 'content-type': 'application/yaml' }), 415, 'MEDIA_TYPE_UNSUPPORTED');
  assertProblem(await put(`{"description": "${'x'.repeat(1024 * 1024)}"}`), 413, 'BODY_TOO_LARGE');
  assertProblem(await bench.get('/api/v1/polices'), 404, 'NOT_FOUND');
  assertProblem(await bench.get('/api/v1/interfaces/%zz'), 400, 'BAD_REQUEST');
  assertProblem(await bench.get('/api/v1/domains/blue'), 404, 'NOT_FOUND');
  assert.deepEqual((await bench.get('/api/v1/domains')).body.items, []);
});

test('a field named __proto__ is unknown like any other, and changes nothing', async (t) => {
  const bench = await Bench.start(t);
  const reply = await bench.put('/api/v1/domains/blue', '{"__proto__": {"description": "x"}, "descripton": "y"}');
  assert.equal(reply.status, 400, reply.text);
  assert.ok(reply.body.errors.some(({ field }: { field: string }) => field === 'descripton'));
  await bench.cluster();
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['a'], destination: 'b' });
  const patch = await bench.request('PATCH', '/api/v1/policies/p', '{"__proto__": {"enabled": false}}');
  assert.notEqual(patch.body.enabled, false);
});

test('metrics name policies and nodes, in OpenMetrics where that is asked for', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['a'], destination: 'b' });
  const plain = await bench.get('/metrics');
  assert.match(plain.text, /^mirrorplane_policy_state\{policy="p",state="waiting"\} 1$/m);
  assert.match(plain.text, /^mirrorplane_node_connected\{node="node-1"\} 0$/m);
  const open = await bench.request('GET', '/metrics', undefined, {
    headers: { accept: 'application/openmetrics-text;version=1.0.0' },
  });
  assert.match(String(open.headers['content-type']), /openmetrics-text/);
  assert.match(open.text, /^# TYPE mirrorplane_policy_packets counter$/m);
  assert.match(open.text, /# EOF\n$/);
});

test('the audit log has every change, also those refused, and outlives a restart', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.put('/api/v1/pools/west', { domain: 'none' });
  await bench.put('/api/v1/domains/blue', {});
  await bench.joinToken('node-1');
  const lines = async (limit: number) =>
    (await bench.get(`/api/v1/audit?limit=${limit}`)).body.items.map(
      ({ actor, action, resource, outcome, code }: Record<string, string>) =>
        [actor, action, resource, outcome, ...(code ? [code] : [])].join(' '),
    );
  const all = [
    'admin token nodes/node-1 done',
    'admin replace domains/blue unchanged',
    'admin replace pools/west refused FIELD_INVALID',
    'admin replace nodes/node-1 done',
    'admin replace pools/east done',
    'admin replace domains/blue done',
    'controller create users/admin done',
  ];
  assert.deepEqual(await lines(100), all);
  assert.deepEqual(await lines(2), all.slice(0, 2));
  await bench.restart();
  assert.deepEqual(await lines(100), all);
  assert.equal((await bench.get('/api/v1/audit?limit=0')).status, 400);
});
