/** GET /api/v1/status: the cluster in one answer. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench } from './harness.ts';

test('the state of the cluster counts nodes and policies, names what is wrong, and tells who leads', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1', 'node-2');
  await until('its program', () => agent.program);
  await bench.must('PUT', '/api/v1/nodes/node-3', { pool: 'east' });
  await bench.declare('a', 'b', 'c', 'd');
  await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  await bench.must('POST', '/api/v1/policies', { name: 'two', sources: ['c'], destination: 'd', enabled: false });
  const status = async () => (await bench.get('/api/v1/status')).body;
  const body = await until('it shows all', async () => {
    const now = await status();
    return now.nodes.ready === 2 && now.policies.total === 2 && now;
  });
  const [{ startedAt, ...controller }] = body.controllers;
  assert.deepEqual(controller, { host: hostname(), version: '0.1.0', leads: true });
  assert.ok(Date.parse(startedAt) <= Date.now());
  assert.deepEqual(body.nodes, { total: 3, ready: 2, pending: 0, disconnected: 1 });
  assert.deepEqual(body.policies, { total: 2, states: { waiting: 1, disabled: 1 } });
  assert.equal(body.store.engine, 'file');
  assert.ok(body.store.revision > 0);
  const problems = body.problems.map((one: Record<string, string>) => `${one.kind} ${one.name} ${one.code}`);
  assert.ok(problems.includes('node node-3 NODE_DISCONNECTED'), String(problems));
  assert.ok(problems.includes('policy one SOURCE_ABSENT'), String(problems));
  assert.ok(!problems.some((text: string) => text.includes('two')), String(problems));
  assert.equal(body.problemCount, problems.length);
});

test('who may read one pool sees its nodes and policies, and nothing of controllers and the store', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.must('PUT', '/api/v1/pools/west', { domain: 'blue' });
  await bench.must('PUT', '/api/v1/nodes/node-2', { pool: 'west' });
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'eastern', sources: ['a'], destination: 'b' });
  const grants = [{ role: 'viewer', scope: { pools: ['west'] } }];
  const { token } = await bench.must('POST', '/api/v1/tokens', { name: 'west', expiresAt: 'never', grants });
  const { status, body } = await bench.request('GET', '/api/v1/status', undefined, { token });
  assert.equal(status, 200);
  assert.deepEqual([body.controllers, body.store], [undefined, undefined]);
  assert.equal(body.nodes.total, 1);
  assert.equal(body.policies.total, 0);
  assert.deepEqual(
    body.problems.map(({ name }: { name: string }) => name),
    ['node-2'],
  );
});
