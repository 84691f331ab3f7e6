/** A controller whose store is in etcd. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { startController } from '../../src/index.ts';
import { Bench, temporaryFolder } from '../harness.ts';
import { startEtcd } from './etcd-members.ts';
import { startProxy } from './etcd-proxy.ts';

/** A controller that reaches etcd by a proxy. It closes before etcd ends. */
async function startOnEtcd(t: TestContext) {
  let bench: Bench | undefined;
  t.after(() => bench?.stop());
  const { endpoints, ctl } = await startEtcd(t, 1);
  const proxy = await startProxy(t, endpoints[0]!);
  const failed: Error[] = [];
  const options = { etcd: { endpoints: [proxy.url], giveUpMs: 1000 }, failed: (error: Error) => failed.push(error) };
  bench = await Bench.start(t, 0, options);
  return { bench, proxy, ctl, endpoints, failed };
}

test('a controller keeps in etcd what it keeps in a file, and a second one is refused', async (t) => {
  const { bench, ctl, endpoints, failed } = await startOnEtcd(t);
  const [agent] = await bench.agents('node-1');
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  await until('the agent gets a program', () => agent.program);
  assert.match(await ctl('get', '/mirrorplane/store/policies/one', '--print-value-only'), /"name":"one"/);
  const data = path.join(temporaryFolder(t), 'data');
  const logger = createLog('controller', 'silent');
  const another = { data, logger, listen: [], agentListen: '127.0.0.1:0', etcd: { endpoints, leaseMs: 1000 } };
  await assert.rejects(startController(another), /another process uses the store in etcd/);
  await bench.restart();
  assert.equal((await bench.get('/api/v1/policies/one')).body.sources[0], 'a');
  const again = await bench.connect(bench.credentialsOf('node-1'));
  again.hello('node-1');
  await until('the agent gets its program again', () => again.program);
  assert.deepEqual(failed, []);
});

test('a change whose answer from etcd got lost is refused with UNAVAILABLE, and is in the audit log once when it is found', async (t) => {
  const { bench, proxy } = await startOnEtcd(t);
  await bench.cluster();
  proxy.be('deaf');
  const lost = await bench.put('/api/v1/domains/lost', {});
  assert.equal(lost.body.code, 'UNAVAILABLE');
  assert.equal((await bench.get('/api/v1/domains/blue')).status, 200);
  proxy.be('cut');
  assert.equal((await bench.put('/api/v1/domains/never', {})).body.code, 'UNAVAILABLE');
  proxy.be('open');
  // The audit log is in etcd too, and is written again a moment later.
  await until('changes go on', async () => (await bench.put('/api/v1/domains/next', {})).status === 201);
  const entries = () =>
    readFileSync(path.join(bench.data, 'audit.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ resource }) => /lost|never|next/.test(resource ?? ''))
      .map(({ resource, outcome }) => `${resource} ${outcome}`);
  await until('the entry of the lost change', () => entries().length >= 3);
  // What was refused because the log could not be written is summed up in one entry.
  assert.deepEqual(entries().sort(), ['domains/lost done', 'domains/lost failed', 'domains/next done']);
  assert.match(readFileSync(path.join(bench.data, 'audit.log'), 'utf8'), /"the log could not be written since /);
  assert.equal((await bench.get('/api/v1/domains/lost')).status, 200);
  assert.equal((await bench.get('/api/v1/domains/never')).status, 404);
});

test('a controller that loses its place in etcd says so, and changes nothing any more', async (t) => {
  const { bench, ctl, failed } = await startOnEtcd(t);
  await bench.cluster();
  await ctl('del', '/mirrorplane/leader');
  assert.equal((await bench.put('/api/v1/domains/late', {})).status, 500);
  assert.deepEqual(
    failed.map(({ name }) => name),
    ['StoreLostError'],
  );
  assert.equal(await ctl('get', '/mirrorplane/store/domains/late'), '');
});
