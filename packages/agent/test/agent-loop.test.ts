/** The agent's loop with a fake data path: what devices, programs and failures lead to. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { AgentEvent, AgentMessage, NodeProgram } from '@mirrorplane/contract';
import { Agent } from '../src/agent.ts';
import { EventRecorder } from '../src/controller-link/event-outbox.ts';
import type { ApplyOptions, DatapathState } from '../src/datapath/datapath.ts';
import { FakeDatapath } from '../src/datapath/fake.ts';
import type { LinkSource } from '../src/discovery/links.ts';
import { NeighbourRecord } from '../src/discovery/neighbour-record.ts';
import { NextHops } from '../src/discovery/neighbours.ts';
import { ProgramFile } from '../src/host/program-file.ts';
import type { Link } from '../src/netlink/link.ts';
import { RtClient } from '../src/netlink/rt-client.ts';
import { link, temporaryFolder, testLog } from './support.ts';

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
  standby: [],
  handingOver: [],
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
    underlay: async () => ({ underlay: undefined, why: 'there is none in this test', asked: false }),
    datapath,
    programs: new ProgramFile(join(folder, 'program.json')),
    events: new EventRecorder(),
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
  let read = 0;
  /** Events that were told since this was called last. */
  const told = async (): Promise<AgentEvent[]> => {
    await agent.settled();
    await tick();
    const all = sent.flatMap((message) => (message.type === 'events' ? message.events : []));
    const before = read;
    read = all.length;
    return all.slice(before);
  };
  return { agent, links, datapath, sent, last, told };
}

/** Kind, cause and interface of each event. */
const brief = (events: AgentEvent[]) =>
  events.map(({ kind, cause, interface: id }) => `${kind} by ${cause}${id === undefined ? '' : ` ${id}`}`);

test('a device that appears is captured and reported', async (t) => {
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

test('a device of nobody makes no pass of its own where the next event says whose it is, and is reported in any case', async (t) => {
  const { agent, links, datapath, last } = await running(t, ids);
  agent.take(PROGRAM);
  await agent.settled();
  let passes = 0;
  const apply = datapath.apply.bind(datapath);
  datapath.apply = (state: DatapathState) => {
    passes++;
    return apply(state);
  };
  links.set(web(5, { alias: '' }), ids);
  links.set(web(5), ids);
  await agent.settled();
  assert.deepEqual([passes, datapath.state.captures[0]?.ifindex], [1, 5]);
  links.set(web(5), ids);
  await agent.settled();
  const known = links.all;
  links.set(...known, link('other', 11));
  await agent.settled();
  assert.deepEqual(
    last('inventory')?.devices.map(({ name }) => name),
    ['tap5', 'ids', 'other'],
  );
});

test('a program from which the node was dismissed meanwhile is not confirmed', async (t) => {
  const { agent, datapath, sent, last } = await running(t, web(), ids);
  agent.take(PROGRAM);
  await agent.settled();
  const apply = datapath.apply.bind(datapath);
  const programs: number[] = [];
  datapath.apply = async (state: DatapathState) => {
    programs.push(state.captures.length);
    if (programs.length === 1) {
      agent.dismiss();
      await tick();
    }
    return apply(state);
  };
  const before = sent.length;
  agent.take({ ...PROGRAM, revision: 5 });
  await until('the program of nothing', () => last('status')?.appliedRevision === 0);
  const confirmed = sent.slice(before).flatMap((message) => (message.type === 'status' ? message.appliedRevision : []));
  assert.deepEqual(confirmed, [0]);
  assert.ok(programs[0]! > 0, 'the one before was carried out');
});

test('a capture rests when its device disappears, and continues on the device that replaces it', async (t) => {
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
  for (let ifindex = 20; ifindex < 120; ifindex++) {
    links.set(web(ifindex), ids);
  }
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

test('tells of a capture that a new program brings and takes as caused by the controller', async (t) => {
  const { agent, told } = await running(t, web(), ids);
  agent.take(PROGRAM);
  const [begun, ...more] = await told();
  assert.deepEqual(more, []);
  const { seq: _, at: __, ...rest } = begun!;
  const about = { interface: 'web-1/0', policy: 'p1' };
  assert.deepEqual(rest, { kind: 'captureAttached', cause: 'controller', message: 'capture at tap5 began', ...about });
  agent.take({ ...PROGRAM, revision: 5, captures: [] });
  assert.deepEqual(brief(await told()), ['captureDetached by controller web-1/0']);
});

test('tells of a device that comes, with the milliseconds to its capture, and of one that goes', async (t) => {
  const { agent, links, told } = await running(t, ids);
  agent.take(PROGRAM);
  assert.deepEqual(await told(), []);
  links.set(web(5, { seenAt: performance.now() - 50 }), ids);
  const events = await told();
  assert.deepEqual(brief(events), ['captureAttached by agent web-1/0']);
  const ms = events[0]?.ms ?? 0;
  assert.ok(ms >= 50 && ms < 5000, `${ms} ms`);
  links.set(ids);
  const [gone] = await told();
  assert.deepEqual([gone?.kind, gone?.message], ['captureDetached', 'capture at tap5 ended: the device is gone']);
});

test('tells of a device that came back under the same ifindex as gone and come', async (t) => {
  const { agent, links, datapath, told } = await running(t, web(5, { seenAt: 1 }), ids);
  agent.take(PROGRAM);
  await told();
  links.set(web(5, { seenAt: 2 }), ids);
  assert.deepEqual(brief(await told()), ['captureDetached by agent web-1/0', 'captureAttached by agent web-1/0']);
  links.set(web(5, { seenAt: 2, mtu: 1400 }), ids);
  assert.deepEqual(await told(), []);
  assert.equal(datapath.state.captures[0]?.ifindex, 5);
});

test('tells of a refusal once, and of the capture that is taken later', async (t) => {
  const { agent, datapath, told, last } = await running(t, web(), ids);
  datapath.refuse(5, 'HOOK_OCCUPIED');
  agent.take(PROGRAM);
  const events = await told();
  assert.deepEqual(brief(events), ['captureRefused by controller web-1/0']);
  assert.equal(events[0]?.code, 'HOOK_OCCUPIED');
  const before = datapath.applied;
  await until('it was tried again', () => datapath.applied > before);
  assert.deepEqual(await told(), []);
  datapath.accept(5);
  await until('it is taken', () => last('status')?.captures[0]?.state === 'capturing');
  assert.deepEqual(brief(await told()), ['captureAttached by agent web-1/0']);
});

test('tells of a device that vanished in the middle of a pass as gone, once, and of no refusal', async (t) => {
  const { agent, links, datapath, told } = await running(t, web(), ids);
  agent.take(PROGRAM);
  await told();
  datapath.refuse(5, 'ATTACH_FAILED', true);
  links.set(web(), ids);
  assert.deepEqual(brief(await told()), ['captureDetached by agent web-1/0']);
  links.set(ids);
  assert.deepEqual(await told(), []);
});

test('tells what was repaired: a program of a device by its name, pins and the helper by their number', async (t) => {
  const { agent, links, datapath, told } = await running(t, web(), ids);
  agent.take(PROGRAM);
  await told();
  datapath.interference = [
    { kind: 'helperGone', count: 1 },
    { kind: 'takenOff', program: 'capture_ingress', ifindex: 5, count: 1 },
    { kind: 'pushedBack', program: 'capture_egress', ifindex: 5, count: 1 },
    { kind: 'unpinned', count: 3 },
  ];
  links.set(web(), ids);
  const said = (await told()).map(({ kind, message, interface: id, count }) => [kind, message, id, count]);
  assert.deepEqual(said, [
    ['repaired', 'repaired: the helper device was missing, 3 pins were removed', undefined, 4],
    [
      'repaired',
      'repaired: capture_ingress of tap5 was detached, capture_egress of tap5 was pushed back by another program',
      'web-1/0',
      2,
    ],
  ]);
});

test('tells of a data path that fails once, until it works again', async (t) => {
  const { agent, datapath, told, last } = await running(t, web(), ids);
  datapath.failure = new Error('out of memory');
  agent.take(PROGRAM);
  const before = datapath.applied;
  await until('it was tried again', () => datapath.applied > before + 1);
  const [failed, ...more] = await told();
  assert.deepEqual(more, []);
  assert.deepEqual([failed?.kind, failed?.code, failed?.message], ['datapathFailed', 'ATTACH_FAILED', 'out of memory']);
  datapath.failure = undefined;
  await until('it works', () => last('status')?.appliedRevision === 4);
  assert.deepEqual(brief(await told()), ['captureAttached by controller web-1/0']);
});

test('many captures of one policy at once are reported in one event with their number', async (t) => {
  const many = Array.from({ length: 40 }, (_, index) =>
    link(`tap${100 + index}`, 100 + index, { alias: `mirrorplane:kind=vm;id=many-${index}/0` }),
  );
  const { agent, told } = await running(t, ids, ...many);
  const captures = many.map((_, index) => {
    const source = `many-${index}/0`;
    return { ...PROGRAM.captures[0]!, id: `p1/${source}`, source, sourceSlot: index };
  });
  agent.take({ ...PROGRAM, captures });
  const [event, ...more] = await told();
  assert.deepEqual(more, []);
  assert.deepEqual(
    [event?.kind, event?.count, event?.policy, event?.interface],
    ['captureAttached', 40, 'p1', undefined],
  );
});

test('while devices keep coming, the check for interference is delayed, but not for ever', async (t) => {
  const { agent, links, datapath } = await running(t);
  const looks: boolean[] = [];
  const apply = datapath.apply.bind(datapath);
  datapath.apply = (state: DatapathState, options?: ApplyOptions) => {
    looks.push(options?.look ?? true);
    return apply(state);
  };
  datapath.isIntact = () => false;
  // It is new whenever somebody asks.
  links.links = () => [web(5, { seenAt: performance.now() }), ids];
  agent.take(PROGRAM);
  await until('two looks', () => looks.filter((look) => look).length >= 2);
  assert.ok(!looks.some((look, index) => look && looks[index + 1]), looks.join());
});

test('without a sign of interference no pass is made, and with one a pass that looks comes within a second', async (t) => {
  const { agent, datapath } = await running(t, web(), ids);
  const looks: boolean[] = [];
  const apply = datapath.apply.bind(datapath);
  datapath.apply = (state: DatapathState, options?: ApplyOptions) => {
    looks.push(options?.look ?? true);
    return apply(state);
  };
  let checks = 0;
  datapath.isIntact = () => {
    checks++;
    return datapath.interference.length === 0;
  };
  agent.take(PROGRAM);
  await until('three checks', () => checks >= 3);
  assert.ok(!looks.slice(1).includes(true), looks.join());
  const before = looks.length;
  datapath.interference = [{ kind: 'unpinned', count: 1 }];
  const since = performance.now();
  await until('a look', () => looks.includes(true), { limitMs: 3000 });
  assert.ok(performance.now() - since < 1000);
  datapath.interference = [];
  const passes = looks.length;
  await until('three more checks', () => checks >= 8);
  assert.ok(looks.length <= passes + 1, `${before} passes, ${passes}, and then ${looks.length}`);
});

test('a look is in the state while it lives, follows its guest, and is gone from the state after it', async (t) => {
  const { agent, links, datapath } = await running(t, web(), ids);
  agent.take(PROGRAM);
  await agent.settled();
  assert.equal(datapath.state.looks, undefined);
  agent.looks.begin({ id: 'l1', of: { interfaces: ['web-1/0'] }, words: 'tcp' });
  await agent.settled();
  const at = () =>
    datapath.state.looks?.flatMap(({ hooks }) => hooks.map(({ ifindex, place }) => `${ifindex} ${place}`));
  assert.deepEqual(at(), ['5 sent', '5 delivered']);
  links.set(web(12), ids);
  await agent.settled();
  assert.deepEqual(at(), ['12 sent', '12 delivered']);
  agent.looks.end('l1');
  await until('the look to be gone', () => datapath.state.looks === undefined);
});
