/** A revoked node: cut off at once, it gets nothing more, and nobody takes copies of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const POLICY = { sources: ['web-1/0'], destination: 'ids-1/0' };

/** Whether a node takes copies of node-1. */
const receives = (agent: TestAgent) => agent.program?.terminations.some(({ node }) => node === 'node-1') ?? false;

test('revoking a node cuts it off, ends what others take of it, and is a reason of its policies until it enrols again', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 11));
  two.inventory(vmDevice('ids-1/0', 12));
  await until('both interfaces', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('PUT', '/api/v1/policies/p1', POLICY);
  await until('the path', () => receives(two) && one.program?.deliveries.length === 1);
  const status = async () => (await bench.get('/api/v1/policies/p1/status')).body;
  const codes = async () => (await status()).reasons.map(({ code }: { code: string }) => code);
  assert.ok(!(await codes()).includes('NODE_REVOKED'));
  await bench.joinToken('node-1');

  assert.equal((await bench.post('/api/v1/nodes/node-1/revoke?dryRun=true')).status, 200);
  assert.equal(one.closed, undefined);
  await bench.must('POST', '/api/v1/nodes/node-1/revoke');
  await until('the end', () => one.closed?.code === 4007);
  assert.deepEqual([one.program?.captures, one.program?.deliveries], [[], []]);
  await until('the end of the path', () => !receives(two));
  assert.ok(two.program?.terminations.every(({ node }) => node !== 'node-1'));
  const { state, reasons } = await status();
  assert.equal(state, 'waiting');
  const reason = reasons.find(({ code }: { code: string }) => code === 'NODE_REVOKED');
  assert.match(reason.message, /^node "node-1" is revoked, and interface "web-1\/0" was there: /);
  assert.deepEqual([reason.node, reason.interface], ['node-1', 'web-1/0']);
  const node = (await bench.get('/api/v1/nodes/node-1')).body;
  assert.deepEqual([node.connected, node.problems[0].code], [false, 'NODE_REVOKED']);
  assert.equal((await bench.get('/api/v1/events?kind=nodeRevoked')).body.items.length, 1);
  assert.deepEqual((await bench.get('/api/v1/join-tokens')).body.items, []);
  const refused = () => assert.rejects(bench.connect(bench.credentialsOf('node-1')), /status 401/);
  await refused();
  await bench.must('POST', '/api/v1/nodes/node-1/revoke');
  assert.equal((await bench.get('/api/v1/events?kind=nodeRevoked')).body.items.length, 1, 'once');

  await bench.restart();
  await refused();
  const three = await bench.connect(bench.credentialsOf('node-2'));
  three.hello('node-2');
  three.inventory(vmDevice('ids-1/0', 12));
  await until('its program', () => three.program !== undefined);
  assert.ok(!receives(three), 'also after a restart, when no node has said anything yet');
  assert.ok((await codes()).includes('NODE_REVOKED'));

  const back = await bench.connect(await bench.credentials('node-1'));
  back.hello('node-1');
  back.inventory(vmDevice('web-1/0', 11));
  await until('the path', () => receives(three));
  await until('no reason', async () => !(await codes()).includes('NODE_REVOKED'));
  assert.deepEqual((await bench.get('/api/v1/nodes/node-1')).body.problems, []);
});
