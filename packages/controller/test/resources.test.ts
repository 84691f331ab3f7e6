/** /api/v1/domains, pools, nodes and interfaces */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, refusals, vmDevice } from './harness.ts';

const api = '/api/v1';

test('domains, pools and nodes live: created, changed, listed, deleted in turn', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const changed = await bench.put(`${api}/domains/blue`, { description: 'the blue one' });
  assert.deepEqual([changed.status, changed.body.description], [200, 'the blue one']);
  assert.equal(changed.headers.etag, `"${changed.body.revision}"`);
  const again = await bench.put(`${api}/domains/blue`, { description: 'the blue one' });
  assert.deepEqual(again.body, changed.body);
  for (const [kind, name] of [
    ['domains', 'blue'],
    ['pools', 'east'],
    ['nodes', 'node-1'],
  ]) {
    const { body } = await bench.get(`${api}/${kind}`);
    assert.deepEqual(body.items, [(await bench.get(`${api}/${kind}/${name}`)).body]);
    assert.equal((await bench.get(`${api}/${kind}/none`)).status, 404);
    assert.equal((await bench.put(`${api}/${kind}/Not-A-Name`, {})).status, 400);
  }
  const inUse = async (url: string, by: RegExp) => {
    const reply = await bench.request('DELETE', url);
    assert.deepEqual([reply.status, reply.body.code], [409, 'IN_USE']);
    assert.match(reply.body.detail, by);
  };
  await inUse(`${api}/domains/blue`, /pool "east"/);
  await inUse(`${api}/pools/east`, /node "node-1"/);
  for (const [url, tag] of [
    [`${api}/nodes/node-1`, (await bench.get(`${api}/nodes/node-1`)).headers.etag],
    [`${api}/pools/east`, (await bench.get(`${api}/pools/east`)).headers.etag],
    [`${api}/domains/blue`, (await bench.get(`${api}/domains/blue`)).headers.etag],
  ] as const) {
    assert.equal((await bench.request('DELETE', url, undefined, { headers: { 'if-match': '"0"' } })).status, 412);
    const headers = { 'if-match': String(tag) };
    assert.equal((await bench.request('DELETE', url, undefined, { headers })).status, 204);
    assert.equal((await bench.get(url)).status, 404);
  }
});

test('a reference to a missing resource is refused with the field and the remedy', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster();
  const edge = { kind: 'edge', edge: { node: 'node-9', device: 'eth0' } };
  for (const [url, body, field] of [
    [`${api}/pools/west`, { domain: 'green' }, 'domain'],
    [`${api}/nodes/node-1`, { pool: 'west' }, 'pool'],
    [`${api}/interfaces/e`, edge, 'edge.node'],
    [`${api}/interfaces/v`, { kind: 'vm', pool: 'west' }, 'pool'],
  ] as const) {
    const reply = await bench.put(url, body);
    assert.equal(reply.status, 400, url);
    assert.deepEqual(refusals(reply), [`FIELD_INVALID ${field}`]);
    assert.match(reply.body.errors[0].message, /(create|register) it first/);
    assert.equal((await bench.get(url)).status, 404);
  }
});

test('a dry run changes no domain, pool, node, interface or token', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const { revision } = (await bench.get(`${api}/domains`)).body;
  for (const [method, url, body] of [
    ['PUT', `${api}/domains/green`, {}],
    ['PUT', `${api}/pools/west`, { domain: 'blue' }],
    ['PUT', `${api}/nodes/node-2`, { pool: 'east' }],
    ['PUT', `${api}/interfaces/x`, { kind: 'vm' }],
    ['POST', `${api}/nodes/node-1/token`, undefined],
    ['DELETE', `${api}/nodes/node-1`, undefined],
  ] as const) {
    const reply = await bench.request(method, `${url}?dryRun=true`, body);
    assert.equal(reply.status, 200, reply.text);
  }
  assert.equal((await bench.request('PUT', `${api}/pools/west?dryRun=true`, { domain: 'none' })).status, 400);
  assert.equal((await bench.request('PUT', `${api}/pools/west?dryRun=maybe`, { domain: 'blue' })).status, 400);
  assert.equal((await bench.get(`${api}/domains`)).body.revision, revision);
});

test('an interface lives: declared, filtered, changed, refused while used, deleted', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const id = `${api}/interfaces/${encodeURIComponent('web-1/0')}`;
  const created = await bench.put(id, { kind: 'vm', pool: 'east', name: 'web-1 eth0' });
  assert.deepEqual([created.status, created.body.id, created.body.declared], [201, 'web-1/0', true]);
  assert.equal(created.headers.location, id);
  assert.deepEqual((await bench.put(id, { kind: 'vm', pool: 'east', name: 'web-1 eth0' })).body, created.body);
  await bench.declare('ids-1/0');
  await bench.must('PUT', `${api}/interfaces/up`, { kind: 'edge', edge: { node: 'node-1', device: 'eth9' } });

  const ids = async (query: string) =>
    (await bench.get(`${api}/interfaces${query}`)).body.items.map((item: { id: string }) => item.id).join();
  assert.equal(await ids(''), 'ids-1/0,up,web-1/0');
  assert.equal(await ids('?kind=edge'), 'up');
  assert.equal(await ids('?pool=east&kind=vm'), 'ids-1/0,web-1/0');
  assert.equal(await ids('?node=node-1'), 'up');
  assert.equal((await bench.get(`${api}/interfaces?kin=edge`)).body.errors[0].code, 'FIELD_UNKNOWN');

  await bench.must('POST', `${api}/policies`, { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  const refused = await bench.request('DELETE', id);
  assert.deepEqual([refused.status, refused.body.code], [409, 'IN_USE']);
  assert.match(refused.body.detail, /policy "p"/);
  const turned = await bench.put(`${api}/interfaces/ids-1%2F0`, {
    kind: 'edge',
    edge: { node: 'node-1', device: 'eth5' },
  });
  assert.deepEqual([turned.status, refusals(turned)], [409, ['POLICY_VLAN_REQUIRED vlanId']]);
  await bench.must('DELETE', `${api}/policies/p`);
  assert.equal((await bench.request('DELETE', id)).status, 204);
  assert.equal((await bench.get(id)).status, 404);
});

test('two edges cannot be the same device, and an edge keeps its node from being deleted', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const edge = { kind: 'edge', edge: { node: 'node-1', device: 'eth9' } };
  await bench.must('PUT', `${api}/interfaces/up`, edge);
  const second = await bench.put(`${api}/interfaces/up-2`, edge);
  assert.deepEqual([second.status, refusals(second)], [400, ['FIELD_INVALID edge.device']]);
  const deleted = await bench.request('DELETE', `${api}/nodes/node-1`);
  assert.deepEqual([deleted.status, deleted.body.code], [409, 'IN_USE']);
});

test('a node or a pool does not move to where its policies would be broken', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  await bench.must('PUT', `${api}/domains/green`, {});
  await bench.must('PUT', `${api}/pools/west`, { domain: 'blue' });
  await bench.must('PUT', `${api}/interfaces/web-1`, { kind: 'vm', pool: 'west' });
  await bench.must('PUT', `${api}/interfaces/up`, { kind: 'edge', edge: { node: 'node-1', device: 'eth9' } });
  const body = { name: 'p', sources: ['web-1'], destination: 'up', vlanId: 7 };
  await bench.must('POST', `${api}/policies`, body);
  const moved = await bench.put(`${api}/pools/west`, { domain: 'green' });
  assert.deepEqual([moved.status, refusals(moved)], [409, ['POLICY_CROSS_DOMAIN sources[0]']]);
  await bench.must('PUT', `${api}/pools/north`, { domain: 'green' });
  assert.equal((await bench.put(`${api}/nodes/node-1`, { pool: 'north' })).status, 409);
  assert.equal((await bench.put(`${api}/nodes/node-2`, { pool: 'north' })).status, 200);
  assert.equal((await bench.get(`${api}/nodes/node-1`)).body.pool, 'east');
});

test('an observed interface keeps its record without a device, and what is declared of it wins', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  const identity = { kind: 'nfv' as const, id: 'fw/1', name: 'firewall', network: 'blue', provider: 'alias' };
  agent.inventory(vmDevice('fw/1', 5, { identity }));
  const url = `${api}/interfaces/fw%2F1`;
  const read = async () => (await bench.get(url)).body;
  const seen = await until('it is listed', async () => (await bench.get(url)).status === 200 && read());
  assert.deepEqual(
    [seen.kind, seen.name, seen.network, seen.pool, seen.declared],
    ['nfv', 'firewall', 'blue', 'east', false],
  );
  const deleted = await bench.request('DELETE', url);
  assert.deepEqual([deleted.status, deleted.body.code], [409, 'IN_USE']);
  await bench.must('PUT', url, { kind: 'nfv', name: 'the firewall' });
  assert.deepEqual([(await read()).name, (await read()).devices.length], ['the firewall', 1]);
  // Deleting the declared part leaves the observed part.
  await bench.must('DELETE', url);
  await until('it is observed again', async () => (await read()).declared === false);
  agent.inventory();
  await until('its device is gone', async () => (await read()).devices.length === 0);
  assert.deepEqual([(await read()).name, (await read()).pool], ['firewall', 'east']);
  assert.equal((await bench.request('DELETE', url)).status, 204);
});

test('a node with devices of a policy is deleted only when its agent is gone', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  agent.inventory(vmDevice('web-1/0', 5), vmDevice('ids-1/0', 6));
  await until('both are listed', async () => (await bench.get(`${api}/interfaces`)).body.items.length === 2);
  await bench.must('POST', `${api}/policies`, { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  assert.match((await bench.request('DELETE', `${api}/nodes/node-1`)).body.detail, /policy "p"/);
  agent.close();
  await until('the agent is gone', async () => !(await bench.get(`${api}/nodes/node-1`)).body.connected);
  // It was told to copy for "p", and has a guest of it.
  assert.equal((await bench.request('DELETE', `${api}/nodes/node-1`)).body.code, 'NODE_UNCONFIRMED');
  await bench.must('DELETE', `${api}/nodes/node-1?dead=true`);
  assert.deepEqual((await bench.get(`${api}/interfaces/web-1%2F0`)).body.devices, []);
});

test('a node that may still copy is not forgotten, until it has confirmed its end or an operator calls it dead', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.confirms = false;
  agent.hello('node-1');
  agent.inventory(vmDevice('a', 7), vmDevice('b', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  const { uid } = await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['a'], destination: 'b' });
  const program = await until('it is captured', () => agent.program?.captures.length === 1 && agent.program);
  const captures = [{ capture: `${uid}/a`, device: 'tap7', state: 'capturing' as const }];
  agent.send({ type: 'status', appliedRevision: program.revision, captures, problems: [] });
  const status = async () => (await bench.get('/api/v1/policies/p/status')).body;
  await until('it is active', async () => (await status()).state === 'active');
  const remove = (query = '') => bench.request('DELETE', `/api/v1/nodes/node-1${query}`);
  assert.equal((await remove('?dead=true')).body.code, 'IN_USE', 'it is alive');
  agent.close();
  await until('it is gone', async () => !(await bench.get('/api/v1/nodes/node-1')).body.connected);
  await bench.must('PUT', '/api/v1/policies/p', { name: 'p', sources: ['a'], destination: 'b', enabled: false });
  assert.equal((await status()).state, 'ending');
  const refused = await remove();
  assert.deepEqual([refused.status, refused.body.code], [409, 'NODE_UNCONFIRMED']);
  assert.match(refused.body.detail, /copying for "p": .*node delete node-1 --dead/);
  assert.equal((await status()).state, 'ending');
  assert.equal((await remove('?dead=true&dryRun=true')).status, 200);
  assert.equal((await status()).state, 'ending', 'a dry run decides nothing');
  assert.equal((await remove('?dead=true')).status, 204);
  assert.equal((await status()).state, 'disabled');
  const [entry] = (await bench.get('/api/v1/audit')).body.items;
  assert.deepEqual(
    [entry.action, entry.resource, entry.outcome, entry.actor],
    ['declareDead', 'nodes/node-1', 'done', 'admin'],
  );
  const [event] = (await bench.get('/api/v1/events?kind=nodeDeclaredDead')).body.items;
  assert.deepEqual([event.object.name, event.cause.kind, event.count], ['node-1', 'operator', 1]);
  assert.match(event.message, /counts as stopped for p$/);
  assert.equal(
    (await bench.request('DELETE', '/api/v1/nodes/node-2')).status,
    204,
    'one that never copied needs no word',
  );
});
