/** What one sees and may do with grants that have a scope: nothing of others leaks. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Role, Scope } from '@mirrorplane/contract';
import { Bench, type Reply, vmDevice } from '../harness.ts';
import { type Person, peopleOf } from './people.ts';

const API = '/api/v1';
const at = (id: string) => `${API}/interfaces/${encodeURIComponent(id)}`;
const grant = (role: Role, scope?: Scope) => [{ role, ...(scope && { scope }) }];

/** Names of a list. */
async function names(person: Person, url: string): Promise<string[]> {
  const reply = await person('GET', url);
  assert.equal(reply.status, 200, reply.text);
  return reply.body.items.map((item: { name?: string; id?: string }) => item.id ?? item.name).sort();
}

function assertForbidden(reply: Reply, right: string, object?: string): void {
  assert.deepEqual([reply.status, reply.body.code, reply.body.params?.right], [403, 'FORBIDDEN', right], reply.text);
  if (object !== undefined) {
    assert.equal(reply.body.params.object, object);
  }
}

/** Two tenants by label in pool east, a tool in pool west, and policies among them. */
async function tenants(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.must('PUT', `${API}/pools/west`, { domain: 'blue' });
  await bench.must('PUT', `${API}/nodes/node-2`, { pool: 'west' });
  for (const [id, tenant] of [
    ['red-1/0', 'red'],
    ['red-2/0', 'red'],
    ['green-1/0', 'green'],
  ] as const) {
    await bench.must('PUT', at(id), { kind: 'vm', pool: 'east', network: `net-${tenant}`, labels: { tenant } });
  }
  await bench.must('PUT', at('red-ids/0'), { kind: 'vm', pool: 'east', labels: { tenant: 'red' } });
  await bench.must('PUT', at('tool/0'), { kind: 'vm', pool: 'west' });
  await bench.must('POST', `${API}/policies`, {
    name: 'both',
    sources: ['red-1/0', 'green-1/0'],
    destination: 'tool/0',
  });
  await bench.must('POST', `${API}/policies`, { name: 'own', sources: ['red-2/0'], destination: 'red-ids/0' });
  const people = await peopleOf(bench, {
    red: grant('operator', { labels: { tenant: 'red' } }),
    green: grant('viewer', { networks: ['net-green'] }),
    west: grant('admin', { pools: ['west'] }),
    east: grant('observer', { pools: ['east'] }),
    all: grant('operator'),
  });
  return { bench, ...people };
}

test('lists and reads show only what is in the scope, and tell nothing of the rest', async (t) => {
  const { red, green, west, east, all } = await tenants(t);
  assert.deepEqual(await names(red, `${API}/interfaces`), ['red-1/0', 'red-2/0', 'red-ids/0']);
  assert.deepEqual(await names(green, `${API}/interfaces?view=summary`), ['green-1/0']);
  assert.deepEqual(await names(west, `${API}/interfaces`), ['tool/0']);
  assert.deepEqual(await names(red, `${API}/policies`), ['both', 'own']);
  assert.deepEqual(await names(green, `${API}/policies?view=summary`), ['both']);
  assert.deepEqual(await names(west, `${API}/policies/status`), ['both']);
  assert.deepEqual(await names(red, `${API}/policies/status`), ['own']);
  assert.deepEqual(await names(red, `${API}/nodes`), []);
  assert.deepEqual(await names(west, `${API}/nodes`), ['node-2']);
  assert.deepEqual(await names(east, `${API}/pools`), ['east']);
  assert.deepEqual(await names(green, `${API}/domains`), []);
  assert.deepEqual(await names(west, `${API}/domains`), ['blue']);
  assert.deepEqual(await names(red, `${API}/destinations`), ['red-ids/0']);
  assert.deepEqual(await names(all, `${API}/destinations`), ['red-ids/0', 'tool/0']);
  // What exists outside of the scope cannot be told from what does not exist.
  for (const id of ['green-1/0', 'none/0']) {
    for (const url of [at(id), `${at(id)}/traffic`, `${at(id)}/viewers`, `${at(id)}/history`]) {
      assertForbidden(await red('GET', url), 'read', `interface/${id}`);
    }
  }
  for (const url of ['own', 'none', 'own/sources', 'own/path', 'own/status', 'own/history', 'own/test']) {
    assertForbidden(await green('GET', `${API}/policies/${url}`), 'read');
  }
  assertForbidden(await red('GET', `${API}/nodes/node-1`), 'read', 'node/node-1');
  assertForbidden(await red('GET', `${API}/pools/east`), 'read');
});

test('of a policy with sources of others one sees the own ones, and cannot find the others by a filter', async (t) => {
  const { red, west } = await tenants(t);
  const policy = (await red('GET', `${API}/policies/both`)).body;
  assert.deepEqual([policy.sources, policy.destination], [['red-1/0'], 'tool/0']);
  assert.deepEqual(await names(red, `${API}/policies/both/sources`), ['red-1/0']);
  assert.deepEqual(await names(red, `${API}/policies?filter=source:green-1/0`), []);
  assert.deepEqual(await names(red, `${API}/policies?filter=green`), []);
  for (const url of ['path', 'status', 'history']) {
    assertForbidden(await red('GET', `${API}/policies/both/${url}`), 'read', 'policy/both');
  }
  const listed = (await red('GET', `${API}/policies`)).text;
  assert.ok(!listed.includes('green'), listed);
  assert.deepEqual((await west('GET', `${API}/policies/both`)).body.sources, ['red-1/0', 'green-1/0'], 'who receives');
});

test('a policy needs policy for it, mirror for each source, and send for the destination', async (t) => {
  const { bench, red, green, all } = await tenants(t);
  const make = (person: Person, sources: string[], destination: string) =>
    person('POST', `${API}/policies`, { name: 'new', sources, destination });
  assertForbidden(await make(red, ['green-1/0'], 'tool/0'), 'policy', 'policy/new');
  assertForbidden(await make(green, ['green-1/0'], 'tool/0'), 'policy');
  await bench.must('DELETE', `${API}/policies/own`);
  assert.equal((await make(red, ['red-2/0'], 'red-ids/0')).status, 201);
  assert.equal((await red('PATCH', `${API}/policies/new`, { percent: 50 })).status, 200);
  assertForbidden(await red('PATCH', `${API}/policies/both`, { percent: 50 }), 'policy', 'policy/both');
  assertForbidden(await red('DELETE', `${API}/policies/both`), 'policy', 'policy/both');
  assertForbidden(await red('POST', `${API}/policies/both/test`), 'policy', 'policy/both');
  assert.equal((await red('DELETE', `${API}/policies/new`)).status, 204);
  assert.equal((await all('PATCH', `${API}/policies/both`, { percent: 50 })).status, 200);
});

test('an administrator of a pool takes nothing out of it, and nothing into it', async (t) => {
  const { west } = await tenants(t);
  assert.equal((await west('PUT', at('new/0'), { kind: 'vm', pool: 'west' })).status, 201);
  assertForbidden(await west('PUT', at('new/1'), { kind: 'vm', pool: 'east' }), 'inventory');
  assertForbidden(await west('PUT', at('red-1/0'), { kind: 'vm', pool: 'west' }), 'inventory');
  assertForbidden(await west('PUT', at('new/0'), { kind: 'vm', pool: 'east' }), 'inventory');
  assertForbidden(await west('DELETE', at('red-1/0')), 'inventory');
  assertForbidden(await west('PUT', `${API}/nodes/node-2`, { pool: 'east' }), 'nodes', 'pool/east');
  assertForbidden(await west('PUT', `${API}/nodes/node-1`, { pool: 'west' }), 'nodes', 'node/node-1');
  assert.equal((await west('PUT', `${API}/nodes/node-9`, { pool: 'west' })).status, 201);
  assert.equal((await west('POST', `${API}/nodes/node-9/token`)).status, 201);
  assertForbidden(await west('POST', `${API}/nodes/node-1/token`), 'nodes');
  assertForbidden(await west('PUT', `${API}/domains/other`, {}), 'inventory');
  for (const url of [`${API}/audit`, '/metrics']) {
    assert.equal((await west('GET', url)).status, 403, `${url} is of the whole cluster`);
  }
});

test('looks, findings and forecasts are of interfaces in the scope alone', async (t) => {
  const { bench, east } = await tenants(t);
  assertForbidden(
    await east('POST', `${API}/looks`, { interfaces: ['red-1/0', 'tool/0'] }),
    'packets',
    'interface/tool/0',
  );
  assertForbidden(await east('POST', `${API}/looks`, { policy: 'own' }), 'packets');
  const mine = await east('POST', `${API}/looks`, { interfaces: ['red-1/0'] });
  assert.equal(mine.status, 201, mine.text);
  const { id } = await bench.must('POST', `${API}/looks`, { interfaces: ['tool/0'] });
  assert.deepEqual(await names(east, `${API}/looks`), [mine.body.id]);
  for (const [method, url] of [
    ['GET', id],
    ['DELETE', id],
    ['POST', `${id}/renew`],
    ['GET', `${id}/packets.pcapng`],
    ['GET', `${id}/rows`],
    ['GET', `${id}/packets/1`],
  ]) {
    assertForbidden(await east(method!, `${API}/looks/${url}`), 'packets', `look/${id}`);
  }
  assertForbidden(
    await east('POST', `${API}/findings`, { from: 'red-1/0', to: 'tool/0' }),
    'packets',
    'interface/tool/0',
  );
  assertForbidden(
    await east('POST', `${API}/forecasts`, { name: 'p', sources: ['red-1/0'], destination: 'tool/0' }),
    'read',
    'interface/tool/0',
  );
});

test('events tell of things in the scope, and of policies that one may read whole', async (t) => {
  const { bench, red, green, west, all } = await tenants(t);
  const objects = async (person: Person) => {
    const { items } = (await person('GET', `${API}/events?limit=1000`)).body;
    return new Set(
      items.map(({ object }: { object: { kind: string; name: string } }) => `${object.kind}/${object.name}`),
    );
  };
  assert.deepEqual([...(await objects(red))], ['policy/own']);
  assert.deepEqual([...(await objects(green))], []);
  assert.deepEqual([...(await objects(west))], ['policy/both']);
  assert.ok((await objects(all)).has('controller/controller') || (await objects(all)).size > 2);
  const [agent] = [await bench.connect(await bench.credentials('node-1'))];
  agent.hello('node-1');
  agent.inventory(vmDevice('green-1/0', 7));
  await bench.must('DELETE', `${API}/policies/both`);
  assert.ok(![...(await objects(red))].some((name) => String(name).includes('both')), 'also when it is gone');
});

test('the stream of a scope has the items and events of the scope', async (t) => {
  const { bench, red } = await tenants(t);
  const topics = 'policies,interfaces,nodes,destinations,policy:both,policy:own,interface:green-1/0,events';
  const stream = await red.stream(`${API}/stream?topics=${topics}&after=0`);
  t.after(() => stream.close());
  const keys = () => {
    const found = new Map<string, string[]>();
    for (const { name, data } of stream.messages) {
      const { upserts } = JSON.parse(data);
      const told = (upserts ?? []).map((one: { id?: string; name: string }) => one.id ?? one.name);
      // What changes within the second is told again.
      found.set(name, [...new Set([...(found.get(name) ?? []), ...told])]);
    }
    return found;
  };
  await until('topics', () => keys().has('policy:own') && keys().has('events'));
  assert.deepEqual(keys().get('interfaces'), ['red-1/0', 'red-2/0', 'red-ids/0']);
  assert.deepEqual(keys().get('policies'), ['both', 'own']);
  assert.deepEqual(keys().get('destinations'), ['red-ids/0']);
  assert.deepEqual(keys().get('policy:own'), ['own']);
  for (const none of ['nodes', 'policy:both', 'interface:green-1/0']) {
    assert.deepEqual(keys().get(none), [], none);
  }
  await bench.must('PUT', at('green-2/0'), { kind: 'vm', pool: 'east', labels: { tenant: 'green' } });
  await bench.must('PUT', at('red-3/0'), { kind: 'vm', pool: 'east', labels: { tenant: 'red' } });
  await until('a new interface', () => keys().get('interfaces')!.includes('red-3/0'));
  const all = stream.messages.map(({ data }) => data).join();
  assert.ok(!all.includes('green'), all);
});
