/** What tries to get around a scope, or around consent. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { allows, Grant, type Role, type Scope } from '@mirrorplane/contract';
import { covers } from '../../src/people/covers.ts';
import { Bench, type Reply, vmDevice } from '../harness.ts';
import { type Person, peopleOf } from './people.ts';

const API = '/api/v1';
const POLICIES = `${API}/policies`;
const at = (id: string) => `${API}/interfaces/${encodeURIComponent(id)}`;
const grant = (role: Role, scope?: Scope) => [{ role, ...(scope && { scope }) }];
const of = (tenant: string) => ({ labels: { tenant } });
const codeOf = ({ status, body }: Reply) => [status, body.code];
const FORBIDDEN = [403, 'FORBIDDEN'];

/** Interfaces of two tenants in pool east with node-1, and node-2 in pool west. */
async function tenants(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.must('PUT', `${API}/pools/west`, { domain: 'blue' });
  await bench.must('PUT', `${API}/nodes/node-2`, { pool: 'west' });
  for (const id of ['red-1/0', 'red-2/0', 'blue-1/0', 'blue-2/0']) {
    await bench.must('PUT', at(id), { kind: 'vm', pool: 'east', labels: { tenant: id.split('-')[0] } });
  }
  const people = await peopleOf(bench, {
    red: grant('operator', of('red')),
    blue: grant('operator', of('blue')),
    keeper: grant('admin', of('red')),
    west: grant('admin', { pools: ['west'] }),
  });
  return { bench, ...people };
}

const TAP = { name: 'tap', sources: ['blue-1/0'], destination: 'red-1/0', percent: 10 };

test('nobody declares devices of foreign nodes, or ids that nobody knows yet, with labels of their own', async (t) => {
  const { bench, keeper, west } = await tenants(t);
  const edge = (node: string) => ({ kind: 'edge', edge: { node, device: 'eth0' }, ...of('red') });
  for (const node of ['node-2', 'no-node']) {
    assert.deepEqual(codeOf(await keeper('PUT', at('x-edge'), edge(node))), FORBIDDEN, node);
    assert.deepEqual(codeOf(await keeper('PUT', at('red-1/0'), edge(node))), FORBIDDEN, node);
    const bound = { kind: 'vm', pool: 'east', boundTo: node, ...of('red') };
    assert.deepEqual(codeOf(await keeper('PUT', at('red-1/0'), bound)), FORBIDDEN, node);
  }
  assert.deepEqual(codeOf(await keeper('PUT', at('later/0'), { kind: 'vm', pool: 'east', ...of('red') })), FORBIDDEN);
  assert.deepEqual(codeOf(await west('PUT', at('w-edge'), edge('node-1'))), FORBIDDEN);
  // What is one's own goes on.
  const named = await keeper('PUT', at('red-1/0'), { kind: 'vm', name: 'web', pool: 'east', ...of('red') });
  assert.equal(named.status, 200, named.text);
  assert.equal((await west('PUT', at('w-edge'), edge('node-2'))).status, 201);
  assert.equal((await west('PUT', at('later/0'), { kind: 'vm', pool: 'west' })).status, 201);
  assert.equal((await bench.put(at('any/0'), { kind: 'vm', pool: 'east', ...of('red') })).status, 201);
});

test('a scope without conditions is refused, and allows nothing', () => {
  for (const scope of [{}, { labels: {} }]) {
    assert.ok(!Grant.safeParse({ role: 'admin', scope }).success);
    assert.ok(!allows([{ role: 'admin', scope }], 'read', { pool: 'east' }));
    assert.ok(!covers([{ role: 'admin', scope }], [{ role: 'viewer' }]), 'nothing everywhere');
    assert.ok(!covers([{ role: 'admin', scope }], [{ role: 'viewer', scope: of('red') }]));
  }
  assert.ok(covers(grant('viewer', { pools: ['a', 'b'] }), grant('viewer', { pools: ['a'], ...of('red') })));
});

test('consent is withdrawn also while a change waits; its author cannot enable again what others disabled', async (t) => {
  const { bench, red, blue } = await tenants(t);
  const patch = (body: object) => red('PATCH', `${POLICIES}/tap`, body);
  await red('POST', POLICIES, TAP);
  assert.equal((await blue('POST', `${POLICIES}/tap/approve`)).body.approval.state, 'approved');
  await bench.must('PATCH', `${POLICIES}/tap`, { enabled: false });
  const enabled = await patch({ enabled: true });
  assert.deepEqual([enabled.body.enabled, enabled.body.change?.spec.enabled], [false, true], enabled.text);
  assert.equal((await blue('POST', `${POLICIES}/tap/approve`)).body.enabled, true);
  // The change has no end of blue any more.
  await patch({ sources: ['red-2/0', 'blue-2/0'], percent: 20 });
  const only = await blue('POST', `${POLICIES}/tap/reject`, { only: 'change' });
  assert.deepEqual([only.body.change, only.body.approval.state], [undefined, 'approved'], only.text);
  assert.deepEqual(codeOf(await blue('POST', `${POLICIES}/tap/reject`, { only: 'change' })), [
    409,
    'NOTHING_TO_APPROVE',
  ]);
  await bench.must('PATCH', `${POLICIES}/tap`, { description: 'x' });
  await patch({ percent: 30 });
  assert.equal((await blue('POST', `${POLICIES}/tap/reject`)).status, 200);
  const { approval, change, percent } = (await bench.get(`${POLICIES}/tap`)).body;
  assert.deepEqual([approval.state, change, percent], ['rejected', undefined, 10]);
});

test('a refusal tells nothing of ends that one may not read', async (t) => {
  const { bench, red } = await tenants(t);
  await bench.must('POST', POLICIES, { name: 'secret', sources: ['blue-1/0'], destination: 'blue-2/0' });
  for (const name of ['secret', 'nothing']) {
    assert.deepEqual(codeOf(await red('PATCH', `${POLICIES}/${name}`, { percent: 1 })), FORBIDDEN, name);
  }
  assert.deepEqual(codeOf(await red('POST', POLICIES, { ...TAP, name: 'secret', destination: 'blue-2/0' })), FORBIDDEN);
});

test('a request for consent has one answer for all that one may not read, and shows nothing of it', async (t) => {
  const { bench, red, blue } = await tenants(t);
  await bench.must('POST', POLICIES, { name: 'secret', sources: ['blue-1/0'], destination: 'blue-2/0' });
  await bench.must('PUT', at('edge-1'), { kind: 'edge', name: 'uplink', edge: { node: 'node-1', device: 'eth0' } });
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.hello('node-1');
  agent.inventory(vmDevice('blue-2/0', 7));
  await until('the device', async () => (await bench.get(at('blue-2/0'))).body.devices?.length === 1);
  /** What one gets to see of a request, without the ids of times and of the end itself. */
  const told = async (id: string, request: object) => {
    const made = await red('POST', POLICIES, request);
    assert.deepEqual([made.status, made.body.approval?.state], [201, 'pending'], made.text);
    await until('the status', async () => (await red('GET', `${POLICIES}/tap/status`)).status === 200);
    const views = ['', '/sources', '/path', '/status', '/history'].map((part) => red('GET', `${POLICIES}/tap${part}`));
    const listed = await red('GET', `${POLICIES}?view=summary`);
    const replies = [made, listed, ...(await Promise.all(views))]
      .map(({ text }) => text.replaceAll(id, 'ID'))
      .join('\n');
    for (const secret of ['node-1', 'secret', 'uplink', 'tap7']) {
      assert.ok(!replies.includes(secret), `${id} tells ${secret}`);
    }
    assert.equal((await red('DELETE', `${POLICIES}/tap`)).status, 204);
    return [made.body.type, made.body.warnings.map(({ code }: { code: string }) => code), replies.includes('"kind"')];
  };
  const all = ['blue-1/0', 'blue-2/0', 'edge-1', 'nothing/0', 'eth0', 'tap7'];
  for (const id of all) {
    const source = await told(id, { ...TAP, sources: [id] });
    assert.deepEqual(source, ['virtual', ['POLICY_END_UNSEEN'], false], id);
    const destination = await told(id, { ...TAP, sources: ['red-1/0'], destination: id });
    assert.deepEqual(destination, ['virtual', ['POLICY_END_UNSEEN'], false], id);
    const tagged = await told(id, { ...TAP, sources: ['red-1/0'], destination: id, vlanId: 7 });
    assert.deepEqual(tagged, ['virtual-to-physical', ['POLICY_END_UNSEEN'], false], id);
  }
  // What one may read is checked at once, and what others own when they consent.
  const vlan = await red('POST', POLICIES, { ...TAP, sources: all, vlanId: 7 });
  assert.deepEqual(
    vlan.body.errors.map(({ code }: { code: string }) => code),
    ['POLICY_VLAN_NOT_ALLOWED'],
    vlan.text,
  );
  assert.equal((await red('POST', POLICIES, TAP)).status, 201);
  assert.deepEqual(codeOf(await blue('POST', `${POLICIES}/tap/approve`)), [422, 'POLICY_INVALID'], 'it is in use');
  assert.match((await bench.request('POST', `${POLICIES}/tap/approve`)).text, /secret/, 'an administrator is told why');
});

test('only so many requests of one user wait for consent', async (t) => {
  const { red } = await tenants(t);
  for (let n = 0; n < 100; n++) {
    assert.equal((await red('POST', POLICIES, { ...TAP, name: `tap-${n}` })).status, 201);
  }
  assert.deepEqual(codeOf(await red('POST', POLICIES, TAP)), [429, 'REQUESTS_EXCEEDED']);
  assert.equal((await red('PATCH', `${POLICIES}/tap-0`, { percent: 20 })).status, 200, 'one of them');
  assert.equal((await red('DELETE', `${POLICIES}/tap-0`)).status, 204);
  assert.equal((await red('POST', POLICIES, TAP)).status, 201);
});

test('with the four-eyes rule an edge in use keeps its device', async (t) => {
  const { bench } = await tenants(t);
  const edge = (device: string, more = {}) => ({ kind: 'edge', edge: { node: 'node-1', device }, ...more });
  await bench.must('PUT', at('e-edge'), edge('eth0'));
  await bench.must('POST', POLICIES, { ...TAP, destination: 'e-edge', vlanId: 5 });
  await bench.must('PUT', `${API}/access/settings`, { fourEyes: true });
  assert.deepEqual(codeOf(await bench.request('PUT', at('e-edge'), edge('eth1'))), [409, 'IN_USE']);
  assert.equal((await bench.request('PUT', at('e-edge'), edge('eth0', { name: 'x' }))).status, 200);
  await bench.must('DELETE', `${POLICIES}/tap`);
  assert.equal((await bench.request('PUT', at('e-edge'), edge('eth1'))).status, 200);
});

test('who-can tells the grants for the object, and no others', async (t) => {
  const { bench, red } = await tenants(t);
  const own = { role: 'viewer', scope: of('red') };
  await bench.must('PUT', `${API}/users/carol`, { grants: [own, { role: 'viewer', scope: of('merger') }] });
  const { body } = await red('GET', `${API}/access/who-can?right=read&object=interface/red-1/0`);
  assert.deepEqual(body.items.find(({ name }: { name: string }) => name === 'carol').grants, [own]);
});

test('who-can names who can consent, and of what one may not read only those with the right everywhere', async (t) => {
  const { bench, red, blue } = await tenants(t);
  await peopleOf(bench, { all: grant('operator') });
  const who = async (person: Person, right: string, object: string) => {
    const { status, body, text } = await person('GET', `${API}/access/who-can?right=${right}&object=${object}`);
    assert.equal(status, 200, text);
    return [body.partial, ...body.items.map(({ name }: { name: string }) => name)];
  };
  const everywhere = ['admin', 'admin', 'of-all'];
  // A foreign interface, and one that does not exist, have the same answer.
  for (const id of ['blue-1/0', 'nothing/0']) {
    assert.deepEqual(await who(red, 'mirror', `interface/${id}`), [true, ...everywhere], id);
    const made = await red('POST', POLICIES, { ...TAP, sources: ['red-2/0', id] });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual(await who(red, 'mirror', 'policy/tap'), [true, ...everywhere], id);
    assert.equal((await red('DELETE', `${POLICIES}/tap`)).status, 204);
  }
  assert.deepEqual(await who(red, 'mirror', 'policy/none'), [true, ...everywhere]);
  await red('POST', POLICIES, TAP);
  assert.deepEqual(await who(blue, 'mirror', 'policy/tap'), [false, ...everywhere, 'of-blue']);
  assert.deepEqual(await who(blue, 'mirror', 'interface/blue-1/0'), [false, ...everywhere, 'of-blue']);
  // By the four-eyes rule, another one than its author.
  await bench.must('PUT', `${API}/access/settings`, { fourEyes: true });
  await bench.must('POST', POLICIES, { name: 'eyes', sources: ['red-2/0'], destination: 'red-1/0' });
  const others = await who(red, 'policy', 'policy/eyes');
  assert.ok(others.includes('of-all') && !others.includes('admin'), String(others));
});

test('grants for what is not there have a warning, which tells nothing to who may not read everything', async (t) => {
  const { bench, red } = await tenants(t);
  const scope = { pools: ['east', 'esat'], networks: ['dmz'], labels: { tenant: 'red', team: 'x' } };
  const { warnings } = await bench.must('PUT', `${API}/users/carol`, { grants: [{ role: 'viewer', scope }] });
  assert.deepEqual(
    warnings.map(({ code, message }: { code: string; message: string }) => `${code} ${message.split(' now')[0]}`),
    [
      'GRANT_UNMATCHED there is no resource pool "esat"',
      'GRANT_UNMATCHED there is no interface in network "dmz"',
      'GRANT_UNMATCHED there is no interface with the label team=x',
    ],
  );
  const fine = await bench.must('PUT', `${API}/users/dora`, { grants: grant('viewer', of('red')) });
  assert.equal(fine.warnings, undefined);
  const token = await bench.must('POST', `${API}/tokens`, {
    name: 'ci',
    expiresAt: 'never',
    grants: [{ role: 'viewer', scope }],
  });
  assert.equal(token.warnings.length, 3);
  assert.equal((await red('GET', `${API}/users`)).status, 403);
});
