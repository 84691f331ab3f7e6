/** Somebody with few rights holds nobody up, and everything that is refused leaves a trace. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { AuditEntry, Grant, PolicyStatus } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { givesWay } from '../../src/auth/fair-share.ts';
import { Attempts } from '../../src/people/attempts.ts';
import { HashLanes } from '../../src/people/hash-lanes.ts';
import { Walks } from '../../src/summaries/walks.ts';
import { PolicyTests } from '../../src/tests/policy-tests.ts';
import { Bench, vmDevice } from '../harness.ts';
import { by, makeUser, nobody, SESSION, signIn } from '../people-client.ts';
import { peopleOf, personOf } from './people.ts';

const API = '/api/v1';
const blue: Grant['scope'] = { labels: { tenant: 'blue' } };

async function entries(bench: Bench, wanted: (entry: AuditEntry) => boolean): Promise<AuditEntry[]> {
  return (await bench.get(`${API}/audit?limit=1000`)).body.items.filter(wanted);
}

test('a request that is refused for its scope is in the audit log once, as is reading the look of another', async (t) => {
  const bench = await Bench.start(t);
  const [agent] = await bench.agents('node-1');
  agent.inventory(vmDevice('web-1/0', 7));
  await bench.must('PUT', `${API}/interfaces/web-1%2F0`, { kind: 'vm', labels: { tenant: 'red' } });
  const { scoped, all } = await peopleOf(bench, {
    scoped: [{ role: 'operator', scope: blue }],
    all: [{ role: 'observer' }],
  });
  const url = `${API}/interfaces/web-1%2F0`;
  assert.equal((await scoped('GET', url)).status, 403);
  assert.equal((await scoped('PUT', url, { kind: 'vm' })).status, 403);
  assert.equal((await scoped('POST', `${API}/looks`, { interfaces: ['web-1/0'] })).status, 403);
  const refused = await entries(bench, ({ outcome }) => outcome === 'refused');
  assert.equal(refused.length, 3, JSON.stringify(refused));
  assert.ok(
    refused.some(
      ({ action, resource, code }) => action === 'request' && resource === `GET ${url}` && code === 'FORBIDDEN',
    ),
  );
  assert.ok(refused.every(({ actor }) => actor === 'admin/of-scoped'));
  const { id } = await bench.must('POST', `${API}/looks`, { interfaces: ['web-1/0'] });
  const reading = () => entries(bench, ({ action }) => action === 'read');
  await bench.request('GET', `${API}/looks/${id}/packets.pcapng`);
  assert.deepEqual(await reading(), [], 'the own look');
  for (let time = 0; time < 2; time++) {
    assert.equal((await all('GET', `${API}/looks/${id}/packets.pcapng`)).status, 200);
  }
  const [entry, ...more] = await reading();
  assert.deepEqual([entry!.actor, entry!.resource, more.length], ['admin/of-all', `looks/${id}`, 0]);
});

test('who signs in without end ends the own sessions alone, and fills no log', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'ann', 'viewer');
  const ann = await signIn(bench, { user: 'ann', password });
  const { token } = await bench.must('POST', `${API}/tokens`, {
    name: 'many',
    grants: [{ role: 'viewer' }],
    expiresAt: 'never',
  });
  for (let time = 0; time < 130; time++) {
    await signIn(bench, { token });
  }
  assert.equal((await by(bench, ann, 'GET', SESSION)).status, 200);
  const written = await entries(bench, ({ actor, action }) => actor === 'admin/many' && action === 'signIn');
  assert.ok(written.length < 120, `${written.length} entries`);
});

test('a place is given up by its own holder, or by who has most', () => {
  const places = { each: 2, total: 4 };
  const held = (text: string) => new Map([...text].map((holder, at) => [at, holder]));
  assert.equal(givesWay(held('abb'), 'a', places), undefined);
  assert.equal(givesWay(held('abb'), 'b', places), 1);
  assert.equal(givesWay(held('cabb'), 'c', places), 2);
});

test('each has one place in the lane of hashes, and the next in the queue comes', async () => {
  const lanes = new HashLanes();
  const ends: (() => void)[] = [];
  const run = (asker: string) => lanes.run('known', asker, () => new Promise<void>((resolve) => ends.push(resolve)));
  const alice = run('alice');
  for (let time = 0; time < 40; time++) {
    await assert.rejects(run('alice'), /another try of yours/);
  }
  const bob = run('bob');
  ends[0]!();
  await alice;
  ends[1]!();
  await bob;
});

test('signing in oneself gives no tries for other accounts back, and the own tries only now and then', () => {
  const attempts = new Attempts();
  const own = { user: 'mallory', origin: '10.0.0.1', isKnown: false };
  let sprayed = 0;
  for (let at = 0; at < 100; at++) {
    sprayed += attempts.take({ user: `user-${at}`, origin: '10.0.0.1', isKnown: false }) ? 1 : 0;
    if (attempts.take(own)) {
      attempts.succeeded(own);
    }
  }
  assert.ok(sprayed <= 11, `${sprayed} tries for others`);
  const known = { ...own, isKnown: true };
  let done = 0;
  for (let at = 0; at < 1000; at++) {
    if (attempts.take(known)) {
      attempts.succeeded(known);
      done++;
    }
  }
  assert.ok(done < 150, `${done} of 1000`);
});

test('no token outlives the login that made it, or confirms another login, or lives again', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'ann');
  const begin = async () => (await bench.post(`${API}/device-logins`, { host: 'laptop' }, nobody)).body;
  const session = await signIn(bench, { user: 'ann', password });
  const login = await begin();
  const confirmed = await by(bench, session, 'POST', `${API}/device-logins/${login.userCode}`, { confirm: true });
  assert.equal(confirmed.status, 204, confirmed.text);
  const { token, info } = (await bench.post(`${API}/device-logins/poll`, { deviceCode: login.deviceCode }, nobody))
    .body;
  const ann = personOf(bench, token);
  const made = await ann('POST', `${API}/tokens`, { name: 'forever', expiresAt: 'never' });
  assert.deepEqual([made.status, made.body.info.expiresAt], [201, info.expiresAt]);
  const other = await begin();
  const byToken = await signIn(bench, { token });
  const refused = await by(bench, byToken, 'POST', `${API}/device-logins/${other.userCode}`, { confirm: true });
  assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN']);
  bench.ahead += 8 * 24 * 60 * 60 * 1000;
  assert.equal((await ann('GET', SESSION)).status, 401);
  assert.equal((await personOf(bench, made.body.token)('GET', SESSION)).status, 401);
  bench.ahead -= 8 * 24 * 60 * 60 * 1000;
  assert.equal((await ann('GET', SESSION)).status, 401, 'the clock was set back');
});

test('one user takes a share of the lists that are read, and ends no list of others', () => {
  let now = 0;
  const walks = new Walks(() => now++);
  const mine = walks.begin(['a'], 'ann');
  const others = Array.from({ length: 100 }, () => walks.begin(['b'], 'eve'));
  assert.deepEqual(walks.keys(mine), ['a']);
  assert.equal(others.filter((id) => walks.keys(id)).length, 16, 'the last ones of who reads many');
  for (let n = 0; n < 10; n++) {
    walks.begin(Array.from({ length: 100_000 }, String), 'eve');
  }
  assert.deepEqual(walks.keys(mine), ['a'], 'nor by long ones');
});

test('one user has at most half of the tests of policies that run', async () => {
  const parts = {
    live: { get: () => undefined },
    send: () => undefined,
    clock: Date.now,
    log: createLog('x', 'silent'),
  };
  const tests = new PolicyTests(parts);
  const end = (id: string) => ({ interface: id, devices: [{ node: 'node-1' }] });
  const status = (uid: string) =>
    ({
      uid,
      name: uid,
      state: 'active',
      sources: [end('a')],
      destination: end('b'),
      reasons: [],
    }) as unknown as PolicyStatus;
  const run = (uid: string, by: string) => tests.run(status(uid), by);
  const running = ['1', '2', '3', '4'].map((uid) => run(uid, 'eve'));
  await assert.rejects(run('5', 'eve'), /4 policies are being tested for you: wait a few seconds/);
  running.push(...['5', '6', '7', '8'].map((uid) => run(uid, 'ann')));
  await assert.rejects(run('9', 'bob'), /8 policies are being tested: wait a few seconds/);
  tests.close();
  await Promise.all(running);
  running.push(run('9', 'eve'));
  tests.close();
  await Promise.all(running);
});
