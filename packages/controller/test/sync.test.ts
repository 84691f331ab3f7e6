/** The connection of an agent: who may open it, and which programs the agent gets. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, certificateRequest, vmDevice } from './harness.ts';

const policy = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };

test('a program arrives after the hello, and another after a policy is made', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  const first = await until('a program arrives', () => agent.program);
  assert.deepEqual([first.node, first.captures], ['node-1', []]);

  agent.inventory(vmDevice('web-1/0', 7), vmDevice('ids-1/0', 8));
  await until('the interface is listed', async () => (await bench.get('/api/v1/interfaces/web-1%2F0')).status === 200);
  await bench.must('POST', '/api/v1/policies', policy);
  const second = await until('the program has a capture', () => agent.program?.captures.length === 1 && agent.program);
  assert.ok(second.revision > first.revision);
  assert.equal(second.captures[0]?.source, 'web-1/0');
  assert.equal(second.deliveries[0]?.kind, 'local');
  const node = (await bench.get('/api/v1/nodes/node-1')).body;
  assert.deepEqual([node.connected, node.programRevision, node.devices.length], [true, second.revision, 2]);
});

test('two nodes get a capture with ERSPAN delivery and the termination for it', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 7));
  two.inventory(vmDevice('ids-1/0', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', policy);
  const sends = await until('node-1 sends', () => one.program?.deliveries.find(({ kind }) => kind === 'erspan'));
  const takes = await until('node-2 terminates', () => two.program?.terminations[0]);
  assert.ok(sends.kind === 'erspan');
  assert.deepEqual([sends.address, sends.session], ['10.0.0.2', takes.session]);
  assert.equal(takes.address, '10.0.0.1');
});

test('an agent without a certificate, or with that of another authority, is refused with 401', async (t) => {
  const bench = await Bench.start(t);
  const other = await Bench.start(t);
  await bench.cluster('node-1');
  await other.cluster('node-1');
  const good = await bench.credentials('node-1');
  const foreign = await other.credentials('node-1');
  await assert.rejects(bench.connect({ authority: good.authority }), /status 401/);
  await assert.rejects(bench.connect({ ...foreign, authority: good.authority }), /status 401/);
  await bench.connect(good);
});

test('the certificate of a deleted node is refused, also after a new node with that name has been registered', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  await until('a program arrives', () => agent.program);
  await bench.must('DELETE', '/api/v1/nodes/node-1');
  assert.equal((await until('it is closed', () => agent.closed)).code, 4004);
  await assert.rejects(bench.connect(credentials), /status 401/);
  await bench.must('PUT', '/api/v1/nodes/node-1', { pool: 'east' });
  await assert.rejects(bench.connect(credentials), /status 401/);
  await bench.connect(await bench.credentials('node-1'));
});

test('a hello of another name, of another protocol, and what is no message end the connection with a reason', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const credentials = await bench.credentials('node-1');
  const cases: [send: object | string, code: number, reason: RegExp][] = [
    [hello({ node: 'node-2' }), 4002, /certificate/],
    [hello({ protocol: 99 }), 4001, /protocol 1/],
    ['{', 4000, /JSON/],
    [{ type: 'inventory', devices: [] }, 4000, /hello/],
    [{ type: 'hello', node: 3 }, 4000, /node/],
  ];
  for (const [message, code, reason] of cases) {
    const agent = await bench.connect(credentials);
    agent.send(typeof message === 'string' ? message : JSON.stringify(message));
    const closed = await until('it is closed', () => agent.closed);
    assert.equal(closed.code, code, closed.reason);
    assert.match(closed.reason, reason);
  }
});

function hello(more: object): object {
  return { type: 'hello', protocol: 1, node: 'node-1', agentVersion: '0', kernel: '6', ...more };
}

test('the newest connection of a node takes over from one that does not answer any more', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const older = await bench.connect(credentials);
  older.hello('node-1');
  await until('the older one has a program', () => older.program);
  // Like a host without a network: the agent reads nothing, so it answers no ping.
  older.socket.pause();
  const newer = await bench.connect(credentials);
  newer.hello('node-1');
  newer.inventory(vmDevice('web-1/0', 7));
  await until('the newer one has a program', () => newer.program);
  await until(
    'what it said meanwhile is taken',
    async () => (await bench.get('/api/v1/interfaces')).body.items.length > 0,
  );
  older.socket.resume();
  assert.equal((await until('the older one is closed', () => older.closed)).code, 4003);
  const { connected, problems } = (await bench.get('/api/v1/nodes/node-1')).body;
  assert.deepEqual([connected, problems], [true, []]);
});

test('a second agent of a node is refused while the first one answers, and changes nothing', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const first = await bench.connect(credentials);
  first.hello('node-1');
  first.inventory(vmDevice('web-1/0', 7));
  await until('its interface is listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 1);
  await until('it has its program', () => first.programs.length > 0);
  const programs = [...first.programs];
  for (let i = 0; i < 3; i++) {
    const second = await bench.connect(credentials);
    second.hello('node-1', { underlay: { device: 'eth1', address: '10.0.0.77', mtu: 1500 } });
    second.inventory(vmDevice('other/0', 9));
    const { code, reason } = await until('it is closed', () => second.closed);
    assert.equal(code, 4006);
    assert.match(reason, /127\.0\.0\.1 has the node, \S*127\.0\.0\.1 is refused/);
    assert.deepEqual(second.programs, []);
  }
  const { connected, problems, underlay, devices } = (await bench.get('/api/v1/nodes/node-1')).body;
  assert.deepEqual([connected, underlay.address, devices.length], [true, '10.0.0.1', 1]);
  assert.deepEqual(
    problems.map(({ code }: { code: string }) => code),
    ['NODE_SECOND_AGENT'],
  );
  assert.match(problems[0].message, /agent at \S*127\.0\.0\.1 serves this node, and another agent at \S*127\.0\.0\.1/);
  const events = (await bench.get('/api/v1/events?kind=nodeRejected')).body.items;
  assert.deepEqual(
    events.map(({ code }: { code: string }) => code),
    ['NODE_SECOND_AGENT'],
  );
  assert.deepEqual([first.closed, first.programs], [undefined, programs]);
  assert.equal((await bench.get('/api/v1/events?kind=nodeDisconnected')).body.items.length, 0);
  bench.ahead = 130_000;
  assert.deepEqual((await bench.get('/api/v1/nodes/node-1')).body.problems, []);
});

test('after a restart of the controller devices, sessions and programs are those of before', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const [one, two] = [await bench.credentials('node-1'), await bench.credentials('node-2')];
  const agents = [await bench.connect(one), await bench.connect(two)] as const;
  agents[0].hello('node-1');
  agents[1].hello('node-2');
  agents[0].inventory(vmDevice('web-1/0', 7));
  agents[1].inventory(vmDevice('ids-1/0', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', policy);
  const before = await until('it is captured', () => agents[0].program?.captures.length === 1 && agents[0].program);
  await until('it is terminated', () => agents[1].program?.terminations.length === 1);

  await bench.restart();
  assert.equal((await until('the agent hears of it', () => agents[0].closed)).code, 1001);
  const node = (await bench.get('/api/v1/nodes/node-1')).body;
  assert.deepEqual([node.connected, node.programRevision, node.devices.length], [false, before.revision, 1]);
  const again = await bench.connect(one);
  again.hello('node-1', { appliedRevision: before.revision });
  assert.deepEqual(await until('a program arrives', () => again.program), before);
  // The other agent is not back yet, and the plan still uses its devices.
  again.inventory(vmDevice('web-1/0', 7));
  await until('the node is connected', async () => (await bench.get('/api/v1/nodes/node-1')).body.connected);
  assert.deepEqual(again.programs, [before]);
});

test('a kernel that is ahead of the controller gets a program with a higher revision', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.hello('node-1', { appliedRevision: 500 });
  assert.equal((await until('a program arrives', () => agent.program)).revision, 501);
});

test('a VM that migrates has two devices, the newest last, and then one, and its policy follows', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 7), vmDevice('ids-1/0', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', policy);
  const nodes = async () => {
    const { body } = await bench.get('/api/v1/interfaces/ids-1%2F0');
    return body.devices.map(({ node }: { node: string }) => node).join();
  };
  two.inventory(vmDevice('ids-1/0', 9));
  await until('it has two devices', async () => (await nodes()) === 'node-1,node-2');
  one.inventory(vmDevice('web-1/0', 7));
  await until('it has one device', async () => (await nodes()) === 'node-2');
  await until('node-1 sends to node-2', () => one.program?.deliveries[0]?.kind === 'erspan');
  await until('node-2 delivers', () => two.program?.deliveries[0]?.kind === 'local');
});

test('the devices of a node that is gone stay, until the interface is seen elsewhere and the grace is over', async (t) => {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 7));
  const nodes = async () => {
    const { body } = await bench.get('/api/v1/interfaces/web-1%2F0');
    return (body.devices ?? []).map(({ node }: { node: string }) => node).join();
  };
  await until('it is seen', async () => (await nodes()) === 'node-1');
  one.close();
  await until('the node is gone', async () => !(await bench.get('/api/v1/nodes/node-1')).body.connected);
  bench.ahead = 3_600_000;
  assert.equal(await nodes(), 'node-1');
  two.inventory(vmDevice('web-1/0', 9));
  await until('it is on node-2 alone', async () => (await nodes()) === 'node-2');
});

test('an edge follows its declaration to another device', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  const plain = (name: string, ifindex: number) => vmDevice('', ifindex, { name, identity: undefined });
  agent.inventory(vmDevice('web-1/0', 7), plain('eth2', 2), plain('eth3', 3));
  const edge = (device: object) => ({ kind: 'edge', edge: { node: 'node-1', ...device, allowedVlans: [100] } });
  await bench.must('PUT', '/api/v1/interfaces/uplink', edge({ device: 'eth2' }));
  await until('the VM is listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  const body = { name: 'p', sources: ['web-1/0'], destination: 'uplink', vlanId: 100 };
  assert.equal((await bench.must('POST', '/api/v1/policies', body)).type, 'virtual-to-physical');
  await until('it is bound', () => agent.program?.edges[0]?.device === 'eth2');
  const moved = await bench.must('PUT', '/api/v1/interfaces/uplink', edge({ mac: '02:00:00:00:00:03' }));
  assert.deepEqual(
    moved.devices.map(({ name }: { name: string }) => name),
    ['eth3'],
  );
  await until('it is bound anew', () => agent.program?.edges[0]?.mac === '02:00:00:00:00:03');
  assert.equal(agent.program?.captures.length, 1);
  // The list of VLANs cannot lose a VLAN that a policy uses.
  const shrunk = { kind: 'edge', edge: { node: 'node-1', device: 'eth2', allowedVlans: [7] } };
  const refused = await bench.put('/api/v1/interfaces/uplink', shrunk);
  assert.deepEqual([refused.status, refused.body.errors[0].code], [409, 'POLICY_VLAN_NOT_IN_TRUNK']);
});

test('a request for a certificate with a name that is not the node is refused, and its token stays good', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const { parseJoinToken } = await import('@mirrorplane/contract');
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  const wrong = await certificateRequest('node-2');
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr: wrong.csr })).status, 400);
  const right = await certificateRequest('node-1');
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr: right.csr })).status, 200);
});
