/** Lists: filtered, sorted, in pages that miss and repeat nothing, and never large. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { InterfaceSummary, NodeSummary, type PolicySource, PolicySummary } from '@mirrorplane/contract';
import { Bench, refusals, vmDevice } from './harness.ts';

const policies = '/api/v1/policies';

async function start(t: TestContext): Promise<Bench> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  const edge = { kind: 'edge', name: 'uplink', edge: { node: 'node-1', device: 'eth2', allowedVlans: [7, 8, 9] } };
  await bench.must('PUT', '/api/v1/interfaces/edge-1', edge);
  await bench.declare('ids-1/0', 'web-1/0', 'web-2/0', 'db-1/0', 'lone/0');
  const make = (name: string, more: object) => bench.must('POST', policies, { name, ...more });
  await make('alpha', { sources: ['web-1/0'], destination: 'ids-1/0', description: 'Web of the shop' });
  await make('beta', { sources: ['web-2/0', 'db-1/0'], destination: 'edge-1', vlanId: 7, percent: 25 });
  await make('gamma', { sources: ['ids-1/0'], destination: 'edge-1', vlanId: 9, enabled: false });
  return bench;
}

async function namesOf(bench: Bench, list: string, query: Record<string, string> = {}): Promise<string[]> {
  const { body } = await bench.get(`/api/v1/${list}?${new URLSearchParams(query)}`);
  assert.ok(body.items, JSON.stringify(body));
  assert.equal(body.total, body.items.length);
  return body.items.map((item: { id?: string; name: string }) => item.id ?? item.name);
}

test('words and keys of a filter all have to be there, in capital or small letters', async (t) => {
  const bench = await start(t);
  const cases: [list: string, filter: string, found: string[]][] = [
    ['policies', '', ['alpha', 'beta', 'gamma']],
    ['policies', 'SHOP', ['alpha']],
    ['policies', 'a web', ['alpha', 'beta']],
    ['policies', 'state:waiting', ['alpha', 'beta']],
    ['policies', 'State:Disabled enabled:no', ['gamma']],
    ['policies', 'source:db-1/0', ['beta']],
    ['policies', 'destination:edge-1 vlan', []],
    ['policies', '"of the"', ['alpha']],
    ['policies', '"state:waiting"', []],
    ['policies/status', 'type:virtual', ['alpha']],
    ['policies/beta/sources', 'db', ['db-1/0']],
    ['policies/beta/sources', 'state:waiting kind:vm', ['db-1/0', 'web-2/0']],
    ['interfaces', 'kind:edge', ['edge-1']],
    ['interfaces', 'source:yes web', ['web-1/0', 'web-2/0']],
    ['interfaces', 'WEB "1/0"', ['web-1/0']],
    ['interfaces', 'b-1 d', ['db-1/0']],
    ['interfaces', '""', ['db-1/0', 'edge-1', 'ids-1/0', 'lone/0', 'web-1/0', 'web-2/0']],
    ['interfaces', 'beta kind:vm', ['db-1/0', 'web-2/0']],
    ['interfaces', 'b-1/0web', []],
    ['interfaces', 'free:yes kind:vm', ['lone/0']],
    ['interfaces', 'destination:yes', ['edge-1', 'ids-1/0']],
    ['interfaces', 'policy:beta', ['db-1/0', 'edge-1', 'web-2/0']],
    ['nodes', 'pool:east 2', ['node-2']],
    ['pools', 'domain:blue', ['east']],
    ['domains', 'none', []],
  ];
  for (const [list, filter, found] of cases) {
    assert.deepEqual(await namesOf(bench, list, { filter }), found, `${list} ${filter}`);
  }
  const unknown = await bench.get(`${policies}?filter=colour:red`);
  assert.deepEqual(refusals(unknown), ['FIELD_INVALID filter']);
  assert.match(unknown.body.errors[0].message, /"colour" is not a key .* use state, .* "colour:red" in double/);
  const many = await bench.get(`${policies}?filter=${'a+'.repeat(17)}`);
  assert.deepEqual(refusals(many), ['FIELD_INVALID filter']);
  assert.deepEqual(refusals(await bench.get(`${policies}?sort=colour`)), ['FIELD_INVALID sort']);
});

test('a list has the order that is asked for, and what has no value comes last', async (t) => {
  const bench = await start(t);
  assert.deepEqual(await namesOf(bench, 'policies', { sort: '-name' }), ['gamma', 'beta', 'alpha']);
  assert.deepEqual(await namesOf(bench, 'policies', { sort: '-sourceCount' }), ['beta', 'alpha', 'gamma']);
  assert.deepEqual(await namesOf(bench, 'policies', { sort: 'vlanId' }), ['beta', 'gamma', 'alpha']);
  assert.deepEqual(await namesOf(bench, 'policies', { sort: '-vlanId' }), ['gamma', 'beta', 'alpha']);
  assert.deepEqual(await namesOf(bench, 'policies', { sort: 'percent', view: 'summary' }), ['beta', 'alpha', 'gamma']);
  const kinds = await namesOf(bench, 'interfaces', { sort: 'kind' });
  assert.equal(kinds[0], 'edge-1');
  const found = (sort: string) => namesOf(bench, 'interfaces', { sort, filter: '1/0 kind:vm' });
  assert.deepEqual(await found('-id'), ['web-1/0', 'ids-1/0', 'db-1/0']);
  assert.deepEqual(await found('-policy'), ['ids-1/0', 'db-1/0', 'web-1/0']);
  assert.deepEqual(await found('policy'), ['web-1/0', 'db-1/0', 'ids-1/0']);
});

test('a walk by any field misses and repeats none that stays, whatever changes meanwhile', async (t) => {
  const bench = await start(t);
  for (const sort of ['name', '-name', 'percent', '-percent', 'state', '-updatedAt']) {
    const whole = await namesOf(bench, 'policies', { sort });
    const seen: string[] = [];
    let next: string | undefined = '';
    for (let page = 0; next !== undefined; page++) {
      const query = new URLSearchParams({ sort, limit: '1', ...(next && { continue: next }) });
      const { status, body } = await bench.get(`${policies}?${query}`);
      assert.equal(status, 200, JSON.stringify(body));
      seen.push(...body.items.map(({ name }: { name: string }) => name));
      next = body.continue;
      // Everything that is sorted by changes between two pages.
      await bench.must('PATCH', `${policies}/alpha`, { percent: 10 + page * 30, description: `page ${page}` });
      await bench.must('PATCH', `${policies}/beta`, { percent: 90 - page * 30, enabled: page % 2 === 0 });
    }
    assert.deepEqual(seen, whole, sort);
  }
});

test('what goes during a walk is left out, and a walk that is too old has to begin again', async (t) => {
  const bench = await start(t);
  const first = (await bench.get(`${policies}?sort=-percent&limit=1`)).body;
  assert.equal(first.total, 3);
  await bench.must('DELETE', `${policies}/gamma`);
  await bench.must('POST', policies, { name: 'aaa', sources: ['lone/0'], destination: 'ids-1/0' });
  const second = await bench.get(`${policies}?sort=-percent&limit=1&continue=${first.continue}`);
  const rest = await bench.get(`${policies}?sort=-percent&continue=${second.body.continue ?? first.continue}`);
  const names = [first, second.body, rest.body].flatMap(({ items }) => items.map(({ name }: { name: string }) => name));
  assert.deepEqual([...new Set(names)].sort(), ['alpha', 'beta']);
  assert.equal(second.body.total, 2);
  bench.ahead += 11 * 60_000;
  const late = await bench.get(`${policies}?sort=-percent&continue=${first.continue}`);
  assert.deepEqual([late.status, late.body.code], [410, 'LIST_EXPIRED']);
  const other = await bench.get(`${policies}?sort=name&continue=${first.continue}`);
  assert.deepEqual(refusals(other), ['FIELD_INVALID continue']);
});

test('summaries say who made a policy, what is free, and which VLAN ID an edge has left', async (t) => {
  const bench = await start(t);
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.hello('node-1');
  agent.inventory(vmDevice('web-1/0', 5), { ...vmDevice('x', 6), name: 'eth2', identity: undefined });
  const read = async (url: string) => (await bench.get(url)).body.items;
  const [beta] = await read(`${policies}?view=summary&filter=beta`);
  assert.deepEqual(PolicySummary.parse(beta), beta);
  assert.deepEqual(
    [beta.createdBy, beta.sourceCount, beta.destination],
    ['admin', 2, { id: 'edge-1', name: 'uplink' }],
  );
  assert.equal(beta.sources, undefined);
  const [edge] = await read('/api/v1/interfaces?view=summary&filter=edge-1');
  assert.deepEqual(InterfaceSummary.parse(edge), edge);
  assert.deepEqual(edge.vlans, { allowed: [7, 8, 9], used: [7, 9], suggested: 8 });
  assert.deepEqual(edge.destinationOf, ['beta', 'gamma']);
  const [web] = await read('/api/v1/interfaces?view=summary&filter=web-1');
  assert.equal(web.mirrorable.source.code, 'POLICY_SOURCE_IN_USE');
  assert.equal(web.mirrorable.destination.ok, true);
  const [node] = await read('/api/v1/nodes?view=summary&filter=node-1');
  assert.deepEqual(NodeSummary.parse(node), node);
  assert.equal(node.devices, undefined);
  const sources = await read(`${policies}/beta/sources`);
  assert.deepEqual(
    sources.map((one: PolicySource) => [one.id, one.state]),
    [
      ['db-1/0', 'waiting'],
      ['web-2/0', 'waiting'],
    ],
  );
  assert.equal((await bench.get(`${policies}/none/sources`)).status, 404);
});

test('events and entries of the audit log are found by words, and events page by page', async (t) => {
  const bench = await start(t);
  await bench.must('PATCH', `${policies}/alpha`, { percent: 50 });
  await bench.must('DELETE', `${policies}/gamma`);
  const events = async (query: Record<string, string>) =>
    (await bench.get(`/api/v1/events?${new URLSearchParams(query)}`)).body.items;
  const kinds = (items: { kind: string }[]) => items.map(({ kind }) => kind);
  assert.deepEqual(kinds(await events({ filter: 'GAMMA deleted' })), ['policyDeleted']);
  assert.deepEqual(kinds(await events({ filter: 'policychanged percent' })), ['policyChanged']);
  assert.equal((await bench.get('/api/v1/events?filter=colour:red')).status, 400);
  const all = await events({ limit: '1000' });
  const walked: { id: number }[] = [];
  for (let page = await events({ limit: '2' }); page.length > 0; ) {
    walked.unshift(...page);
    page = await events({ limit: '2', before: String(page[0].id) });
  }
  assert.deepEqual(
    walked.map(({ id }) => id),
    all.map(({ id }: { id: number }) => id),
  );
  const audit = async (filter: string) =>
    (await bench.get(`/api/v1/audit?${new URLSearchParams({ filter })}`)).body.items;
  assert.deepEqual(
    (await audit('action:delete gamma')).map(({ resource }: { resource: string }) => resource),
    ['policies/gamma'],
  );
  assert.deepEqual(await audit('action:delete alpha'), []);
});
