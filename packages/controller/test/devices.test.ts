/** Policies and edges on devices that cannot be mirrored. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import type { Device } from '@mirrorplane/contract';
import { Bench, refusals, type TestAgent, vmDevice } from './harness.ts';

const api = '/api/v1';
const BRIDGE = {
  guest: 'is a bridge, which many guests share: use the tap or veth of the guest instead',
  edge: 'is a bridge: declare its port eth0 instead',
};
const plain = (name: string, ifindex: number, more: Partial<Device> = {}): Device => ({
  ...vmDevice('', ifindex, { name, linkType: '', ...more }),
  identity: undefined,
});

async function connected(bench: Bench, name: string): Promise<TestAgent> {
  const agent = await bench.connect(await bench.credentials(name));
  agent.hello(name);
  return agent;
}

/** A node with a VM to copy to, and these devices. */
async function node(t: test.TestContext, ...devices: Device[]): Promise<{ bench: Bench; agent: TestAgent }> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const agent = await connected(bench, 'node-1');
  agent.inventory(vmDevice('ids-1/0', 6), ...devices);
  await until('the devices', async () => (await bench.get(`${api}/nodes/node-1`)).body.devices.length > devices.length);
  return { bench, agent };
}

test('a policy with an interface on a bridge shows that the device is a bridge, as source and as destination', async (t) => {
  const { bench } = await node(t, vmDevice('web-1/0', 5, { name: 'br0', linkType: 'bridge', notMirrorable: BRIDGE }));
  const source = await bench.post(`${api}/policies`, { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  assert.deepEqual([source.status, refusals(source)], [422, ['POLICY_SOURCE_UNSUPPORTED sources[0]']]);
  assert.match(source.body.detail, /"web-1\/0" cannot be mirrored: br0 on node "node-1" is a bridge, .*: use the tap/);
  const destination = await bench.post(`${api}/policies`, { name: 'p', sources: ['ids-1/0'], destination: 'web-1/0' });
  assert.deepEqual(refusals(destination), ['POLICY_DESTINATION_UNSUPPORTED destination']);
  const { devices } = (await bench.get(`${api}/interfaces/web-1%2F0`)).body;
  assert.equal(devices[0].notMirrorable, BRIDGE.guest);
});

test('a second device that cannot be mirrored is no migration of an interface that has one which can', async (t) => {
  const { bench } = await node(t, vmDevice('web-1/0', 5));
  await bench.must('PUT', `${api}/nodes/node-2`, { pool: 'east' });
  const second = await connected(bench, 'node-2');
  second.inventory(vmDevice('web-1/0', 9, { name: 'br0', linkType: 'bridge', notMirrorable: BRIDGE }));
  await until('the bridge', async () => (await bench.get(`${api}/nodes/node-2`)).body.devices.length === 1);
  const found = (await bench.get(`${api}/interfaces/web-1%2F0`)).body;
  assert.deepEqual([found.home, found.devices.length], ['node-1', 1]);
});

test('a bridge is refused as an edge with the name of its NIC, by name and by MAC address, and an unknown device is taken', async (t) => {
  const { bench } = await node(t, plain('vmbr0', 5, { notMirrorable: BRIDGE }));
  const edge = (declaration: object) =>
    bench.put(`${api}/interfaces/up`, { kind: 'edge', edge: { node: 'node-1', ...declaration } });
  const byName = await edge({ device: 'vmbr0' });
  assert.deepEqual(
    [byName.status, byName.body.code, refusals(byName)],
    [422, 'EDGE_UNSUPPORTED', ['EDGE_UNSUPPORTED edge.device']],
  );
  assert.equal(byName.body.detail, 'vmbr0 on node "node-1" is a bridge: declare its port eth0 instead');
  assert.deepEqual(refusals(await edge({ mac: '02:00:00:00:00:05' })), ['EDGE_UNSUPPORTED edge.mac']);
  assert.equal((await edge({ device: 'eth9' })).status, 201);
});

test('an edge by MAC address is the NIC, and not the bridge above it that came first', async (t) => {
  const mac = '02:00:00:00:00:77';
  const { bench } = await node(t, plain('vmbr0', 3, { mac, notMirrorable: BRIDGE }), plain('eth0', 7, { mac }));
  await bench.must('PUT', `${api}/interfaces/up`, { kind: 'edge', edge: { node: 'node-1', mac } });
  assert.equal((await bench.get(`${api}/interfaces/up`)).body.devices[0].name, 'eth0');
});

test('an edge declared by a further name of a device is that device', async (t) => {
  const { bench } = await node(t, plain('eth0', 7, { altNames: ['enp0s31f6-the-long-name'] }));
  const edge = { node: 'node-1', device: 'enp0s31f6-the-long-name' };
  await bench.must('PUT', `${api}/interfaces/up`, { kind: 'edge', edge });
  assert.equal((await bench.get(`${api}/interfaces/up`)).body.devices[0].name, 'eth0');
});

test('an id that is the name of a device is answered with what that device is', async (t) => {
  const { bench, agent } = await node(
    t,
    plain('tap-web', 5, { notMirrorable: { edge: 'is a tap, which leads to a guest: …' } }),
    plain('eth0', 7, { notMirrorable: { guest: 'is a physical NIC, …' } }),
    plain('br0', 8, { notMirrorable: BRIDGE }),
    vmDevice('db-1/0', 9),
    vmDevice('br-1/0', 10, { notMirrorable: BRIDGE }),
  );
  agent.send({
    type: 'status',
    appliedRevision: 1,
    captures: [],
    problems: [{ code: 'DEVICE_UNSUPPORTED', message: 'vhu-1 is a port of type dpdkvhostuser', interface: 'vhu/0' }],
  });
  await until('the problem', async () => (await bench.get(`${api}/nodes/node-1`)).body.problems.length === 1);
  const answers: [source: string, code: string, message: RegExp][] = [
    ['tap-web', 'NOT_FOUND', /"tap-web" is a device of node "node-1" without identity: give it an alias/],
    ['eth0', 'NOT_FOUND', /"eth0" is a device of node "node-1" without identity: declare it/],
    ['br0', 'UNSUPPORTED', /"br0" is a device of node "node-1" and cannot be mirrored: it is a bridge/],
    ['tap9', 'NOT_FOUND', /use the interface "db-1\/0" instead/],
    ['tap10', 'UNSUPPORTED', /"tap10" is a device of node "node-1" and cannot be mirrored: it is a bridge/],
    ['vhu/0', 'UNSUPPORTED', /node "node-1" reports: vhu-1 is a port of type dpdkvhostuser/],
    ['nope', 'NOT_FOUND', /there is no interface "nope"/],
  ];
  for (const [source, code, message] of answers) {
    const reply = await bench.post(`${api}/policies`, { name: 'p', sources: [source], destination: 'ids-1/0' });
    assert.deepEqual(refusals(reply), [`POLICY_SOURCE_${code} sources[0]`], source);
    assert.match(reply.body.errors[0].message, message);
  }
});

test('a policy fails with the reason where the device of its source becomes a port of a bond', async (t) => {
  const { bench, agent } = await node(t, vmDevice('web-1/0', 5));
  await bench.must('POST', `${api}/policies`, { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  const why = { guest: 'is a slave of the bond bond0: use the tap or veth of the guest instead' };
  agent.inventory(vmDevice('ids-1/0', 6), vmDevice('web-1/0', 5, { notMirrorable: why }));
  const { uid } = (await bench.get(`${api}/policies/p`)).body;
  const problems = [{ code: 'DEVICE_UNSUPPORTED', message: `web-1/0: tap5 ${why.guest}`, interface: 'web-1/0' }];
  const base = { capture: `${uid}/web-1/0`, device: 'tap5', code: 'DEVICE_UNSUPPORTED', message: `tap5 ${why.guest}` };
  const status = await until('the status', async () => {
    const appliedRevision = agent.program?.revision ?? 0;
    agent.send({ type: 'status', appliedRevision, captures: [{ ...base, state: 'refused' }], problems });
    const { body } = await bench.get(`${api}/policies/p/status`);
    return body.state === 'failed' && body;
  });
  assert.deepEqual(
    status.reasons.map(({ code, node: at }: { code: string; node: string }) => [code, at]),
    [['DEVICE_UNSUPPORTED', 'node-1']],
  );
  assert.match(status.reasons[0].message, /is a slave of the bond bond0/);
});
