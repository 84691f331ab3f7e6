/** An agent with a fake data path and a controller of the test, over real TLS. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { NodeProgram } from '@mirrorplane/contract';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { type AgentOptions, type RunningAgent, startAgent } from '../src/start.ts';
import { uninstall } from '../src/uninstall.ts';
import { temporaryFolder, testAuthority, testLog } from './support.ts';
import { SECRET, TestController } from './test-controller.ts';

const options = { timeout: 60_000 };

function program(revision: number, percent = 100): NodeProgram {
  const capture = { policy: 'p1', kind: 'vm', sourceSlot: 0, direction: 'all', delivery: 'd1', percent } as const;
  return {
    node: 'node-1',
    revision,
    edges: [],
    copyVlans: [],
    standby: [],
    handingOver: [],
    captures: [{ id: 'p1/web-1/0', source: 'web-1/0', ...capture }],
    deliveries: [{ id: 'd1', policy: 'p1', kind: 'local', interface: 'ids-1/0' }],
    terminations: [],
  };
}

/**
 * A controller on loopback and what is needed to start agents, on the devices of the machine,
 * without touching them.
 */
async function cluster(t: TestContext) {
  const controller = new TestController(testAuthority(t));
  await controller.start();
  t.after(() => controller.stop());
  const datapath = new FakeDatapath();
  const data = temporaryFolder(t);
  const agents: RunningAgent[] = [];
  t.after(async () => {
    for (const agent of agents) {
      await agent.close();
    }
  });
  const start = async (more: Partial<AgentOptions> = {}) => {
    const { address, token } = controller;
    const timing = { backoffMin: 20, backoffMax: 100, ping: 50 };
    const base = { node: 'node-1', controller: address, token, data, datapath, log: testLog, timing };
    const agent = await startAgent({ ...base, ...more });
    agents.push(agent);
    return agent;
  };
  return { controller, datapath, data, start };
}

test('an agent joins, reports its node and devices, and carries out its program', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  controller.program = program(3, 25);
  await start();
  await until('the status', () => controller.last('status')?.appliedRevision === 3);
  assert.deepEqual(controller.peers, ['node-1']);
  const [hello, inventory] = controller.messages;
  assert.equal(hello?.type, 'hello');
  assert.equal(inventory?.type, 'inventory');
  assert.deepEqual(
    datapath.state.captures.map(({ id, threshold }) => [id, threshold]),
    [
      ['p1/web-1/0/inbound', 2 ** 30],
      ['p1/web-1/0/outbound', 2 ** 30],
    ],
  );
});

test('a changed program is applied and reported', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  controller.program = program(1);
  await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  controller.send(program(2, 50));
  await until('revision 2', () => controller.last('status')?.appliedRevision === 2);
  assert.equal(datapath.state.captures[0]?.threshold, 2 ** 31);
});

test('an empty program takes everything off', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  controller.program = program(1);
  await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  controller.send({ ...program(2), captures: [], deliveries: [] });
  await until('revision 2', () => controller.last('status')?.appliedRevision === 2);
  assert.deepEqual([datapath.state.captures, datapath.state.deliveries], [[], []]);
});

test('messages that are not understood, and programs for others, change nothing', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  controller.program = program(1);
  await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  controller.sendRaw('this is not JSON');
  controller.sendRaw('{"type":"program","program":{"node":"node-1"}}');
  controller.sendRaw('{"type":"farewell"}');
  controller.send({ ...program(9, 1), node: 'node-2' });
  controller.send(program(2, 50));
  await until('revision 2', () => controller.last('status')?.appliedRevision === 2);
  assert.equal(datapath.state.captures[0]?.threshold, 2 ** 31);
  assert.ok(controller.messages.every((message) => message.type !== 'status' || message.appliedRevision < 3));
});

test('after a restart of the controller the agent says everything again', options, async (t) => {
  const { controller, start } = await cluster(t);
  controller.program = program(1);
  await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  await controller.stop();
  controller.messages.length = 0;
  controller.program = program(2);
  await controller.start();
  await until('revision 2', () => controller.last('status')?.appliedRevision === 2);
  assert.deepEqual(
    controller.messages.slice(0, 3).map(({ type }) => type),
    ['hello', 'inventory', 'status'],
  );
  assert.equal(controller.last('hello')?.appliedRevision, 1);
});

test('a controller that falls silent is given up and dialled again', options, async (t) => {
  const { controller, start } = await cluster(t);
  controller.deaf = true;
  await controller.stop();
  await controller.start();
  await start();
  await until('two connections', () => controller.peers.length >= 2);
});

test('an agent that starts without controller carries out the program of its last run', options, async (t) => {
  const { controller, data, start } = await cluster(t);
  controller.program = program(7, 25);
  const first = await start();
  await until('revision 7', () => controller.last('status')?.appliedRevision === 7);
  await until('it is stored', () => existsSync(join(data, 'program.json')));
  await first.close();
  await controller.stop();
  const datapath = new FakeDatapath();
  await start({ datapath });
  assert.equal(datapath.applied, 1);
  assert.equal(datapath.state.captures[0]?.threshold, 2 ** 30);
});

test('a stored program that is not one is left alone, and the agent starts', options, async (t) => {
  const { controller, data, datapath, start } = await cluster(t);
  writeFileSync(join(data, 'program.json'), '{"node":');
  controller.program = program(1);
  await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  assert.equal(datapath.state.captures.length, 2);
  await until('it is replaced', () => readFileSync(join(data, 'program.json'), 'utf8').endsWith('}'));
});

test('counters are reported every second', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  controller.program = program(1);
  await start();
  datapath.count('p1/web-1/0/inbound', 5);
  const { report } = await until('counters of five', () => {
    const message = controller.last('counters');
    return message?.report.captures.some(({ counts }) => counts.copied.packets === 5) ? message : undefined;
  });
  assert.deepEqual(
    report.captures.map(({ source, direction, counts }) => [source, direction, counts.copied.packets]),
    [
      ['web-1/0', 'inbound', 5],
      ['web-1/0', 'outbound', 0],
    ],
  );
});

test('a data path that fails is reported as ATTACH_FAILED and tried again until it works', options, async (t) => {
  const { controller, datapath, start } = await cluster(t);
  datapath.failure = new Error('out of memory');
  controller.program = program(1);
  await start();
  await until('the problem', () => controller.last('status')?.problems.some(({ code }) => code === 'ATTACH_FAILED'));
  assert.equal(controller.last('status')?.appliedRevision, 0);
  datapath.failure = undefined;
  await until('it works', () => controller.last('status')?.appliedRevision === 1);
  assert.deepEqual(controller.last('status')?.problems, []);
});

test('a node that never joined and has no token says what to do', options, async (t) => {
  const { data, datapath, controller } = await cluster(t);
  const start = startAgent({ node: 'node-1', controller: controller.address, data, datapath, log: testLog });
  await assert.rejects(start, /node node-1 has not joined yet: create a token with/);
});

test('a node that has joined does not need its token again, and does not use it up', options, async (t) => {
  const { controller, start } = await cluster(t);
  const first = await start();
  await until('it is there', () => controller.peers.length === 1);
  await first.close();
  await start();
  await until('it is there again', () => controller.peers.length === 2);
  assert.equal(controller.enrolments.length, 1);
});

test('joining is tried again until the controller answers', options, async (t) => {
  const { controller, start } = await cluster(t);
  await controller.stop();
  const starting = start();
  await controller.start();
  await starting;
  assert.deepEqual(
    controller.enrolments.map(({ secret }) => secret),
    [SECRET],
  );
});

test('a second agent with the same data folder does not start', options, async (t) => {
  const { start } = await cluster(t);
  await start();
  await assert.rejects(start(), /another agent uses .*: stop it first/);
});

test('an agent that stops leaves the data plane, and uninstall removes it with all files', options, async (t) => {
  const { controller, data, datapath, start } = await cluster(t);
  controller.program = program(1);
  const agent = await start();
  await until('revision 1', () => controller.last('status')?.appliedRevision === 1);
  await assert.rejects(uninstall({ data, datapath }), /stop it first/);
  await agent.close();
  assert.equal(datapath.state.captures.length, 2);
  await uninstall({ data, datapath });
  assert.equal(datapath.state.captures.length, 0);
  assert.equal(existsSync(data), false);
});
