/** API tokens: how long they are good for, what they allow, and logins of the command line. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { parseJoinToken } from '@mirrorplane/contract';
import { Bench, certificateRequest } from './harness.ts';
import { by, makeUser, nobody, SESSION, signIn } from './people-client.ts';
import { SseReader } from './sse.ts';

const API = '/api/v1';
const HOUR = 60 * 60_000;

test('a token ends at its time with all that is open by it, and with its maker', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  const alice = await signIn(bench, { user: 'alice', password });
  const tokenOf = async (name: string, more: object) => {
    const made = await by(bench, alice, 'POST', '/api/v1/tokens', { name, ...more });
    assert.equal(made.status, 201, made.text);
    return made.body.token as string;
  };
  const late = await by(bench, alice, 'POST', '/api/v1/tokens', { name: 'x', expiresAt: '2020-01-01T00:00:00Z' });
  assert.deepEqual([late.status, late.body.errors[0].field], [400, 'expiresAt']);
  assert.equal((await by(bench, alice, 'POST', '/api/v1/tokens', { name: 'x' })).status, 400, 'its end has to be said');
  const expiresAt = new Date(Date.now() + HOUR).toISOString();
  const short = await tokenOf('short', { expiresAt, grants: [{ role: 'viewer' }] });
  const long = await tokenOf('long', { expiresAt: 'never' });
  const status = async (token: string) => (await bench.request('GET', '/api/v1/nodes', undefined, { token })).status;
  bench.ahead += HOUR / 2;
  assert.deepEqual([await status(short), await status(long)], [200, 200]);
  await bench.restart();
  assert.deepEqual([await status(short), await status(long)], [200, 200], 'tokens outlive a restart');
  bench.ahead += HOUR / 2;
  assert.deepEqual([await status(short), await status(long)], [401, 200]);
  const { items } = (await bench.get('/api/v1/tokens?filter=user:alice')).body;
  assert.deepEqual(
    items.map(({ name, lastUsedAt }: Record<string, string>) => [name, lastUsedAt !== undefined]),
    [
      ['long', true],
      ['short', true],
    ],
  );
  assert.ok(!JSON.stringify(items).includes('mpt_'));
  const other = { grants: [{ role: 'observer' }] };
  await bench.must('PUT', '/api/v1/users/alice', other);
  assert.equal(await status(long), 401);
});

test('what has ended stays so after a restart with the clock set back, and new tokens live as long as they say', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const password = await makeUser(bench, 'alice');
  const alice = await signIn(bench, { user: 'alice', password });
  const make = async (name: string, ms: number) => {
    const expiresAt = new Date(Date.now() + bench.ahead + ms).toISOString();
    return (await bench.must('POST', '/api/v1/tokens', { name, expiresAt })).token as string;
  };
  const short = await make('short', HOUR);
  const long = await make('long', 100 * HOUR);
  const join = await bench.must('POST', '/api/v1/nodes/node-1/token', { lifetimeSeconds: 3600 });
  const policy = `${API}/policies/tap`;
  await bench.declare('a/0', 'b/0');
  const endsAt = new Date(Date.now() + HOUR).toISOString();
  const spec = { sources: ['a/0'], destination: 'b/0', enabled: false, endsAt };
  await bench.must('PUT', policy, spec);
  bench.ahead = 30 * HOUR;
  await bench.restart();
  bench.ahead = 0;
  await bench.restart();
  const status = async (token: string) => (await bench.request('GET', `${API}/nodes`, undefined, { token })).status;
  assert.deepEqual([await status(short), await status(long)], [401, 200]);
  assert.equal((await by(bench, alice, 'GET', `${API}/session`)).status, 401, 'a session too');
  assert.deepEqual((await bench.get(`${API}/join-tokens`)).body.items, [], 'a join token too');
  const { csr } = await certificateRequest('node-1');
  const enrolled = await bench.enroll({ node: 'node-1', secret: parseJoinToken(join.token).secret, csr });
  assert.equal(enrolled.status, 401);
  const enabled = await bench.put(policy, { ...spec, enabled: true });
  assert.deepEqual([enabled.status, enabled.body.errors?.[0].code], [422, 'POLICY_END_PAST']);
  // The time goes on from the latest one.
  bench.ahead = 30 * HOUR;
  const next = await make('next', HOUR);
  bench.ahead = 0;
  assert.equal(await status(next), 200);
  bench.ahead = 32 * HOUR;
  assert.equal(await status(next), 401);
});

test('a stream by a token ends when the token has expired', async (t) => {
  const bench = await Bench.start(t);
  const expiresAt = new Date(Date.now() + HOUR).toISOString();
  const { token } = await bench.must('POST', '/api/v1/tokens', { name: 'reader', expiresAt });
  const headers = { authorization: `Bearer ${token}` };
  const stream = await SseReader.open(`http://${bench.controller.addresses[0]}/api/v1/events/stream`, headers);
  t.after(() => stream.close());
  assert.equal(stream.response.statusCode, 200);
  bench.ahead += HOUR;
  await until('the stream ends', () => stream.ended, { limitMs: 30_000 });
});

test('a token allows no more than its maker may, and makes no tokens', async (t) => {
  const bench = await Bench.start(t);
  await bench.must('PUT', '/api/v1/users/eve', { grants: [{ role: 'operator', scope: { pools: ['east'] } }] });
  const { password: given } = await bench.must('POST', '/api/v1/users/eve/password', {});
  const first = await signIn(bench, { user: 'eve', password: given });
  const none = await by(bench, first, 'POST', '/api/v1/tokens', { name: 'early', expiresAt: 'never' });
  assert.equal(none.status, 403, 'before the password is changed');
  await by(bench, first, 'POST', '/api/v1/users/eve/password', { current: given, password: 'a password of eve alone' });
  const make = (grants: object[]) =>
    by(bench, first, 'POST', '/api/v1/tokens', { name: 'ci', expiresAt: 'never', grants });
  for (const more of [
    { role: 'admin' },
    { role: 'operator' },
    { role: 'observer', scope: { pools: ['east'] } },
    { role: 'viewer', scope: { pools: ['east', 'west'] } },
    { role: 'viewer', scope: { networks: ['blue'] } },
  ]) {
    assert.equal((await make([more])).body.code, 'FORBIDDEN', JSON.stringify(more));
  }
  const less = await make([{ role: 'viewer', scope: { pools: ['east'], networks: ['blue'] } }]);
  assert.equal(less.status, 201, less.text);
  const { token } = less.body;
  const own = await bench.request('POST', '/api/v1/tokens', { name: 'more', expiresAt: 'never' }, { token });
  assert.equal(own.body.code, 'FORBIDDEN');
  const password = await makeUser(bench, 'mallory', 'viewer');
  const mallory = await signIn(bench, { user: 'mallory', password });
  assert.deepEqual((await by(bench, mallory, 'GET', '/api/v1/tokens')).body.items, []);
  assert.equal((await by(bench, mallory, 'DELETE', '/api/v1/tokens/ci')).status, 404);
  assert.equal((await by(bench, first, 'DELETE', '/api/v1/tokens/ci')).status, 204);
  assert.equal((await bench.request('GET', SESSION, undefined, { token })).status, 401);
});

test('the token in a file is revoked for good, with what it has made', async (t) => {
  const bench = await Bench.start(t);
  const admin = bench.token;
  const { token } = await bench.must('POST', '/api/v1/tokens', { name: 'ci', expiresAt: 'never' });
  const made = { token };
  assert.equal((await bench.request('DELETE', '/api/v1/tokens/admin', undefined, { token: admin })).status, 204);
  assert.ok(!existsSync(path.join(bench.data, 'admin-token')));
  for (const token of [admin, made.token]) {
    assert.equal((await bench.request('GET', SESSION, undefined, { token })).status, 401);
  }
  await bench.restart();
  assert.ok(!existsSync(path.join(bench.data, 'admin-token')));
  assert.equal((await bench.request('GET', SESSION, undefined, { token: admin })).status, 401);
});

test('a login of the command line is confirmed by a person alone, once, and in time', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  const alice = await signIn(bench, { user: 'alice', password });
  const url = '/api/v1/device-logins';
  const begin = async () => (await bench.post(url, { host: 'laptop' }, nobody)).body;
  const poll = (deviceCode: string) => bench.post(`${url}/poll`, { deviceCode }, nobody);
  const started = await begin();
  assert.match(started.userCode, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
  assert.equal((await poll(started.deviceCode)).body.state, 'pending');
  assert.equal((await poll('wrong')).status, 404);
  const byToken = await bench.post(`${url}/${started.userCode}`, { confirm: true });
  assert.equal(byToken.body.code, 'FORBIDDEN', 'a token confirms nothing');
  const seen = await by(bench, alice, 'GET', `${url}/${started.userCode}`);
  assert.deepEqual([seen.body.address, seen.body.host], ['127.0.0.1', 'laptop']);
  assert.equal((await by(bench, alice, 'POST', `${url}/${started.userCode}`, { confirm: true })).status, 204);
  assert.equal((await by(bench, alice, 'POST', `${url}/${started.userCode}`, { confirm: true })).status, 404);
  const { token, info } = (await poll(started.deviceCode)).body;
  assert.deepEqual([info.source, info.user, info.from], ['login', 'alice', '127.0.0.1 (laptop)']);
  assert.equal((await poll(started.deviceCode)).status, 404, 'the token is told once');
  assert.equal((await bench.request('GET', SESSION, undefined, { token })).body.name, 'alice');
  const late = await begin();
  bench.ahead += 10 * 60_000;
  assert.equal((await by(bench, alice, 'POST', `${url}/${late.userCode}`, { confirm: true })).status, 404);
  const codes: string[] = [];
  for (let tried = 0; tried < 6; tried++) {
    codes.push((await by(bench, alice, 'GET', `${url}/BBBB-BBB${'BCDFGH'[tried]}`)).body.code);
  }
  assert.deepEqual([codes[0], codes[5]], ['NOT_FOUND', 'TRIES_EXCEEDED']);
  const { items } = (await bench.get('/api/v1/audit?filter=action:device')).body;
  assert.deepEqual(
    items.map(({ actor, outcome, code }: Record<string, string>) => [actor, outcome, code]),
    [['alice', 'done', undefined]],
  );
});
