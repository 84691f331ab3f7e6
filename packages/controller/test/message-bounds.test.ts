/** Bounds of what an agent can send. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { MAX_DEVICES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES } from '@mirrorplane/contract';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const options = { timeout: 120_000 };
/** Milliseconds within which a bad message must be handled, on a busy machine. */
const PROMPT_MS = 2000;

async function start(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const connect = () => bench.connect(credentials);
  const greeted = async () => {
    const agent = await connect();
    agent.hello('node-1');
    await until('a program arrives', () => agent.program);
    return agent;
  };
  return { bench, connect, greeted };
}

/** Sends a message that must be refused. Returns the code of the close frame. */
async function refused(agent: TestAgent, message: string): Promise<number> {
  const began = performance.now();
  agent.send(message);
  const { code } = await until('it is closed', () => agent.closed);
  const took = performance.now() - began;
  assert.ok(took < PROMPT_MS, `${message.slice(0, 40)}: ${took} ms`);
  return code;
}

test('a message larger than the limit of a hello is not read before the hello', options, async (t) => {
  const { bench, connect } = await start(t);
  const kernel = (size: number) =>
    JSON.stringify({ type: 'hello', protocol: 1, node: 'node-1', agentVersion: '0.1.0', kernel: 'k'.repeat(size) });
  assert.equal(await refused(await connect(), kernel(MAX_HELLO_BYTES)), 4000);
  // The frame is longer than the controller reads at this point: it cuts the connection without a
  // close frame.
  assert.equal(await refused(await connect(), kernel(MAX_MESSAGE_BYTES - 1000)), 1006);
  const sneaking = await connect();
  for (let part = 0; part < 100 && !sneaking.closed; part++) {
    sneaking.socket.send('x'.repeat(1000), { fin: false });
  }
  assert.equal((await until('it is closed', () => sneaking.closed)).code, 1006);
  const pinging = await connect();
  for (let ping = 0; ping < 100; ping++) {
    pinging.socket.ping(Buffer.alloc(125));
  }
  assert.equal((await until('it is closed', () => pinging.closed)).code, 1006);
  assert.equal((await bench.get('/api/v1/nodes/node-1')).body.connected, false);
});

test('a revision that leaves no room for others is refused', options, async (t) => {
  const { bench, connect } = await start(t);
  const agent = await connect();
  agent.hello('node-1', { appliedRevision: 2 ** 53 - 1 });
  const { code, reason } = await until('it is closed', () => agent.closed);
  assert.deepEqual([code, /appliedRevision/.test(reason)], [4000, true]);
  assert.ok((await bench.get('/api/v1/nodes/node-1')).body.programRevision < 100);
});

test('an inventory that is sent together with the hello is taken', options, async (t) => {
  const { bench, connect } = await start(t);
  const agent = await connect();
  agent.hello('node-1');
  agent.inventory(...Array.from({ length: 500 }, (_, index) => vmDevice(`vm-${index}/0`, index + 1)));
  await until('500 are listed', async () => (await bench.get('/api/v1/nodes/node-1')).body.devices.length === 500);
  assert.equal(agent.closed, undefined);
});

test('messages that are large, wide, deep or wrong in every item are refused at once', options, async (t) => {
  const { bench, greeted } = await start(t);
  const room = MAX_MESSAGE_BYTES - 200;
  const inventory = (devices: string) => `{"type":"inventory","devices":${devices}}`;
  const counters = (counts: string) =>
    `{"type":"counters","report":{"epoch":"e","captures":[{"policy":"p","source":"s","direction":"inbound","counts":${counts}}],"deliveries":[],"terminations":[],"unknownErspan":0}}`;
  const keys = Array.from({ length: room / 12 }, (_, index) => `"k${index}":0`).join();
  const cases: [what: string, message: string, code: number][] = [
    ['larger than a message may be', inventory(`"${'x'.repeat(MAX_MESSAGE_BYTES)}"`), 1009],
    ['a list without end', inventory(`[${'0,'.repeat(room / 2 - 20)}0]`), 4000],
    ['empty items', inventory(`[${'{},'.repeat(MAX_DEVICES - 1)}{}]`), 4000],
    ['lists within lists', inventory('['.repeat(room / 2) + ']'.repeat(room / 2 - 20)), 4000],
    ['an object of many fields', counters(`{${keys}}`), 4000],
    ['reasons without end', counters(`{"matched":{"packets":1,"bytes":1},"dropped":{${keys.slice(0, -9)}}}`), 4000],
    [
      'a long text',
      `{"type":"status","appliedRevision":1,"captures":[],"problems":[{"code":"X","message":"${'m'.repeat(room - 200)}"}]}`,
      4000,
    ],
  ];
  for (const [what, message, code] of cases) {
    assert.equal(await refused(await greeted(), message), code, what);
  }
  assert.equal((await bench.get('/api/v1/nodes/node-1')).status, 200);
});

test('devices in several messages are taken together with the last one, up to a limit', options, async (t) => {
  const { bench, greeted } = await start(t);
  const agent = await greeted();
  const devices = async () =>
    (await bench.get('/api/v1/nodes/node-1')).body.devices.map(({ name }: { name: string }) => name).join();
  const send = (more: object, ...indexes: number[]) =>
    agent.send(
      JSON.stringify({ type: 'inventory', devices: indexes.map((at) => vmDevice(`vm-${at}/0`, at)), ...more }),
    );
  send({}, 1);
  await until('one', async () => (await devices()) === 'tap1');
  send({ more: true }, 1, 2);
  send({ more: true }, 3);
  agent.send({ type: 'status', appliedRevision: 7, captures: [], problems: [] });
  await until('the status', async () => (await bench.get('/api/v1/nodes/node-1')).body.appliedRevision === 7);
  assert.equal(await devices(), 'tap1');
  send({}, 4);
  await until('four', async () => (await devices()) === 'tap1,tap2,tap3,tap4');
  send({}, 5);
  await until('a new list', async () => (await devices()) === 'tap5');
  const plain = { ifindex: 1, mac: '', mtu: 1500, up: true, linkType: '' };
  const half = Array.from({ length: MAX_DEVICES / 4 }, (_, at) => ({ ...plain, name: `d${at}` }));
  const part = JSON.stringify({ type: 'inventory', devices: half, more: true });
  for (let count = 0; count < 5; count++) {
    agent.send(part);
  }
  const { code, reason } = await until('it is closed', () => agent.closed);
  assert.deepEqual([code, reason], [4000, `a node has at most ${MAX_DEVICES} devices`]);
});

test('an interface id such as constructor is an id like any other', options, async (t) => {
  const { bench, greeted } = await start(t);
  const agent = await greeted();
  agent.inventory(vmDevice('constructor', 7), vmDevice('toString', 8, { guest: 'running' }));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.restart();
  const { items } = (await bench.get('/api/v1/interfaces')).body;
  assert.deepEqual(
    items.map(({ id, home }: { id: string; home: string }) => `${id} ${home}`),
    ['constructor node-1', 'toString node-1'],
  );
});

test('an agent that keeps the controller busy waits, and others do not', options, async (t) => {
  const { bench, greeted } = await start(t);
  const busy = await greeted();
  const devices = Array.from({ length: 3000 }, (_, at) => vmDevice(`vm-${at}/0`, at + 1));
  const message = JSON.stringify({ type: 'inventory', devices });
  assert.ok(message.length < MAX_MESSAGE_BYTES);
  busy.send(message);
  await until('3000 are listed', async () => (await bench.get('/api/v1/nodes/node-1')).body.devices.length === 3000, {
    limitMs: 60_000,
  });
  /** Requests of an operator that are answered within a time. */
  const served = async () => {
    let count = 0;
    for (const end = performance.now() + 4000; performance.now() < end; count++) {
      assert.equal((await bench.get('/api/v1/domains')).status, 200);
    }
    return count;
  };
  const quiet = await served();
  for (let count = 0; count < 300; count++) {
    busy.send(message);
  }
  const during = await served();
  // The test's agent uses CPU time in the same process. Without the bound almost no request is
  // served.
  assert.ok(during > quiet / 40, `${during} requests were served, and ${quiet} without that agent`);
  assert.equal(busy.closed, undefined);
});

test('an agent of another version is turned away, and log of events and node say so once', options, async (t) => {
  const { bench, connect } = await start(t);
  await bench.declare('web-1/0', 'ids-1/0');
  // Only the number of a later version is known.
  const hello = JSON.stringify({ type: 'hello', protocol: 3, name: { of: 'node' }, capabilities: [1, 2] });
  for (let attempt = 0; attempt < 3; attempt++) {
    const agent = await connect();
    agent.send(hello);
    const { code, reason } = await until('it is closed', () => agent.closed);
    assert.deepEqual([code, reason], [4001, 'this controller speaks protocol 1, and not 3: upgrade the controller']);
  }
  const told = async () => (await bench.get('/api/v1/events?object=node/node-1&kind=nodeRejected')).body.items;
  await until('it is told', async () => (await told()).length > 0);
  const rejected = await told();
  assert.equal(rejected.length, 1);
  assert.equal(rejected[0].code, 'PROTOCOL_UNSUPPORTED');
  assert.match(rejected[0].message, /version 3 .* version 1.*: upgrade the controller/);
  const node = async () => (await bench.get('/api/v1/nodes/node-1')).body;
  const { problems, connected } = await node();
  assert.equal(connected, false);
  assert.deepEqual([problems[0].code, problems[0].message], ['PROTOCOL_UNSUPPORTED', rejected[0].message]);
  const older = await connect();
  older.hello('node-1', { protocol: 0 });
  assert.match((await until('it is closed', () => older.closed)).reason, /upgrade the agent$/);
  const good = await connect();
  good.hello('node-1');
  await until('a program arrives', () => good.program);
  assert.deepEqual((await node()).problems, []);
});
