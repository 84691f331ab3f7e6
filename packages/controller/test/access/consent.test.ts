/** Consent to policies across owners, the four-eyes rule, and policies that end by themselves. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Role, Scope } from '@mirrorplane/contract';
import { Bench, type Reply } from '../harness.ts';
import { by, makeUser, signIn } from '../people-client.ts';
import { peopleOf } from './people.ts';

const API = '/api/v1';
const POLICIES = `${API}/policies`;
const at = (id: string) => `${API}/interfaces/${encodeURIComponent(id)}`;
const grant = (role: Role, scope?: Scope) => [{ role, ...(scope && { scope }) }];
const codeOf = ({ status, body }: Reply) => [status, body.code];

/** Interfaces of two tenants and of a security team, which owns the tool. */
async function owners(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  for (const [id, tenant] of [
    ['red-1/0', 'red'],
    ['red-2/0', 'red'],
    ['green-1/0', 'green'],
    ['tool/0', 'security'],
    ['tool-2/0', 'security'],
  ] as const) {
    await bench.must('PUT', at(id), { kind: 'vm', pool: 'east', labels: { tenant } });
  }
  const people = await peopleOf(bench, {
    red: grant('operator', { labels: { tenant: 'red' } }),
    green: grant('operator', { labels: { tenant: 'green' } }),
    blue: grant('operator', { labels: { tenant: 'blue' } }),
    security: grant('operator', { labels: { tenant: 'security' } }),
    reader: grant('viewer'),
  });
  const planned = async () => {
    await until('the plan', async () => (await bench.get(`${POLICIES}/tap/status`)).status === 200);
    return (await bench.get(`${POLICIES}/tap/status`)).body.state;
  };
  const kinds = async () => {
    const { items } = (await bench.get(`${API}/events?object=policy/tap&limit=1000`)).body;
    return items.map(({ kind }: { kind: string }) => kind).filter((kind: string) => kind !== 'policyStateChanged');
  };
  return { bench, planned, kinds, ...people };
}

const TAP = { name: 'tap', sources: ['red-1/0', 'green-1/0'], destination: 'tool/0' };

test('a policy of two tenants copies nothing until both have consented, and says who did', async (t) => {
  const { bench, planned, kinds, red, green, blue, security, reader } = await owners(t);
  const made = await security('POST', POLICIES, TAP);
  assert.equal(made.status, 201, made.text);
  assert.equal(made.body.approval.state, 'pending');
  assert.deepEqual(made.body.approval.needs, [{ right: 'mirror', interfaces: ['red-1/0', 'green-1/0'] }]);
  assert.equal(await planned(), 'pendingApproval');
  // It holds no interface of others: they can use their own meanwhile.
  assert.equal(
    (await red('POST', POLICIES, { name: 'own', sources: ['red-1/0'], destination: 'red-2/0' })).status,
    201,
  );
  assert.equal((await red('DELETE', `${POLICIES}/own`)).status, 204);
  assert.deepEqual(codeOf(await security('POST', `${POLICIES}/tap/approve`)), [403, 'FORBIDDEN']);
  assert.deepEqual(codeOf(await reader('POST', `${POLICIES}/tap/approve`)), [403, 'FORBIDDEN']);
  const seen = (await red('GET', `${POLICIES}/tap`)).body;
  assert.deepEqual([seen.sources, seen.approval.needs[0].interfaces], [['red-1/0'], ['red-1/0']], 'its own alone');
  for (const view of ['summary', 'whole']) {
    const listed = await red('GET', `${POLICIES}?view=${view}`);
    assert.equal(listed.body.items[0].name, 'tap');
    assert.doesNotMatch(listed.text, /green/, `view=${view} names nothing of others`);
  }
  const [summary] = (await red('GET', `${POLICIES}?view=summary`)).body.items;
  assert.deepEqual([summary.sourceCount, summary.health.state, summary.rates.copied], [1, 'unknown', null]);
  assert.equal((await reader('GET', `${POLICIES}?view=summary`)).body.items[0].sourceCount, 2);
  const waiting = async (ask: typeof red) => {
    const { items, total } = (await ask('GET', `${API}/approvals`)).body;
    return [total, items.map(({ policy, rights, yours }: Record<string, unknown>) => [policy, rights, yours])];
  };
  assert.deepEqual(await waiting(red), [1, [['tap', ['mirror'], true]]]);
  assert.deepEqual(await waiting(security), [1, [['tap', ['mirror'], false]]], 'not by its author');
  assert.deepEqual(await waiting(blue), [0, []], 'nothing of others');
  const filtered = await red('GET', `${POLICIES}?view=summary&filter=consent:waits`);
  assert.deepEqual([filtered.body.items.length, filtered.text.includes('green')], [1, false]);
  const first = await red('POST', `${POLICIES}/tap/approve`);
  assert.equal(first.status, 200, first.text);
  assert.ok(!first.text.includes('green'), 'nothing of the other tenant');
  assert.equal(await planned(), 'pendingApproval');
  assert.deepEqual(codeOf(await red('POST', `${POLICIES}/tap/approve`)), [403, 'FORBIDDEN'], 'no more to give');
  const last = await green('POST', `${POLICIES}/tap/approve`);
  assert.equal(last.body.approval.state, 'approved', last.text);
  await until('the policy in force', async () => (await planned()) !== 'pendingApproval');
  assert.deepEqual(await waiting(red), [0, []]);
  assert.deepEqual(codeOf(await green('POST', `${POLICIES}/tap/approve`)), [409, 'NOTHING_TO_APPROVE']);
  assert.deepEqual(await kinds(), [
    'policyCreated',
    'policyApprovalRequested',
    'requestRefused',
    'requestRefused',
    'policyApproved',
    'requestRefused',
    'policyApproved',
    'requestRefused',
  ]);
  const audit = (await bench.get(`${API}/audit?limit=100`)).body.items;
  const approvals = audit.filter(
    ({ action, outcome }: Record<string, string>) => action === 'approve' && outcome === 'done',
  );
  assert.equal(approvals.length, 2);
});

test('an edit that copies more waits while the approved version goes on; one that copies less does not', async (t) => {
  const { bench, planned, red, green, security } = await owners(t);
  await security('POST', POLICIES, { ...TAP, percent: 50 });
  await red('POST', `${POLICIES}/tap/approve`);
  await green('POST', `${POLICIES}/tap/approve`);
  const patch = (body: object) => security('PATCH', `${POLICIES}/tap`, body);
  const less = await patch({ percent: 10 });
  assert.deepEqual([less.status, less.body.percent, less.body.change], [200, 10, undefined], less.text);
  const more = await patch({ percent: 100 });
  assert.deepEqual([more.status, more.body.percent, more.body.change.spec.percent], [200, 10, 100], more.text);
  assert.notEqual(await planned(), 'pendingApproval');
  assert.equal((await patch({ percent: 100 })).body.revision, more.body.revision, 'the same again changes nothing');
  const moved = await patch({ destination: 'tool-2/0' });
  assert.deepEqual(moved.body.change.needs, [{ right: 'mirror', interfaces: ['red-1/0', 'green-1/0'] }]);
  assert.equal((await red('POST', `${POLICIES}/tap/reject`, { reason: 'no', only: 'change' })).status, 200);
  const after = (await bench.get(`${POLICIES}/tap`)).body;
  assert.deepEqual([after.destination, after.change, after.approval.state], ['tool/0', undefined, 'approved']);
  await patch({ percent: 20 });
  await red('POST', `${POLICIES}/tap/approve`);
  const done = await green('POST', `${POLICIES}/tap/approve`);
  assert.deepEqual([done.body.percent, done.body.change], [20, undefined], done.text);
  // Consent can be withdrawn, and the policy ends.
  assert.equal((await green('POST', `${POLICIES}/tap/reject`)).status, 200);
  const ended = (await bench.get(`${POLICIES}/tap`)).body;
  assert.equal(ended.approval.state, 'rejected');
  await until('the end', async () => (await planned()) === 'disabled');
});

test('with the four-eyes rule another user has to agree, also to what an administrator writes', async (t) => {
  const { bench } = await owners(t);
  for (const fourEyes of [true, false, true]) {
    assert.equal((await bench.put(`${API}/access/settings`, { fourEyes })).status, 200);
    const [{ before, after }] = (await bench.get(`${API}/audit?filter=action:settings`)).body.items;
    assert.deepEqual([before, after], [{ fourEyes: !fourEyes }, { fourEyes }]);
  }
  const made = await bench.must('POST', POLICIES, { ...TAP, sources: ['red-1/0'] });
  assert.deepEqual(made.approval.needs, [{ right: 'policy', interfaces: [] }]);
  assert.deepEqual(codeOf(await bench.post(`${POLICIES}/tap/approve`)), [403, 'FORBIDDEN'], 'not by its author');
  const password = await makeUser(bench, 'alice');
  const alice = await signIn(bench, { user: 'alice', password });
  const approved = await by(bench, alice, 'POST', `${POLICIES}/tap/approve`, {});
  assert.deepEqual([approved.status, approved.body.approval.state], [200, 'approved'], approved.text);
  assert.equal(approved.body.approval.given[0].by, 'alice');
  assert.equal(
    (await bench.must('PATCH', `${POLICIES}/tap`, { enabled: false })).enabled,
    false,
    'less is done at once',
  );
  assert.ok((await bench.must('PATCH', `${POLICIES}/tap`, { enabled: true })).change, 'more is not');
});

test('a policy with an end is told to end soon, and ends by itself, also after a restart', async (t) => {
  const { bench, kinds } = await owners(t);
  const endsAt = new Date(Date.now() + 30 * 60_000).toISOString();
  await bench.must('POST', POLICIES, { ...TAP, endsAt });
  await until('the event before', async () => (await kinds()).includes('policyEndsSoon'));
  await bench.restart();
  bench.ahead = 31 * 60_000;
  await until('the end', async () => (await bench.get(`${POLICIES}/tap`)).body.enabled === false);
  await until('its event', async () => (await kinds()).includes('policyEnded'));
  assert.equal((await kinds()).filter((kind: string) => kind === 'policyEndsSoon').length, 1, 'told once');
  const [entry] = (await bench.get(`${API}/audit?limit=1`)).body.items;
  assert.deepEqual([entry.action, entry.actor, entry.resource], ['end', 'controller', 'policies/tap']);
  const again = await bench.request('PATCH', `${POLICIES}/tap`, { enabled: true });
  assert.deepEqual([again.status, again.body.errors[0].code], [422, 'POLICY_END_PAST']);
  assert.equal((await bench.request('PATCH', `${POLICIES}/tap`, { enabled: true, endsAt: null })).status, 200);
});

test('a clock that is set back does not let a policy copy for longer', async (t) => {
  let steady = 0;
  const bench = await Bench.start(t, 0, { steady: () => steady });
  await bench.cluster('node-1');
  await bench.declare('red-1/0', 'tool/0');
  const endsAt = new Date(Date.now() + 8 * 60 * 60_000).toISOString();
  await bench.must('POST', POLICIES, { ...TAP, sources: ['red-1/0'], endsAt });
  const soon = async () => (await bench.get(`${API}/events?kind=policyEndsSoon`)).body.items.length;
  bench.ahead = 7.5 * 60 * 60_000;
  await until('it is known', async () => (await soon()) > 0);
  bench.ahead = -60 * 60_000;
  steady = 8 * 60 * 60_000 + 1000;
  await until('the end', async () => (await bench.get(`${POLICIES}/tap`)).body.enabled === false);
});
