/** Signing in: sessions, tickets, and protection of the cookie against other sites. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { RIGHTS } from '@mirrorplane/contract';
import { SESSION_PLACES } from '../src/auth/sessions.ts';
import { Bench, type Reply } from './harness.ts';
import { makeUser } from './people-client.ts';
import { SseReader } from './sse.ts';

const URL = '/api/v1/session';
const MINUTE = 60_000;
const nobody = { token: undefined };

interface Browser {
  cookie: string;
  csrf: string;
  reply: Reply;
}

/** Signs in as a browser does. */
async function signIn(bench: Bench, body: object, headers: Record<string, string> = {}): Promise<Browser> {
  const reply = await bench.post(URL, body, { ...nobody, headers });
  assert.equal(reply.status, 201, reply.text);
  const cookie = String(reply.headers['set-cookie']).split(';')[0]!;
  return { cookie, csrf: reply.body.csrfToken, reply };
}

/** A request with the cookie and `headers`. */
function withCookie(bench: Bench, { cookie }: Browser, method: string, url: string, headers: object, body?: unknown) {
  return bench.request(method, url, body, { ...nobody, headers: { cookie, ...headers } });
}

/** The newest entry of the audit log for an action. */
async function newest(bench: Bench, action: string) {
  const { items } = (await bench.get('/api/v1/audit')).body;
  return items.find((entry: { action: string }) => entry.action === action);
}

const own = (bench: Bench, csrf: string) => ({
  origin: `http://${bench.controller.addresses[0]}`,
  'x-mirrorplane-csrf': csrf,
});

test('a browser signs in with a token, and its cookie is out of the reach of scripts and of other sites', async (t) => {
  const bench = await Bench.start(t);
  const browser = await signIn(bench, { token: bench.token });
  const { reply, csrf } = browser;
  const [cookie] = reply.headers['set-cookie'] as string[];
  assert.match(cookie!, /^mirrorplane_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
  assert.deepEqual([reply.body.grants, reply.body.name, reply.body.by], [[{ role: 'admin' }], 'admin', 'session']);
  assert.deepEqual(reply.body.rights, [...RIGHTS]);
  assert.ok(Math.abs(Date.parse(reply.body.expiresAt) - Date.now() - 12 * 60 * MINUTE) < MINUTE);
  const seen = await withCookie(bench, browser, 'GET', URL, {});
  assert.deepEqual([seen.status, seen.body.csrfToken], [200, csrf]);
  assert.equal((await withCookie(bench, browser, 'GET', '/api/v1/policies', {})).status, 200);
  const made = await withCookie(bench, browser, 'PUT', '/api/v1/domains/blue', own(bench, csrf), {});
  assert.equal(made.status, 201, made.text);
  assert.equal((await bench.get(URL)).body.by, 'token');
  assert.equal((await bench.request('GET', URL, undefined, nobody)).status, 401);
});

test('behind a trusted proxy with TLS the cookie is for TLS and this host alone; from others, its headers say nothing', async (t) => {
  const proxied = {
    origin: 'https://mirror.example',
    'x-forwarded-host': 'mirror.example',
    'x-forwarded-proto': 'https',
  };
  const from = { ...proxied, 'x-forwarded-for': '203.0.113.9, 198.51.100.7' };
  const bench = await Bench.start(t, 0, { trustedProxies: ['127.0.0.0/8'] });
  const browser = await signIn(bench, { token: bench.token }, from);
  const [cookie] = browser.reply.headers['set-cookie'] as string[];
  assert.match(cookie!, /^__Host-mirrorplane_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; .*; Secure$/);
  const change = { ...from, 'x-mirrorplane-csrf': browser.csrf };
  assert.equal((await withCookie(bench, browser, 'PUT', '/api/v1/domains/blue', change, {})).status, 201);
  const plainPage = { ...change, origin: 'http://mirror.example' };
  assert.equal((await withCookie(bench, browser, 'PUT', '/api/v1/domains/red', plainPage, {})).status, 403);
  const byPlain = await withCookie(bench, browser, 'GET', '/api/v1/policies', {});
  assert.equal(byPlain.status, 401, 'the name with the prefix counts by TLS alone');
  const audited = await newest(bench, 'replace');
  assert.equal(audited.address, '198.51.100.7');

  const alone = await Bench.start(t);
  const refused = await alone.post(URL, { token: alone.token }, { ...nobody, headers: proxied });
  assert.deepEqual([refused.status, refused.body.code], [403, 'CSRF_REFUSED']);
  const { 'x-forwarded-proto': proto } = proxied;
  const stranger = await signIn(
    alone,
    { token: alone.token },
    { 'x-forwarded-proto': proto, 'x-forwarded-for': '1.2.3.4' },
  );
  assert.match(String(stranger.reply.headers['set-cookie']), /^mirrorplane_session=[^;]*;(?!.*Secure)/);
  assert.equal((await newest(alone, 'signIn')).address, '127.0.0.1');
});

test('behind a trusted proxy, tries to sign in are counted for each client and not for the proxy', async (t) => {
  const bench = await Bench.start(t, 0, { trustedProxies: ['127.0.0.1'] });
  const tryFrom = async (client: string) => {
    const headers = { 'x-forwarded-for': `10.9.9.9, ${client}` };
    return (await bench.post(URL, { token: 'wrong' }, { ...nobody, headers })).status;
  };
  let tries = 0;
  while ((await tryFrom('198.51.100.7')) === 401) {
    tries++;
  }
  assert.ok(tries >= 10 && tries < 20, `${tries} tries`);
  assert.equal(await tryFrom('198.51.100.7'), 429);
  assert.equal(await tryFrom('198.51.100.8'), 401);
});

test('a page of another origin changes nothing with the cookie, nor does a change without its header', async (t) => {
  const bench = await Bench.start(t);
  const browser = await signIn(bench, { token: bench.token });
  const good = own(bench, browser.csrf);
  const forged: [what: string, headers: Record<string, string | undefined>][] = [
    ['another origin', { ...good, origin: 'http://evil.example' }],
    ['another port of this host', { ...good, origin: 'http://127.0.0.1:1' }],
    ['no origin', { 'x-mirrorplane-csrf': browser.csrf }],
    ['an origin that is hidden', { ...good, origin: 'null' }],
    ['another site, as the browser says', { ...good, 'sec-fetch-site': 'cross-site' }],
    ['another port, as the browser says', { ...good, 'sec-fetch-site': 'same-site' }],
    ['no header', { origin: good.origin }],
    ['a wrong header', { ...good, 'x-mirrorplane-csrf': 'x'.repeat(43) }],
  ];
  for (const [what, headers] of forged) {
    for (const [method, url] of [
      ['PUT', '/api/v1/domains/blue'],
      ['POST', '/api/v1/policies'],
      ['DELETE', URL],
    ] as const) {
      const reply = await withCookie(bench, browser, method, url, headers, method === 'DELETE' ? undefined : {});
      assert.deepEqual([reply.status, reply.body.code], [403, 'CSRF_REFUSED'], `${what}: ${method} ${url}`);
    }
  }
  assert.equal((await bench.get('/api/v1/domains/blue')).status, 404);
  const read = await withCookie(bench, browser, 'GET', '/api/v1/policies', { 'sec-fetch-site': 'cross-site' });
  assert.equal(read.status, 403);
  const login = { ...nobody, headers: { origin: 'http://evil.example' } };
  assert.equal((await bench.post(URL, { token: bench.token }, login)).status, 403);
  const fetched = { 'sec-fetch-site': 'same-origin', 'x-mirrorplane-csrf': browser.csrf };
  assert.equal((await withCookie(bench, browser, 'PUT', '/api/v1/domains/blue', fetched, {})).status, 201);
});

test('a session has the rights of its token, and a request with a token needs no session', async (t) => {
  const bench = await Bench.start(t);
  const token = readFileSync(path.join(bench.data, 'read-token'), 'utf8').trim();
  const reader = await signIn(bench, { token });
  assert.deepEqual(reader.reply.body.rights, ['read', 'metrics']);
  assert.equal((await withCookie(bench, reader, 'GET', '/api/v1/nodes', {})).status, 200);
  const refused = await withCookie(bench, reader, 'PUT', '/api/v1/domains/blue', own(bench, reader.csrf), {});
  assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN']);
  // A cookie does not make a wrong token valid.
  const both = { token: 'wrong', headers: { cookie: reader.cookie } };
  assert.equal((await bench.request('GET', '/api/v1/nodes', undefined, both)).status, 401);
  assert.equal((await withCookie(bench, reader, 'DELETE', URL, own(bench, reader.csrf))).status, 204);
});

test('a ticket signs one browser in, once and within five minutes', async (t) => {
  const bench = await Bench.start(t);
  const ticketOf = async () => (await bench.must('POST', `${URL}/tickets`)).ticket;
  const ticket = await ticketOf();
  assert.equal((await signIn(bench, { ticket })).reply.body.name, 'admin');
  assert.equal((await bench.post(URL, { ticket }, nobody)).status, 401);
  const late = await ticketOf();
  const punctual = await ticketOf();
  bench.ahead += 5 * MINUTE - 2000;
  const browser = await signIn(bench, { ticket: punctual });
  bench.ahead += 2001;
  assert.equal((await bench.post(URL, { ticket: late }, nobody)).status, 401);
  const more = await withCookie(bench, browser, 'POST', `${URL}/tickets`, own(bench, browser.csrf));
  assert.deepEqual([more.status, more.body.code], [403, 'FORBIDDEN']);
  const reader = { token: readFileSync(path.join(bench.data, 'read-token'), 'utf8').trim() };
  const { ticket: ofReader } = (await bench.post(`${URL}/tickets`, undefined, reader)).body;
  assert.equal((await signIn(bench, { ticket: ofReader })).reply.body.name, 'read');
  for (const body of [{}, { ticket: 'x', token: 'y' }, { tickt: 'x' }]) {
    assert.equal((await bench.post(URL, body, nobody)).status, 400);
  }
});

test('signing out ends the session and what is open in its name, for good', async (t) => {
  const bench = await Bench.start(t);
  const browser = await signIn(bench, { token: bench.token });
  const other = await signIn(bench, { token: bench.token });
  const stream = await SseReader.open(`http://${bench.controller.addresses[0]}/api/v1/events/stream`, {
    cookie: browser.cookie,
  });
  t.after(() => stream.close());
  assert.equal(stream.response.statusCode, 200);
  const out = await withCookie(bench, browser, 'DELETE', URL, own(bench, browser.csrf));
  assert.equal(out.status, 204);
  assert.match(String(out.headers['set-cookie']), /^mirrorplane_session=; .*Max-Age=0$/);
  await until('the stream ends', () => stream.ended);
  const after = await withCookie(bench, browser, 'GET', '/api/v1/policies', {});
  assert.deepEqual([after.status, after.body.detail], [401, 'the session is over: sign in again']);
  await bench.restart();
  assert.equal((await withCookie(bench, browser, 'GET', '/api/v1/policies', {})).status, 401);
  assert.equal(
    (await withCookie(bench, other, 'GET', '/api/v1/policies', {})).status,
    200,
    'a restart signs nobody out',
  );
});

test('a session ends with its token, after twelve hours, and after two hours without use', async (t) => {
  const bench = await Bench.start(t);
  const status = async (browser: Browser) => (await withCookie(bench, browser, 'GET', '/api/v1/nodes', {})).status;
  const used = await signIn(bench, { token: bench.token });
  const idle = await signIn(bench, { token: bench.token });
  for (let hours = 0; hours < 10; hours += 1.5) {
    bench.ahead += 90 * MINUTE;
    assert.equal(await status(used), 200, `${hours} hours`);
  }
  assert.equal(await status(idle), 401);
  bench.ahead += 90 * MINUTE;
  assert.equal(await status(used), 401);

  const before = await signIn(bench, { token: bench.token });
  writeFileSync(path.join(bench.data, 'admin-token'), `${'n'.repeat(43)}\n`);
  await bench.restart();
  assert.equal(await status(before), 401);
});

test('tries to sign in are bounded, and so are sessions; the one that is used least goes', async (t) => {
  const bench = await Bench.start(t);
  const first = await signIn(bench, { token: bench.token });
  const password = await makeUser(bench, 'ann', 'viewer');
  const ann = await signIn(bench, { user: 'ann', password });
  for (let made = 1; made < SESSION_PLACES.each; made++) {
    await signIn(bench, { token: bench.token });
  }
  assert.equal((await withCookie(bench, first, 'GET', URL, {})).status, 200);
  bench.ahead += 1000;
  const second = await signIn(bench, { token: bench.token });
  assert.equal((await withCookie(bench, second, 'GET', URL, {})).status, 200);
  const kept = JSON.parse(readFileSync(path.join(bench.data, 'sessions.json'), 'utf8'));
  const ofAdmin = kept.filter(({ owner }: { owner: object }) => 'token' in owner);
  assert.equal(ofAdmin.length, SESSION_PLACES.each);
  assert.equal((await withCookie(bench, ann, 'GET', URL, {})).status, 200, 'nobody else is signed out');
  const codes: string[] = [];
  for (let tried = 0; tried < 12; tried++) {
    const reply = await bench.post(URL, { token: 'x'.repeat(43) }, nobody);
    codes.push(reply.body.code);
    assert.equal(reply.status, reply.body.code === 'TRIES_EXCEEDED' ? 429 : 401);
  }
  assert.deepEqual([codes[0], codes[9], codes[11]], ['UNAUTHENTICATED', 'UNAUTHENTICATED', 'TRIES_EXCEEDED']);
  assert.equal((await bench.post(URL, { token: 'x'.repeat(5000) }, nobody)).status, 413);
});

test('the disk has hashes of secrets only, and the audit log says who signed in and out', async (t) => {
  const bench = await Bench.start(t);
  const browser = await signIn(bench, { token: bench.token });
  await bench.post(URL, { token: 'wrong' }, nobody);
  const file = path.join(bench.data, 'sessions.json');
  const text = readFileSync(file, 'utf8');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  for (const secret of [browser.cookie.split('=')[1]!, browser.csrf, bench.token]) {
    assert.ok(!text.includes(secret));
  }
  await withCookie(bench, browser, 'DELETE', URL, own(bench, browser.csrf));
  const { items } = (await bench.get('/api/v1/audit')).body;
  const lines = items.map(({ action, outcome, code = '' }: Record<string, string>) => `${action} ${outcome} ${code}`);
  assert.deepEqual(lines, ['signOut done ', 'signIn refused UNAUTHENTICATED', 'signIn done ', 'create done ']);
});
