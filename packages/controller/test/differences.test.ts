/** Agents that report differences: what the controller asks of them, and what it makes of it. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { type CounterNumbers, type CounterReport, ZERO } from '@mirrorplane/contract';
import { Bench, vmDevice } from './harness.ts';

const options = { timeout: 60_000 };

async function start(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const connect = async (more: { numbers?: true } = {}) => {
    const agent = await bench.connect(credentials);
    agent.confirms = false;
    agent.hello('node-1', { differences: true, ...more });
    await until('it is asked for differences', () => agent.reporting.length > 0);
    return agent;
  };
  const devices = async () => {
    const { body } = await bench.get('/api/v1/nodes/node-1');
    return body.devices.map(({ name }: { name: string }) => name);
  };
  return { bench, connect, devices };
}

test('an agent that can is asked for differences, and one that cannot is asked for nothing', options, async (t) => {
  const { bench, connect } = await start(t);
  const agent = await connect();
  assert.deepEqual(agent.reporting, [{ type: 'reporting', counterIntervalMs: 1000 }]);
  await bench.must('PUT', '/api/v1/nodes/node-2', { pool: 'east' });
  const older = await bench.connect(await bench.credentials('node-2'));
  older.hello('node-2');
  older.inventory();
  await until('a program', () => older.program);
  assert.deepEqual(older.reporting, []);
});

test('devices of differences are added, changed and taken away', options, async (t) => {
  const { connect, devices } = await start(t);
  const agent = await connect();
  agent.inventory(vmDevice('a/0', 5), vmDevice('b/0', 7));
  await until('two devices', async () => (await devices()).length === 2);
  agent.send({ type: 'inventory', devices: [vmDevice('c/0', 6), vmDevice('b/0', 7, { mtu: 9000 })], gone: [5] });
  await until('another device', async () => (await devices()).join() === 'tap6,tap7');
  agent.send({ type: 'inventory', devices: [], gone: [7, 99] });
  await until('one device', async () => (await devices()).join() === 'tap6');
});

test('captures of differences are added and taken away', options, async (t) => {
  const { bench, connect } = await start(t);
  const agent = await connect();
  agent.inventory(vmDevice('a/0', 5), vmDevice('b/0', 6), vmDevice('ids/0', 7));
  const seen = async () => (await bench.get('/api/v1/interfaces')).body.items.length;
  await until('three interfaces', async () => (await seen()) === 3);
  const policy = { name: 'p', sources: ['a/0', 'b/0'], destination: 'ids/0' };
  const { uid } = await bench.must('POST', '/api/v1/policies', policy);
  await until('its program', () => agent.program?.captures.length === 2);
  const capture = (id: string) => ({ capture: `${uid}/${id}`, device: 'tap', state: 'capturing' as const });
  const states = async () => {
    const { body } = await bench.get('/api/v1/policies/p/status');
    return body.sources.map(({ state }: { state: string }) => state).join();
  };
  const appliedRevision = agent.program!.revision;
  const status = { type: 'status' as const, appliedRevision, problems: [] };
  agent.send({ ...status, captures: [capture('a/0'), capture('b/0')] });
  await until('both are captured', async () => (await states()) === 'capturing,capturing');
  agent.send({ ...status, captures: [], gone: [`${uid}/b/0`] });
  await until('one is captured', async () => /^capturing,(?!capturing)/.test(await states()));
});

test('a difference to nothing ends the connection', options, async (t) => {
  const { connect } = await start(t);
  const agent = await connect();
  agent.send({ type: 'inventory', devices: [], gone: [] });
  assert.equal((await until('it is closed', () => agent.closed)).code, 4000);
  const next = await connect();
  next.send({ type: 'status', appliedRevision: 0, captures: [], problems: [], gone: [] });
  assert.equal((await until('it is closed', () => next.closed)).code, 4000);
});

test('counters that are not taken over are asked for once more, and not without end', options, async (t) => {
  const { connect } = await start(t);
  const agent = await connect();
  agent.inventory();
  const report: CounterReport = {
    epoch: 'e',
    captures: [],
    deliveries: [{ delivery: 'nothing/local', policy: 'nothing', sent: ZERO }],
    terminations: [],
    peers: [],
    unknownErspan: 0,
  };
  for (let readAt = 1; readAt <= 3; readAt++) {
    agent.send({ type: 'counters', reading: { run: 'r', readAt }, report });
  }
  await until('it is asked for all', () => agent.reporting.length > 1);
  agent.send({ type: 'inventory', devices: [vmDevice('a/0', 5)], gone: [] });
  await until('a program', () => agent.program);
  assert.deepEqual(
    agent.reporting.map(({ whole }) => whole),
    [undefined, true],
  );
});

test('an agent that can is asked for numbers, and its counts by number are those of the rows', options, async (t) => {
  const { bench, connect } = await start(t);
  const agent = await connect({ numbers: true });
  assert.deepEqual(agent.reporting, [{ type: 'reporting', counterIntervalMs: 1000, numbers: true }]);
  agent.inventory(vmDevice('a/0', 5), vmDevice('ids/0', 7));
  const seen = async () => (await bench.get('/api/v1/interfaces')).body.items.length;
  await until('two interfaces', async () => (await seen()) === 2);
  const { uid } = await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['a/0'], destination: 'ids/0' });
  await until('its program', () => agent.program?.captures.length === 1);
  const row = (number: number, direction: 'inbound' | 'outbound') => {
    const counts = { matched: ZERO, sampledOut: ZERO, copied: ZERO, truncated: ZERO, dropped: {}, skipped: {} };
    return { number, policy: uid as string, source: 'a/0', direction, counts };
  };
  const say = (readAt: number, captures: CounterReport['captures'], numbers: CounterNumbers) => {
    const report = { epoch: 'e', captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
    agent.send({ type: 'counters', reading: { run: 'r', readAt }, report, numbers });
  };
  const totals = async () => {
    const { body } = await bench.get('/api/v1/policies/p/status');
    const { matched, copied, sampledOut } = body.totals;
    return [matched, copied, sampledOut].map(({ packets }) => packets).join();
  };
  say(1, [row(0, 'inbound'), row(1, 'outbound')], {});
  say(2, [], { whole: [1, 5, 500], parts: [0, 9, 900, 2, 200, 7, 700, 0, 0] });
  await until('the counts are there', async () => (await totals()) === '14,12,2');
  say(3, [], { whole: [2, 1, 1] });
  assert.equal((await until('a number that was never told ends the connection', () => agent.closed)).code, 4000);
  assert.equal(await totals(), '14,12,2');
});
