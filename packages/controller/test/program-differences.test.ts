/** What a controller sends to an agent that takes programs as differences, over real connections. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { NodeProgram } from '@mirrorplane/contract';
import { heldParts, heldProgram } from '@mirrorplane/contract/program-difference';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const options = { timeout: 60_000 };

async function start(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const connect = async (has?: NodeProgram) => {
    const agent = await bench.connect(credentials);
    agent.has = has;
    const held = has && { program: heldProgram(has), appliedRevision: has.revision };
    agent.hello('node-1', { takesDifferences: true, ...held });
    agent.inventory(vmDevice('a/0', 5), vmDevice('b/0', 6), vmDevice('ids/0', 7));
    return agent;
  };
  const policy = (name: string, source: string) =>
    bench.must('POST', '/api/v1/policies', { name, sources: [source], destination: 'ids/0' });
  const edit = (name: string, percent: number) => bench.must('PATCH', `/api/v1/policies/${name}`, { percent });
  const revision = async (agent: TestAgent, percents: number[]) =>
    until(`captures of ${percents} percent`, () => {
      const now = agent.has?.captures.map(({ percent }) => percent).sort((a, b) => a - b);
      return now?.join() === percents.join() && agent.has;
    });
  return { bench, connect, policy, edit, revision };
}

/** An agent with two policies. */
async function withTwoPolicies(t: TestContext) {
  const parts = await start(t);
  const { connect, policy, revision, bench } = parts;
  const agent = await connect();
  await until('two interfaces', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 3);
  await policy('p', 'a/0');
  await policy('q', 'b/0');
  return { ...parts, agent, has: await revision(agent, [100, 100]) };
}

test('a changed policy is sent alone, and the agent confirms the program with it', options, async (t) => {
  const { bench, agent, edit, revision } = await withTwoPolicies(t);
  const before = agent.kinds.length;
  const bytes = agent.bytes;
  await edit('p', 25);
  const now = await revision(agent, [25, 100]);
  assert.deepEqual(agent.kinds.slice(before), ['programDifference']);
  assert.ok(agent.bytes - bytes < JSON.stringify(now).length, 'less than the program');
  await until('it is confirmed', async () => {
    const { appliedRevision, programRevision } = (await bench.get('/api/v1/nodes/node-1')).body;
    return appliedRevision === now.revision && programRevision === now.revision;
  });
});

test('an agent that comes back with its program gets none, and what changes after that', options, async (t) => {
  const { bench, agent, has, connect, edit, revision } = await withTwoPolicies(t);
  agent.socket.terminate();
  const again = await connect(has);
  await until('it is connected', async () => (await bench.get('/api/v1/nodes/node-1')).body.connected === true);
  await edit('q', 50);
  await revision(again, [50, 100]);
  assert.deepEqual(again.kinds, ['programDifference']);
});

test('an agent that was away for a change tells its parts, and gets what it has missed', options, async (t) => {
  const { bench, agent, has, connect, edit, revision } = await withTwoPolicies(t);
  agent.socket.terminate();
  await until('it is away', async () => (await bench.get('/api/v1/nodes/node-1')).body.connected === false);
  await edit('q', 50);
  const again = await connect(has);
  const now = await revision(again, [50, 100]);
  assert.deepEqual(again.kinds, ['partsWanted', 'programDifference']);
  assert.ok(now.revision > has.revision);
  assert.deepEqual(
    heldParts(now).parts.filter(({ digest }, at) => heldParts(has).parts[at]!.digest === digest).length,
    1,
  );
});

test(
  'after a restart of the controller, an agent with its program gets none, and one without gets it',
  options,
  async (t) => {
    const { bench, has, connect, edit, revision } = await withTwoPolicies(t);
    await bench.restart();
    const again = await connect(has);
    await until('it is connected', async () => (await bench.get('/api/v1/nodes/node-1')).body.connected === true);
    await edit('p', 10);
    await revision(again, [10, 100]);
    assert.deepEqual(again.kinds, ['programDifference']);
    again.socket.terminate();
    const fresh = await connect();
    await revision(fresh, [10, 100]);
    assert.deepEqual(fresh.kinds, ['program']);
  },
);

test('an agent that asks for the whole program gets it once, and whole programs from then on', options, async (t) => {
  const { agent, edit, revision } = await withTwoPolicies(t);
  agent.kinds.length = 0;
  agent.send({ type: 'programWanted' });
  await until('a program', () => agent.kinds.length > 0);
  await edit('p', 25);
  await revision(agent, [25, 100]);
  assert.deepEqual(agent.kinds, ['program', 'program']);
  agent.send({ type: 'programWanted' });
  assert.equal((await until('it is closed', () => agent.closed)).code, 4000);
});

test('an agent that names parts without being asked is refused', options, async (t) => {
  const { agent, has } = await withTwoPolicies(t);
  agent.send({ type: 'programWanted', have: heldParts(has) });
  assert.equal((await until('it is closed', () => agent.closed)).code, 4000);
});

test('an agent that says nothing of differences gets whole programs, also if it asks for one', options, async (t) => {
  const { bench, policy, edit } = await start(t);
  const older = await bench.connect(bench.credentialsOf('node-1'));
  older.hello('node-1');
  older.inventory(vmDevice('a/0', 5), vmDevice('ids/0', 7));
  await until('an interface', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await policy('p', 'a/0');
  await until('a capture', () => older.program?.captures.length === 1);
  await edit('p', 25);
  await until('another percent', () => older.program?.captures[0]?.percent === 25);
  assert.deepEqual([...new Set(older.kinds)], ['program']);
  older.send({ type: 'programWanted' });
  assert.equal((await until('it is closed', () => older.closed)).code, 4000);
});
