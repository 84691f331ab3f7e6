import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AgentMessage, NodeProgram } from '@mirrorplane/contract';
import { Agent } from '../src/agent.ts';
import { FakeDatapath } from '../src/datapath/fake.ts';
import type { Link, LinkSource } from '../src/discovery/links.ts';
import { NeighbourRecord } from '../src/discovery/neighbour-record.ts';
import { NextHops } from '../src/discovery/neighbours.ts';
import { RtClient } from '../src/discovery/rtnetlink.ts';
import { ProgramFile } from '../src/state.ts';
import { link, temporaryFolder, testLog, until } from './support.ts';

/** Devices that a test brings and takes. */
class TestLinks extends EventEmitter implements LinkSource {
  all: Link[] = [];
  async open() {}
  links() {
    return this.all;
  }
  set(...all: Link[]) {
    this.all = all;
    this.emit('change');
  }
  close() {}
}

const web = (ifindex = 5, more: Partial<Link> = {}) =>
  link(`tap${ifindex}`, ifindex, { alias: 'mirrorplane:kind=vm;id=web-1/0', ...more });
const ids = link('ids', 9, { alias: 'mirrorplane:kind=vm;id=ids-1/0' });

const PROGRAM: NodeProgram = {
  node: 'node-1',
  revision: 4,
  edges: [],
  copyVlans: [],
  captures: [
    {
      id: 'p1/web-1/0',
      policy: 'p1',
      source: 'web-1/0',
      kind: 'vm',
      sourceSlot: 0,
      direction: 'inbound',
      percent: 100,
      delivery: 'd1',
    },
  ],
  deliveries: [{ id: 'd1', policy: 'p1', kind: 'local', interface: 'ids-1/0' }],
  terminations: [],
};

async function running(t: TestContext, ...first: Link[]) {
  const folder = temporaryFolder(t);
  const links = new TestLinks();
  links.all = first;
  const datapath = new FakeDatapath();
  await datapath.open();
  const client = new RtClient();
  const record = await NeighbourRecord.load(join(folder, 'neighbours.json'));
  const nextHops = new NextHops({ client, record, log: testLog });
  const agent = new Agent({
    node: 'node-1',
    version: '0.0.0',
    links,
    nextHops,
    underlay: async () => ({ underlay: undefined, why: 'there is none in this test' }),
    datapath,
    programs: new ProgramFile(join(folder, 'program.json')),
    log: testLog,
  });
  const sent: AgentMessage[] = [];
  agent.connect({ connected: true, congested: false, send: (message) => sent.push(message) });
  await agent.start();
  t.after(async () => {
    await agent.close();
    nextHops.close();
    client.close();
  });
  const last = <T extends AgentMessage['type']>(type: T) =>
    sent.findLast((message): message is Extract<AgentMessage, { type: T }> => message.type === type);
  return { agent, links, datapath, sent, last };
}

test('a device that appears is captured, and told of', async (t) => {
  const { agent, links, datapath, last } = await running(t, ids);
  agent.take(PROGRAM);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 0);
  assert.deepEqual(last('status')?.captures, []);
  links.set(web(), ids);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 5);
  assert.deepEqual(last('status')?.captures, [{ capture: 'p1/web-1/0', device: 'tap5', state: 'capturing' }]);
  assert.deepEqual(
    last('inventory')?.devices.map(({ name }) => name),
    ['tap5', 'ids'],
  );
});

test('a device that goes leaves its capture resting, and one that comes instead takes it over', async (t) => {
  const { agent, links, datapath } = await running(t, web(), ids);
  agent.take(PROGRAM);
  await agent.settled();
  links.set(ids);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 0);
  links.set(web(12), ids);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 12);
});

test('a changed MTU of the destination reaches the data path', async (t) => {
  const { agent, links, datapath } = await running(t, web(), ids);
  agent.take(PROGRAM);
  links.set(web(), { ...ids, mtu: 9000 });
  await agent.settled();
  assert.equal(datapath.state.deliveries[0]?.mtu, 9000);
});

test('an edge that the program declares gets its identity with the program', async (t) => {
  const { agent, last } = await running(t, link('edge0', 3), ids);
  assert.equal(last('inventory')?.devices[0]?.identity, undefined);
  agent.take({ ...PROGRAM, edges: [{ interface: 'uplink', device: 'edge0' }] });
  await agent.settled();
  assert.equal(last('inventory')?.devices[0]?.identity?.id, 'uplink');
});

test('an inventory without anything new is not sent again', async (t) => {
  const { agent, links, sent } = await running(t, ids);
  links.set(ids);
  await agent.settled();
  assert.deepEqual(
    sent.map(({ type }) => type),
    ['inventory'],
  );
});

test('a refused capture is reported, tried again, and reported when it is taken', async (t) => {
  const { agent, datapath, last } = await running(t, web(), ids);
  datapath.refuse(5, 'HOOK_OCCUPIED');
  agent.take(PROGRAM);
  await agent.settled();
  const [status] = last('status')?.captures ?? [];
  assert.deepEqual([status?.state, status?.code], ['refused', 'HOOK_OCCUPIED']);
  datapath.accept(5);
  await until('it is taken', () => last('status')?.captures[0]?.state === 'capturing');
});

test('two devices that claim one interface are reported as INTERFACE_DUPLICATE', async (t) => {
  const { agent, datapath, last } = await running(t, web(5), web(6), ids);
  agent.take(PROGRAM);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 5);
  assert.deepEqual(
    last('status')?.problems.map(({ code }) => code),
    ['INTERFACE_DUPLICATE'],
  );
});

test('changes that come while a pass is under way are worked off in one more', async (t) => {
  const { agent, links, datapath } = await running(t, ids);
  agent.take(PROGRAM);
  await agent.settled();
  const before = datapath.applied;
  for (let ifindex = 20; ifindex < 120; ifindex++) links.set(web(ifindex), ids);
  await agent.settled();
  assert.equal(datapath.state.captures[0]?.ifindex, 119);
  assert.ok(datapath.applied - before <= 2, `${datapath.applied - before} passes`);
});

test('the greeting tells the newest state, status only once there is a program', async (t) => {
  const { agent } = await running(t, web(), ids);
  assert.deepEqual(
    agent.greeting().map(({ type }) => type),
    ['hello', 'inventory'],
  );
  agent.take(PROGRAM);
  await agent.settled();
  const [hello, , status] = agent.greeting();
  assert.equal(hello?.type === 'hello' && hello.appliedRevision, 4);
  assert.equal(status?.type === 'status' && status.captures.length, 1);
});
