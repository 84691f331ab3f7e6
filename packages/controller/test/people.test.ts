/** Users: signing in with passwords and codes, and what ends when they change. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { startController } from '../src/index.ts';
import { Bench } from './harness.ts';
import { by, codeOf, firstPassword, makeUser, nobody, SESSION, signIn } from './people-client.ts';
import { SseReader } from './sse.ts';

const MINUTE = 60_000;

test('the first start makes an administrator, whose password works until it is changed, and whose file goes', async (t) => {
  const bench = await Bench.start(t);
  const file = path.join(bench.data, 'first-password');
  const password = firstPassword(bench);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(bench.controller.firstPassword, { password, file });
  const browser = await signIn(bench, { user: 'admin', password });
  assert.ok(!existsSync(file), 'the file is gone after the first sign-in');
  assert.equal(browser.reply.body.mustChangePassword, true);
  assert.deepEqual(browser.reply.body.rights, []);
  assert.equal((await by(bench, browser, 'GET', '/api/v1/policies')).status, 403);

  const url = '/api/v1/users/admin/password';
  for (const bad of ['short', 'passwordpassword', 'adminadminadminadmin', 'abcabcabcabcabcabc', password]) {
    const refused = await by(bench, browser, 'POST', url, { current: password, password: bad });
    assert.deepEqual([refused.status, refused.body.errors[0].field], [400, 'password'], bad);
  }
  const next = 'five words are a password';
  const wrong = await by(bench, browser, 'POST', url, { current: 'x', password: next });
  assert.deepEqual([wrong.status, wrong.body.errors[0].field], [400, 'current']);
  assert.equal((await by(bench, browser, 'POST', url, { current: password, password: next })).status, 200);
  const session = await by(bench, browser, 'GET', SESSION);
  assert.ok(session.body.rights.includes('access'), 'the session goes on, with all rights');
  assert.equal((await bench.post(SESSION, { user: 'admin', password }, nobody)).status, 401);
  await signIn(bench, { user: ' Admin ', password: next });
  await bench.restart();
  assert.equal(bench.controller.firstPassword, undefined, 'no second start makes another one');
  assert.ok(!existsSync(file));
});

test('what is on the disk and in the audit log has no password, and an unknown user is refused alike', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  const unknown = await bench.post(SESSION, { user: 'nobody', password }, nobody);
  const wrong = await bench.post(SESSION, { user: 'alice', password: 'wrong' }, nobody);
  assert.deepEqual([unknown.status, wrong.status], [401, 401]);
  assert.equal(unknown.body.detail, wrong.body.detail);
  for (const file of ['audit.log', 'events.log', 'sessions.json', 'store.db', 'store.db-wal']) {
    const full = path.join(bench.data, file);
    assert.ok(!existsSync(full) || !readFileSync(full).includes(password), file);
  }
  const { items } = (await bench.get('/api/v1/audit?filter=users/alice')).body;
  const lines = items.map(({ action, outcome }: Record<string, string>) => `${action} ${outcome}`);
  assert.deepEqual(lines.slice(-3), ['password done', 'password done', 'replace done']);
  const shown = (await bench.get('/api/v1/users/alice')).text;
  assert.ok(!/argon2|stamp|secret/.test(shown), shown);
});

test('a disabled user is out at once, with open streams, looks and tokens; so is one with other grants', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('web-1/0');
  const password = await makeUser(bench, 'olga', 'observer');
  const url = '/api/v1/users/olga';
  for (const change of [{ grants: [{ role: 'observer' }], disabled: true }, { grants: [{ role: 'viewer' }] }]) {
    await bench.must('PUT', url, { grants: [{ role: 'observer' }] });
    const browser = await signIn(bench, { user: 'olga', password });
    const made = await by(bench, browser, 'POST', '/api/v1/tokens', { name: 'ci', expiresAt: 'never' });
    assert.equal(made.status, 201, made.text);
    const { token } = made.body;
    const events = `http://${bench.controller.addresses[0]}/api/v1/events/stream`;
    const streams = await Promise.all([
      SseReader.open(events, { cookie: browser.cookie }),
      SseReader.open(events, { authorization: `Bearer ${token}` }),
    ]);
    t.after(() => {
      for (const stream of streams) {
        stream.close();
      }
    });
    const look = await by(bench, browser, 'POST', '/api/v1/looks', { interfaces: ['web-1/0'] });
    assert.equal(look.status, 201, look.text);
    await bench.must('PUT', url, change);
    await until('both streams end', () => streams.every((stream) => stream.ended));
    assert.equal((await bench.get(`/api/v1/looks/${look.body.id}`)).body.endedBy, 'access');
    assert.equal((await by(bench, browser, 'GET', '/api/v1/nodes')).status, 401);
    assert.equal((await bench.request('GET', '/api/v1/nodes', undefined, { token })).status, 401);
    const again = await bench.post(SESSION, { user: 'olga', password }, nobody);
    assert.equal(again.status, 'disabled' in change ? 401 : 201);
  }
  assert.deepEqual((await bench.get('/api/v1/tokens?filter=user:olga')).body.items, []);
});

test('a code of an authenticator app is good once, and recovery codes are, too', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  const browser = await signIn(bench, { user: 'alice', password });
  const url = '/api/v1/users/alice/totp';
  assert.equal((await by(bench, browser, 'POST', url, { password: 'wrong' })).status, 400);
  const { secret, uri } = (await by(bench, browser, 'POST', url, { password })).body;
  assert.match(uri, /^otpauth:\/\/totp\/Mirrorplane:alice\?/);
  assert.equal((await by(bench, browser, 'PUT', url, { code: '000000' })).status, 400);
  const first = codeOf(secret);
  const confirmed = await by(bench, browser, 'PUT', url, { code: first });
  assert.equal(confirmed.status, 200, confirmed.text);
  const { recoveryCodes } = confirmed.body;
  assert.equal(new Set(recoveryCodes).size, 10);

  const tryWith = async (totp?: string) => {
    const reply = await bench.post(SESSION, { user: 'alice', password, ...(totp && { totp }) }, nobody);
    return reply.body.code ?? reply.status;
  };
  assert.equal(await tryWith(), 'TOTP_REQUIRED');
  assert.equal(await tryWith(first), 'UNAUTHENTICATED', 'the code that confirmed it is used up');
  bench.ahead += 60_000;
  const code = codeOf(secret, bench.ahead);
  assert.equal(await tryWith(code), 201);
  assert.equal(await tryWith(code), 'UNAUTHENTICATED', 'a code is not good twice');
  assert.equal(await tryWith(recoveryCodes[3].toUpperCase().replaceAll('-', ' ')), 201);
  assert.equal(await tryWith(recoveryCodes[3]), 'UNAUTHENTICATED');
  assert.equal((await bench.get('/api/v1/users/alice')).body.recoveryCodes, 9);
  for (const where of ['/api/v1/users/alice', '/api/v1/users', '/api/v1/audit', '/api/v1/events']) {
    const { text } = await bench.get(where);
    assert.ok(!text.includes(secret) && !text.includes(recoveryCodes[0]), where);
  }
  await bench.must('DELETE', url);
  assert.equal(await tryWith(), 201, 'an administrator removes a lost app');
});

test('who manages users gives nothing beyond the own rights, and the last administrator stays', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice', 'operator');
  const alice = await signIn(bench, { user: 'alice', password });
  for (const [method, url, body] of [
    ['GET', '/api/v1/users'],
    ['GET', '/api/v1/users/admin'],
    ['PUT', '/api/v1/users/alice', { grants: [{ role: 'admin' }] }],
    ['POST', '/api/v1/users/admin/password', {}],
    ['DELETE', '/api/v1/users/admin'],
    ['DELETE', '/api/v1/tokens/admin'],
    ['POST', '/api/v1/users/admin/totp', { password }],
  ] as const) {
    assert.equal((await by(bench, alice, method, url, body)).body.code, 'FORBIDDEN', `${method} ${url}`);
  }
  assert.equal((await by(bench, alice, 'GET', '/api/v1/users/alice')).status, 200);
  await bench.must('PUT', '/api/v1/users/east', { grants: [{ role: 'admin', scope: { pools: ['east'] } }] });
  const { password: given } = await bench.must('POST', '/api/v1/users/east/password', {});
  const first = await signIn(bench, { user: 'east', password: given });
  const own = 'words of the east alone';
  const changed = await by(bench, first, 'POST', '/api/v1/users/east/password', { current: given, password: own });
  assert.equal(changed.status, 200);
  for (const [method, url, body] of [
    ['PUT', '/api/v1/users/mallory', { grants: [{ role: 'admin' }] }],
    ['POST', '/api/v1/users/admin/password', {}],
    ['DELETE', '/api/v1/users/alice', undefined],
    ['DELETE', '/api/v1/tokens/read', undefined],
  ] as const) {
    assert.equal((await by(bench, first, method, url, body)).body.code, 'FORBIDDEN', `${method} ${url}`);
  }
  for (const [method, body] of [
    ['DELETE', undefined],
    ['PUT', { grants: [{ role: 'viewer' }] }],
    ['PUT', { grants: [{ role: 'admin' }], disabled: true }],
  ] as const) {
    const refused = await bench.request(method, '/api/v1/users/admin', body);
    assert.deepEqual([refused.status, refused.body.code], [409, 'LAST_ADMINISTRATOR']);
  }
});

test('an account that is made again under the same name has nothing of the one before', async (t) => {
  const bench = await Bench.start(t);
  const password = await makeUser(bench, 'alice');
  const browser = await signIn(bench, { user: 'alice', password });
  await bench.must('DELETE', '/api/v1/users/alice');
  assert.equal((await by(bench, browser, 'GET', SESSION)).status, 401);
  await makeUser(bench, 'alice');
  assert.equal((await by(bench, browser, 'GET', SESSION)).status, 401);
  bench.ahead += MINUTE;
});

test('a lost password of the administrator is made again while the controller does not run', async (t) => {
  const bench = await Bench.start(t);
  const old = firstPassword(bench);
  const browser = await signIn(bench, { user: 'admin', password: old });
  await bench.must('PUT', '/api/v1/users/other', { grants: [{ role: 'admin' }] });
  await bench.must('PUT', '/api/v1/users/admin', { grants: [], disabled: true });
  await bench.controller.close();
  const nowhere = { listen: [], agentListen: '127.0.0.1:0', logger: createLog('controller', 'silent') };
  const reset = await startController({ data: bench.data, ...nowhere, resetAdmin: true });
  const { password } = reset.firstPassword!;
  await reset.close();
  await bench.restart();
  assert.equal(firstPassword(bench), password);
  assert.equal((await bench.post(SESSION, { user: 'admin', password: old }, nobody)).status, 401);
  assert.equal((await by(bench, browser, 'GET', SESSION)).status, 401);
  const again = await signIn(bench, { user: 'admin', password });
  assert.deepEqual(again.reply.body.grants, []);
  const next = 'five words are a password';
  const body = { current: password, password: next };
  assert.equal((await by(bench, again, 'POST', '/api/v1/users/admin/password', body)).status, 200);
  assert.ok((await by(bench, again, 'GET', SESSION)).body.rights.includes('access'));
  const { items } = (await bench.get('/api/v1/audit?filter=actor:controller%20action:password')).body;
  assert.deepEqual([items.length, items[0].resource], [1, 'users/admin']);
});
