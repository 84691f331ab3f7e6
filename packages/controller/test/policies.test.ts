/** /api/v1/policies */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Policy, PolicyStatus } from '@mirrorplane/contract';
import { Bench, refusals } from './harness.ts';

const url = '/api/v1/policies';
const body = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };

async function start(t: test.TestContext): Promise<Bench> {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('web-1/0', 'web-2/0', 'ids-1/0');
  return bench;
}

test('a policy lives: created, listed, read, replaced, patched, deleted', async (t) => {
  const bench = await start(t);
  const created = await bench.post(url, body);
  assert.equal(created.status, 201);
  assert.equal(created.headers.location, `${url}/p`);
  assert.equal(created.headers.etag, `"${created.body.revision}"`);
  assert.deepEqual(Policy.parse(created.body), created.body);
  assert.deepEqual([created.body.direction, created.body.percent, created.body.type], ['all', 100, 'virtual']);

  const listed = (await bench.get(url)).body;
  assert.deepEqual(listed.items, [created.body]);
  assert.ok(listed.revision >= created.body.revision);
  const read = await bench.get(`${url}/p`);
  assert.deepEqual([read.body, read.headers.etag], [created.body, created.headers.etag]);

  const replaced = await bench.put(`${url}/p`, { sources: ['web-2/0'], destination: 'ids-1/0', percent: 25.5 });
  assert.deepEqual([replaced.status, replaced.body.percent, replaced.body.sources], [200, 25.5, ['web-2/0']]);
  assert.equal(replaced.body.uid, created.body.uid);
  assert.ok(replaced.body.revision > created.body.revision);

  const patched = await bench.request('PATCH', `${url}/p`, { enabled: false, percent: null }, merge);
  assert.deepEqual([patched.status, patched.body.enabled, patched.body.percent], [200, false, 100]);
  assert.deepEqual(patched.body.sources, ['web-2/0']);

  assert.equal((await bench.request('DELETE', `${url}/p`)).status, 204);
  assert.equal((await bench.get(`${url}/p`)).status, 404);
  assert.equal((await bench.request('DELETE', `${url}/p`)).status, 404);
  const anew = await bench.put(`${url}/p`, body);
  assert.equal(anew.status, 201);
  assert.notEqual(anew.body.uid, created.body.uid);
});

const merge = { headers: { 'content-type': 'application/merge-patch+json' } };

test('a second policy of the same name is refused with ALREADY_EXISTS', async (t) => {
  const bench = await start(t);
  await bench.must('POST', url, body);
  const reply = await bench.post(url, { ...body, sources: ['web-2/0'] });
  assert.deepEqual([reply.status, reply.body.code], [409, 'ALREADY_EXISTS']);
});

test('a policy is refused with every reason at once, and nothing of it is kept', async (t) => {
  const bench = await start(t);
  const reply = await bench.post(url, {
    name: 'Bad Name',
    sources: ['web-1/0', 'web-1/0', 'nobody'],
    destination: 'nowhere',
    direction: 'sideways',
    percent: 101,
    vlanId: 5000,
  });
  assert.deepEqual([reply.status, reply.body.code], [422, 'POLICY_INVALID']);
  assert.deepEqual(refusals(reply), [
    'POLICY_NAME_INVALID name',
    'POLICY_SOURCE_REPEATED sources[1]',
    'POLICY_SOURCE_NOT_FOUND sources[2]',
    'POLICY_DESTINATION_NOT_FOUND destination',
    'POLICY_DIRECTION_INVALID direction',
    'POLICY_PERCENT_INVALID percent',
    'POLICY_VLAN_INVALID vlanId',
  ]);
  assert.deepEqual((await bench.get(url)).body.items, []);
});

test('a policy that is replaced in vain stays as it was', async (t) => {
  const bench = await start(t);
  const before = await bench.must('POST', url, body);
  assert.equal((await bench.put(`${url}/p`, { ...body, destination: 'nowhere' })).status, 422);
  assert.equal((await bench.request('PATCH', `${url}/p`, { percent: -1 }, merge)).status, 422);
  assert.deepEqual((await bench.get(`${url}/p`)).body, before);
});

test('fields that are unknown, missing and of a wrong type are named together, with the nearest known name', async (t) => {
  const bench = await start(t);
  const reply = await bench.post(url, { name: 'p', sources: ['a', 3], percnt: 5, enabled: 'yes' });
  assert.deepEqual([reply.status, reply.body.code], [400, 'FIELD_INVALID']);
  assert.deepEqual(refusals(reply).sort(), [
    'FIELD_INVALID destination',
    'FIELD_INVALID enabled',
    'FIELD_INVALID sources[1]',
    'FIELD_UNKNOWN percnt',
  ]);
  assert.match(reply.text, /did you mean \\"percent\\"\?/);
  const patch = await bench.request('PATCH', `${url}/none`, { percent: 1 }, merge);
  assert.equal(patch.status, 404);
  const wrong = await bench.request('PATCH', `${url}/none`, { percnt: 1, enabled: 'yes', sources: null }, merge);
  assert.deepEqual(refusals(wrong), ['FIELD_INVALID sources', 'FIELD_INVALID enabled', 'FIELD_UNKNOWN percnt']);
});

test('a dry run answers with what would be, or why not, and changes nothing', async (t) => {
  const bench = await start(t);
  const would = await bench.post(`${url}?dryRun=true`, body);
  assert.deepEqual([would.status, would.body.name, would.body.type], [200, 'p', 'virtual']);
  assert.deepEqual((await bench.get(url)).body.items, []);
  assert.equal((await bench.post(`${url}?dryRun=true`, { ...body, destination: 'nowhere' })).status, 422);

  const before = await bench.must('POST', url, body);
  const { revision } = (await bench.get(url)).body;
  const audited = (await bench.get('/api/v1/audit')).body.items.length;
  assert.equal((await bench.put(`${url}/p?dryRun=true`, { ...body, percent: 7 })).body.percent, 7);
  assert.equal((await bench.request('PATCH', `${url}/p?dryRun=true`, { percent: 8 }, merge)).body.percent, 8);
  assert.equal((await bench.request('DELETE', `${url}/p?dryRun=true`)).status, 200);
  assert.equal((await bench.request('DELETE', `${url}/q?dryRun=true`)).status, 404);
  assert.deepEqual((await bench.get(`${url}/p`)).body, before);
  assert.equal((await bench.get(url)).body.revision, revision);
  assert.equal((await bench.get('/api/v1/audit')).body.items.length, audited);
});

test('a change with the entity tag of an older revision is refused with 412', async (t) => {
  const bench = await start(t);
  const { headers } = await bench.post(url, body);
  const tag = { headers: { 'if-match': String(headers.etag) } };
  const first = await bench.put(`${url}/p`, { ...body, percent: 1 }, tag);
  assert.equal(first.status, 200);
  for (const late of [
    await bench.put(`${url}/p`, { ...body, percent: 2 }, tag),
    await bench.request('PATCH', `${url}/p`, { percent: 2 }, tag),
    await bench.request('DELETE', `${url}/p`, undefined, tag),
    await bench.put(`${url}/q`, { ...body, name: 'q', sources: ['web-2/0'] }, tag),
  ]) {
    assert.deepEqual([late.status, late.body.code], [412, 'PRECONDITION_FAILED']);
  }
  assert.equal((await bench.get(`${url}/p`)).body.percent, 1);
  const fresh = { headers: { 'if-match': `"999", ${first.headers.etag}` } };
  assert.equal((await bench.put(`${url}/p`, { ...body, percent: 2 }, fresh)).status, 200);
});

test('If-None-Match: * creates, and refuses to replace', async (t) => {
  const bench = await start(t);
  const create = { headers: { 'if-none-match': '*' } };
  assert.equal((await bench.put(`${url}/p`, body, create)).status, 201);
  assert.equal((await bench.put(`${url}/p`, { ...body, percent: 3 }, create)).status, 412);
});

test('replacing a policy by itself is no change: same revision, same time, same entity tag', async (t) => {
  const bench = await start(t);
  const created = await bench.post(url, body);
  const { revision } = (await bench.get(url)).body;
  bench.ahead = 60_000;
  const again = await bench.put(`${url}/p`, { ...body, direction: 'all', percent: 100 });
  assert.deepEqual([again.status, again.body], [200, created.body]);
  assert.equal(again.headers.etag, created.headers.etag);
  const patched = await bench.request('PATCH', `${url}/p`, {}, merge);
  assert.deepEqual(patched.body, created.body);
  assert.equal((await bench.get(url)).body.revision, revision);
});

test('a policy keeps its name: another one in the body is refused with NAME_MISMATCH', async (t) => {
  const bench = await start(t);
  await bench.must('POST', url, body);
  for (const reply of [
    await bench.put(`${url}/p`, { ...body, name: 'q' }),
    await bench.request('PATCH', `${url}/p`, { name: 'q' }, merge),
  ]) {
    assert.deepEqual([reply.status, reply.body.code], [400, 'NAME_MISMATCH']);
  }
  assert.equal((await bench.put(`${url}/status`, { ...body, name: 'status' })).status, 422);
});

test('of twenty policies that want the same source at once exactly one is made', async (t) => {
  const bench = await start(t);
  const names = Array.from({ length: 20 }, (_, index) => `p-${index}`);
  const replies = await Promise.all(names.map((name) => bench.post(url, { ...body, name })));
  assert.equal(replies.filter(({ status }) => status === 201).length, 1);
  for (const reply of replies.filter(({ status }) => status !== 201)) {
    assert.deepEqual(refusals(reply), ['POLICY_SOURCE_IN_USE sources[0]']);
  }
  assert.equal((await bench.get(url)).body.items.length, 1);
});

test('of twenty writers with the same entity tag exactly one wins', async (t) => {
  const bench = await start(t);
  const { headers } = await bench.post(url, body);
  const tag = { headers: { 'if-match': String(headers.etag) } };
  const percents = Array.from({ length: 20 }, (_, index) => index);
  const replies = await Promise.all(percents.map((percent) => bench.put(`${url}/p`, { ...body, percent }, tag)));
  const winners = replies.filter(({ status }) => status === 200);
  assert.equal(winners.length, 1);
  assert.deepEqual((await bench.get(`${url}/p`)).body, winners[0]?.body);
  assert.ok(replies.every(({ status }) => status === 200 || status === 412));
});

test('after a restart every policy is there with its revision and its entity tag', async (t) => {
  const bench = await start(t);
  const created = await bench.post(url, body);
  await bench.must('PUT', `${url}/q`, { sources: ['web-2/0'], destination: 'ids-1/0', enabled: false });
  // The store has grown meanwhile: it has the signed end of the audit log.
  const policies = async () => (await bench.get(url)).body.items;
  const before = await policies();
  const token = bench.token;
  await bench.restart();
  assert.deepEqual(await policies(), before);
  assert.equal((await bench.get(`${url}/p`)).headers.etag, created.headers.etag);
  assert.equal(bench.token, token);
});

test('the status of a policy says what it waits for, alone and among all', async (t) => {
  const bench = await start(t);
  await bench.must('POST', url, body);
  await bench.must('PUT', `${url}/off`, { sources: ['web-2/0'], destination: 'ids-1/0', enabled: false });
  const one = (await bench.get(`${url}/p/status`)).body;
  assert.deepEqual(PolicyStatus.parse(one), one);
  assert.equal(one.state, 'waiting');
  assert.ok(one.reasons.some(({ code }: { code: string }) => code === 'DESTINATION_ABSENT'));
  const { items } = (await bench.get(`${url}/status`)).body;
  assert.deepEqual(
    items.map(({ name, state }: PolicyStatus) => `${name} ${state}`),
    ['off disabled', 'p waiting'],
  );
  assert.equal((await bench.get(`${url}/none/status`)).status, 404);
});
