/**
 * A node is believed about its own interfaces. A claim does not take away an interface of another
 * node.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { BOTH_RUN_MS, MOVE_MS } from '../src/inventory/places.ts';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const body = { name: 'p', sources: ['app-1/0'], destination: 'mon-1/0' };

/**
 * Node-1 has the source, and node-2 has the destination. Node-3 is in the same domain, node-4 in
 * domain green.
 */
async function start(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2', 'node-3');
  await bench.must('PUT', '/api/v1/domains/green', {});
  await bench.must('PUT', '/api/v1/pools/south', { domain: 'green' });
  await bench.must('PUT', '/api/v1/nodes/node-4', { pool: 'south' });
  const agents: TestAgent[] = [];
  for (const node of ['node-1', 'node-2', 'node-3', 'node-4']) {
    const agent = await bench.connect(await bench.credentials(node));
    agent.hello(node);
    agents.push(agent);
  }
  const [one, two, three, four] = agents as [TestAgent, TestAgent, TestAgent, TestAgent];
  one.inventory(vmDevice('app-1/0', 5));
  two.inventory(vmDevice('mon-1/0', 6));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', body);
  await until('node-1 sends', () => sentTo(one).length > 0);
  const problems = async (node: string): Promise<[string, string][]> =>
    (await bench.get(`/api/v1/nodes/${node}`)).body.problems.map((p: { code: string; message: string }) => [
      p.code,
      p.message,
    ]);
  const told = (node: string, code: string) =>
    until(`${code} at ${node}`, async () => (await problems(node)).find((problem) => problem[0] === code)?.[1]);
  const place = async (id: string) => {
    const { home, devices } = (await bench.get(`/api/v1/interfaces/${encodeURIComponent(id)}`)).body;
    return `${home}: ${devices.map(({ node }: { node: string }) => node).join()}`;
  };
  return { bench, one, two, three, four, problems, told, place };
}

/** Messages of a node about an interface: an event, and counters of the interface as a source. */
function tell(agent: TestAgent, id: string, uid: string, packets: number): void {
  const none = { packets: 0, bytes: 0 };
  const matched = { packets, bytes: packets * 100 };
  const counts = { matched, sampledOut: none, copied: matched, truncated: none, dropped: {}, skipped: {} };
  const captures = [{ policy: uid, source: id, direction: 'inbound', life: 1, counts } as const];
  const report = { epoch: 'e', captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  agent.send({ type: 'counters', reading: { run: 'r', readAt: 1 }, report });
  const at = new Date().toISOString();
  const event = { seq: packets, at, kind: 'repaired', cause: 'agent', message: `${packets}`, interface: id } as const;
  agent.send({ type: 'events', epoch: 'e', events: [event] });
}

/** Addresses of the node's deliveries, with those of its captures first. */
function sentTo({ program }: TestAgent): string[] {
  return program?.deliveries.flatMap((delivery) => (delivery.kind === 'erspan' ? [delivery.address] : [])) ?? [];
}

test('a claim of a running guest takes nothing from the node that has the interface, and both nodes show it', async (t) => {
  const { bench, one, three, told, place } = await start(t);
  three.inventory(vmDevice('mon-1/0', 9, { guest: 'running' }));
  for (const node of ['node-2', 'node-3']) {
    assert.match(await told(node, 'INTERFACE_DUPLICATE'), /"mon-1\/0": node "node-2" has it .* node "node-3"/);
  }
  assert.equal(await place('mon-1/0'), 'node-2: node-2');
  assert.deepEqual(sentTo(one), ['10.0.0.2']);
  assert.ok(!three.program?.deliveries.some(({ kind }) => kind === 'local'));
  const { reasons } = (await bench.get('/api/v1/policies/p/status')).body;
  assert.ok(reasons.some(({ code }: { code: string }) => code === 'INTERFACE_DUPLICATE'));
  const events = (await bench.get('/api/v1/events?kind=interfaceContested')).body.items;
  assert.deepEqual(
    events.map(({ object, node, code }: { object: { name: string }; node: string; code: string }) => [
      object.name,
      node,
      code,
    ]),
    [['mon-1/0', 'node-3', 'INTERFACE_DUPLICATE']],
  );
});

test('a claimed source is not captured until the node that has it reports it no longer', async (t) => {
  const { one, three, told, problems, place } = await start(t);
  assert.equal(three.program?.captures.length, 1, 'every node of the pool is prepared');
  three.inventory(vmDevice('app-1/0', 9, { guest: 'running' }));
  await told('node-3', 'INTERFACE_DUPLICATE');
  await until('node-3 captures nothing', () => three.program?.captures.length === 0);
  one.inventory(vmDevice('app-1/0', 5, { guest: 'absent' }));
  await until('it has moved', async () => (await place('app-1/0')) === 'node-3: node-1,node-3');
  await until('node-3 captures it', () => three.program?.captures.length === 1);
  await until('nothing is wrong', async () => (await problems('node-3')).length === 0);
  // The earlier node claims it, but another node has it now.
  one.inventory(vmDevice('app-1/0', 5, { guest: 'running' }));
  await until('it says so', async () => (await place('app-1/0')) === 'node-3: node-1,node-3');
});

test('a claim from another communication domain is no device, and nothing to the policy, until the former goes', async (t) => {
  const { bench, one, two, four, told, problems, place } = await start(t);
  four.inventory(vmDevice('mon-1/0', 9));
  const message = await told('node-4', 'INTERFACE_CONTESTED');
  assert.match(
    message,
    /node "node-2" in communication domain "blue" .* node "node-4" in communication domain "green"/,
  );
  assert.equal(await place('mon-1/0'), 'node-2: node-2');
  assert.deepEqual([sentTo(one), four.program?.terminations.length], [['10.0.0.2'], 0]);
  assert.deepEqual(await problems('node-2'), []);
  const { reasons } = (await bench.get('/api/v1/policies/p/status')).body;
  assert.ok(!reasons.some(({ code }: { code: string }) => code.startsWith('INTERFACE_')));
  two.inventory();
  await until('it has moved', async () => (await place('mon-1/0')) === 'node-4: node-4');
  await until('node-1 sends nothing', () => sentTo(one).length === 0);
});

test('a bound interface is on its node or on none, until it is released', async (t) => {
  const { bench, one, two, three, told, problems, place } = await start(t);
  const bind = (boundTo: string | undefined) =>
    bench.put('/api/v1/interfaces/mon-1%2F0', { kind: 'vm', ...(boundTo && { boundTo }) });
  const policy = async () => (await bench.get('/api/v1/policies/p/status')).body;
  assert.deepEqual((await bind('node-7')).body.errors[0].field, 'boundTo');
  assert.equal((await bind('node-2')).body.boundTo, 'node-2');
  // The host restarts, and another node claims the guest. Without the binding, the other node would
  // have it now.
  two.inventory();
  three.inventory(vmDevice('mon-1/0', 9));
  const message = await told('node-3', 'INTERFACE_CONTESTED');
  assert.match(message, /bound to node "node-2", which has no device for it; node "node-3" claims it with tap9/);
  assert.equal(await place('mon-1/0'), 'undefined: ');
  await until('nothing is sent', () => sentTo(one).length === 0);
  assert.ok(!three.program?.deliveries.some(({ kind }) => kind === 'local'), 'nothing is delivered there');
  const { reasons } = await policy();
  assert.match(reasons[0].message, /bound to node "node-2", but "node-3" has it: .*interface release mon-1\/0/);
  two.inventory(vmDevice('mon-1/0', 6));
  await until('it is back', async () => (await place('mon-1/0')) === 'node-2: node-2');
  await until('node-1 sends', () => sentTo(one).join() === '10.0.0.2');
  assert.equal((await bench.request('DELETE', '/api/v1/nodes/node-2')).status, 409);
  // The operator binds it to the other node, and then releases it.
  await bind('node-3');
  await until('it is there', async () => (await place('mon-1/0')) === 'node-3: node-3');
  assert.match(await told('node-2', 'INTERFACE_CONTESTED'), /bound to node "node-3", which has it with tap9/);
  await bind(undefined);
  await until('the one that has claimed it longest has it', async () =>
    (await place('mon-1/0')).startsWith('node-3: '),
  );
  await until('nothing is refused', async () =>
    (await problems('node-2')).every(([code]) => code !== 'INTERFACE_CONTESTED'),
  );
});

test('a source that is bound is captured on its node alone, and prepared for on no other', async (t) => {
  const { bench, one, three } = await start(t);
  assert.equal(three.program?.captures.length, 1, 'every node of the pool is prepared');
  await bench.must('PUT', '/api/v1/interfaces/app-1%2F0', { kind: 'vm', boundTo: 'node-1' });
  await until('node-3 is not', () => three.program?.captures.length === 0);
  assert.equal(one.program?.captures.length, 1);
});

test('an edge takes no binding: it is on the node of its declaration', async (t) => {
  const { bench } = await start(t);
  const edge = { kind: 'edge', edge: { node: 'node-1', device: 'eth7' }, boundTo: 'node-1' };
  const reply = await bench.put('/api/v1/interfaces/up', edge);
  assert.deepEqual([reply.status, reply.body.errors[0].field], [400, 'boundTo']);
});

test("an agent's kind, name or network of an interface counts only if its node has the interface", async (t) => {
  const { bench, one, three, told } = await start(t);
  const other = vmDevice('app-1/0', 9);
  three.inventory({ ...other, identity: { ...other.identity!, kind: 'nfv', name: 'mine', network: 'red' } });
  const edge = vmDevice('mon-1/0', 10);
  three.inventory({ ...edge, identity: { ...edge.identity!, kind: 'edge' } });
  assert.match(await told('node-3', 'INTERFACE_KIND_REFUSED'), /"mon-1\/0": tap10 reports it as an edge/);
  for (const id of ['app-1/0', 'mon-1/0']) {
    const { kind, name, network } = (await bench.get(`/api/v1/interfaces/${encodeURIComponent(id)}`)).body;
    assert.deepEqual([kind, name, network], ['vm', id, undefined]);
  }
  const own = vmDevice('app-1/0', 5);
  one.inventory({ ...own, identity: { ...own.identity!, name: 'renamed' } });
  const name = async () => (await bench.get('/api/v1/interfaces/app-1%2F0')).body.name;
  await until('its own node renames it', async () => (await name()) === 'renamed');
});

test('a second device is prepared for while it may be that of a migration, and is a duplicate after that', async (t) => {
  const { bench, one, three, told, problems, place } = await start(t);
  three.inventory(vmDevice('mon-1/0', 9));
  // The sender follows when node-3 has confirmed what it receives.
  await until('it is prepared for', () => three.program?.standby.length === 1 && sentTo(one).length === 2);
  assert.equal((await problems('node-3')).length, 0);
  three.inventory(vmDevice('mon-1/0', 9, { guest: 'absent' }));
  three.inventory(vmDevice('mon-1/0', 9, { guest: 'running' }));
  await until('it says so', async () => (await bench.get('/api/v1/nodes/node-3')).body.devices[0].guest === 'running');
  assert.equal(await place('mon-1/0'), 'node-2: node-2,node-3');
  bench.ahead = BOTH_RUN_MS + 1;
  // Any change makes the controller plan now. Without a change it would plan at its next interval.
  await bench.declare('other');
  await told('node-3', 'INTERFACE_DUPLICATE');
  await until('it is not prepared for', () => three.program?.standby.length === 0 && sentTo(one).length === 1);
  three.inventory();
  await until('all is well', async () => (await problems('node-2')).length === 0);
  three.inventory(vmDevice('mon-1/0', 10, { guest: 'absent' }));
  await until('it is prepared for again', () => three.program?.standby.length === 1);
  bench.ahead += MOVE_MS + 1;
  await bench.declare('another');
  await told('node-3', 'INTERFACE_DUPLICATE');
});

test('a node with a refused claim adds no counts and no events, at once and after a restart of the controller', async (t) => {
  const { bench, one, three, problems, told } = await start(t);
  const { uid } = (await bench.get('/api/v1/policies/p')).body;
  const events = async () =>
    (await bench.get('/api/v1/events?kind=repaired&object=interface/app-1/0')).body.items.map(
      ({ node, message }: { node: string; message: string }) => `${node} ${message}`,
    );
  const matched = async () => (await bench.get('/api/v1/policies/p/status')).body.totals.matched.packets;
  tell(one, 'app-1/0', uid, 10);
  await until('the event of its node', async () => (await events()).length === 1);
  // Together with the claim, before the controller plans.
  three.inventory(vmDevice('app-1/0', 9, { guest: 'running' }));
  tell(three, 'app-1/0', uid, 333);
  await until('what it tells is read', () => three.eventsTaken.at(-1) === 333);
  await told('node-3', 'INTERFACE_DUPLICATE');
  tell(three, 'app-1/0', uid, 444);
  await until('what it tells is read again', () => three.eventsTaken.at(-1) === 444);
  // The node no longer claims it. This does not make the node a former one.
  three.inventory();
  await until(
    'the claim is gone',
    async () => !(await problems('node-3')).some(([code]) => code.startsWith('INTERFACE')),
  );
  tell(three, 'app-1/0', uid, 555);
  await until('what it tells is read once more', () => three.eventsTaken.at(-1) === 555);
  assert.deepEqual([await events(), await matched()], [['node-1 10'], 10]);
  // An honest agent tells last what it has counted until then. Of what it never claimed it counts nothing.
  assert.ok(!(await problems('node-3')).some(([code]) => code === 'COUNTERS_REFUSED'));
  tell(three, 'mon-1/0', uid, 666);
  assert.match(await told('node-3', 'COUNTERS_REFUSED'), /: 1 of .*mon-1/);
  await bench.restart();
  assert.deepEqual([await events(), await matched()], [['node-1 10'], 10]);
});

test('a node that had an interface may still report on it, as may the next one, at once', async (t) => {
  const { bench, one, three, problems, place } = await start(t);
  const { uid } = (await bench.get('/api/v1/policies/p')).body;
  const matched = async () => (await bench.get('/api/v1/policies/p/status')).body.totals.matched.packets;
  one.inventory();
  await until('it is gone', async () => (await place('app-1/0')) === 'undefined: ');
  three.inventory(vmDevice('app-1/0', 9, { guest: 'running' }));
  tell(three, 'app-1/0', uid, 20);
  tell(one, 'app-1/0', uid, 10);
  await until('both are counted', async () => (await matched()) === 30);
  assert.equal(await place('app-1/0'), 'node-3: node-3');
  // Now the node claims an interface of another node. Its earlier counts stay.
  one.inventory(vmDevice('app-1/0', 11, { guest: 'running' }));
  tell(one, 'app-1/0', uid, 12);
  await until('its last counts', async () => (await matched()) === 32);
  for (const node of ['node-1', 'node-3']) {
    assert.ok(!(await problems(node)).some(([code]) => code === 'COUNTERS_REFUSED'), node);
  }
});
