/** The whole sign-in by single sign-on, over HTTP as a browser does it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { temporaryFolder } from '../harness.ts';
import { Browser, type Page } from './browser.ts';
import { ACCOUNT, BASE, DirectoryServer, passwordOf } from './directory-server.ts';
import { PEOPLE } from './openid-server.ts';
import { PATH, startWorld, type World } from './world.ts';

const ADMIN = [{ role: 'admin' }];

/** Sends what the console sends. */
function post({ address }: World, browser: Browser, url: string, headers: Record<string, string> = {}): Promise<Page> {
  return browser.send('POST', `${address}${url}`, { origin: address, ...headers });
}

async function begin(world: World, browser: Browser): Promise<string> {
  const page = await post(world, browser, `${PATH}/corp`);
  assert.equal(page.status, 200, page.text);
  return JSON.parse(page.text).location;
}

/** Follows to the provider, signs in there, and stops before the controller's callback. */
async function callbackOf(world: World, browser: Browser, location: string, person: string): Promise<URL> {
  const isBack = (next: URL) => next.origin === world.address;
  const form = await browser.follow(location, isBack);
  const last = form.status === 200 ? await browser.follow(`${form.url}?person=${person}`, isBack) : form;
  return new URL(String(last.headers.location), last.url);
}

async function signIn(world: World, browser: Browser, person: string): Promise<Page> {
  return browser.send('GET', await callbackOf(world, browser, await begin(world, browser), person));
}

/** Who the browser is, as the controller says. */
async function whoIs({ address }: World, browser: Browser) {
  const page = await browser.send('GET', `${address}/api/v1/session`);
  return { status: page.status, ...JSON.parse(page.text) };
}

/** What the sign-in page would show. */
async function refusalOf({ address }: World, browser: Browser) {
  return JSON.parse((await browser.send('GET', `${address}${PATH}`)).text).refusal;
}

test('a person signs in at the provider, and has a session here with the grants of their groups', async (t) => {
  const world = await startWorld(t);
  const { bench, address, provider } = world;
  const browser = new Browser();
  const before = JSON.parse((await browser.send('GET', `${address}${PATH}`)).text);
  assert.deepEqual(before, { ways: [{ name: 'corp', title: 'Example Corp', kind: 'openid' }] });
  const back = await signIn(world, browser, 'otto');
  assert.deepEqual([back.status, back.headers.location], [303, '/']);
  const session = browser.set.find((cookie) => cookie.startsWith('mirrorplane_session='))!;
  assert.match(session, /; HttpOnly; SameSite=Strict; /);
  const begun = browser.set.find((cookie) => cookie.startsWith('mirrorplane_sign_in='))!;
  assert.match(begun, /; Path=\/api\/v1\/sign-in; HttpOnly; SameSite=Lax; Max-Age=600$/);
  assert.ok(!browser.cookies.get(new URL(address).host)!.has('mirrorplane_sign_in'), 'it is removed');
  const { name, source, grants } = await whoIs(world, browser);
  assert.deepEqual([name, source, grants], ['corp:otto', 'oidc', [{ role: 'operator', scope: { pools: ['east'] } }]]);
  const [way] = JSON.parse((await browser.send('GET', `${address}${PATH}`)).text).ways;
  assert.ok(way.endSession.startsWith(`${provider.issuer}/session/end?`), way.endSession);
  const users = (await bench.get('/api/v1/users')).body.items;
  assert.deepEqual(users.map((user: { name: string }) => user.name).sort(), ['admin', 'corp:otto']);
  const signIns = (await bench.get('/api/v1/audit')).body.items.filter(
    (one: { action: string }) => one.action === 'signIn',
  );
  assert.ok(JSON.stringify(signIns).includes('corp:otto'), JSON.stringify(signIns));
});

test('where browsers come by TLS, no other host can plant the cookie of a sign-in', async (t) => {
  const outside = 'https://mirrorplane.example';
  const { bench } = await startWorld(t, { outside });
  const headers = { origin: outside, 'sec-fetch-site': 'same-origin' };
  const { status, headers: answer } = await bench.request('POST', `${PATH}/corp`, {}, { token: undefined, headers });
  assert.equal(status, 200);
  const [cookie] = [answer['set-cookie']].flat();
  assert.match(cookie!, /^__Host-mirrorplane_sign_in=\S+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/);
});

test('a person without rights gets no session, and reads once why', async (t) => {
  const world = await startWorld(t);
  const browser = new Browser();
  assert.equal((await signIn(world, browser, 'nobody')).headers.location, '/');
  assert.equal((await whoIs(world, browser)).status, 401);
  const { code, detail } = await refusalOf(world, browser);
  assert.equal(code, 'SIGN_IN_REFUSED');
  assert.match(detail, /^Example Corp knows you, but none of your groups has rights here: "staff", "lunch"/);
  assert.equal(await refusalOf(world, browser), undefined);
  const other = new Browser();
  await signIn(world, other, 'cancel');
  assert.match((await refusalOf(world, other)).detail, /has not signed you in/);
  assert.equal((await world.bench.get('/api/v1/users')).body.items.length, 1, 'no user was made');
});

test('refuses a callback with another state, in another browser, once more, or after ten minutes', async (t) => {
  const world = await startWorld(t);
  const refused = async (browser: Browser, url: URL, what: RegExp) => {
    const page = await browser.send('GET', url);
    assert.deepEqual([page.status, page.headers.location], [303, '/']);
    assert.equal((await whoIs(world, browser)).status, 401);
    assert.match((await refusalOf(world, browser)).detail, what);
  };
  const changed = new Browser();
  const url = await callbackOf(world, changed, await begin(world, changed), 'anna');
  url.searchParams.set('state', 'x'.repeat(43));
  await refused(changed, url, /another sign-in/);

  const victim = new Browser();
  const mine = new Browser();
  const ours = await callbackOf(world, mine, await begin(world, mine), 'anna');
  // A link with what somebody else has begun, to a browser that has begun nothing, or something else.
  await refused(victim, ours, /has not begun to sign in/);
  await begin(world, victim);
  await refused(victim, ours, /another sign-in/);

  const cookies = new Map(mine.cookies.get(new URL(world.address).host));
  assert.equal((await mine.send('GET', ours)).status, 303);
  assert.equal((await whoIs(world, mine)).name, 'corp:anna');
  const again = new Browser();
  again.cookies.set(new URL(world.address).host, cookies);
  await refused(again, ours, /was finished already/);

  const late = new Browser();
  const lateUrl = await callbackOf(world, late, await begin(world, late), 'anna');
  world.bench.ahead = 10 * 60_000;
  await refused(late, lateUrl, /more than ten minutes ago/);
});

test('no parameter leads the browser elsewhere, and no other site begins a sign-in', async (t) => {
  const world = await startWorld(t);
  const browser = new Browser();
  const url = await callbackOf(world, browser, await begin(world, browser), 'anna');
  for (const name of ['next', 'redirect', 'redirect_uri', 'return_to', 'url']) {
    url.searchParams.set(name, 'https://evil.example/');
  }
  assert.equal((await browser.send('GET', url)).headers.location, '/');
  const forged: [headers: Record<string, string>, status: number][] = [
    [{ origin: 'https://evil.example' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403],
  ];
  for (const [headers, status] of forged) {
    assert.equal((await post(world, new Browser(), `${PATH}/corp`, headers)).status, status);
  }
  const bare = await new Browser().send('POST', `${world.address}${PATH}/corp`);
  assert.equal(bare.status, 403);
  // By another name of this host the cookie would not come back.
  const { port } = new URL(world.address);
  const other = await new Browser().send('POST', `http://localhost:${port}${PATH}/corp`, {
    origin: `http://localhost:${port}`,
    'sec-fetch-site': 'same-origin',
  });
  assert.match(JSON.parse(other.text).detail, /open the console at this address/);
  assert.equal((await post(world, new Browser(), `${PATH}/nowhere`)).status, 404);
  assert.equal((await new Browser().send('GET', `${world.address}${PATH}/nowhere/callback`)).status, 404);
  assert.notEqual((await new Browser().send('HEAD', url)).status, 303);
});

test('a provider that is gone shuts out nobody with a local account', async (t) => {
  const world = await startWorld(t);
  const browser = new Browser();
  const url = await callbackOf(world, browser, await begin(world, browser), 'anna');
  world.provider.close();
  const page = await post(world, new Browser(), `${PATH}/corp`);
  // What the provider has said of itself is known, so the browser is sent there.
  assert.equal(page.status, 200);
  assert.equal((await browser.send('GET', url)).headers.location, '/');
  assert.equal((await refusalOf(world, browser)).code, 'SIGN_IN_AWAY');
  await world.bench.restart();
  const away = await post(world, new Browser(), `${PATH}/corp`);
  assert.deepEqual([away.status, JSON.parse(away.text).code], [503, 'SIGN_IN_AWAY']);
  assert.equal(
    (await world.bench.post('/api/v1/session', { token: world.bench.token }, { token: undefined })).status,
    201,
  );
});

test('who is renamed stays the same user, and who takes the name of another is refused', async (t) => {
  const world = await startWorld(t);
  t.after(() => {
    PEOPLE.otto!.claims = {};
    PEOPLE.anna!.claims = {};
  });
  await signIn(world, new Browser(), 'anna');
  PEOPLE.anna!.claims = { preferred_username: 'anna.married' };
  const renamed = new Browser();
  await signIn(world, renamed, 'anna');
  assert.equal((await whoIs(world, renamed)).name, 'corp:anna');
  PEOPLE.otto!.claims = { preferred_username: 'anna' };
  const thief = new Browser();
  await signIn(world, thief, 'otto');
  assert.equal((await whoIs(world, thief)).status, 401);
  assert.match((await refusalOf(world, thief)).detail, /is somebody else/);
  // Another name is no way round it.
  const user = (await world.bench.get('/api/v1/users/corp:anna')).body;
  await world.bench.must('PUT', '/api/v1/users/corp:anna', { grants: user.grants, disabled: true });
  assert.equal((await whoIs(world, renamed)).status, 401);
  await signIn(world, renamed, 'anna');
  assert.match((await refusalOf(world, renamed)).detail, /disabled/);
});

test('groups that are taken end what the person had, at the next sign-in', async (t) => {
  const world = await startWorld(t);
  const groups = PEOPLE.anna!.groups;
  t.after(() => {
    PEOPLE.anna!.groups = groups;
  });
  const old = new Browser();
  await signIn(world, old, 'anna');
  assert.deepEqual((await whoIs(world, old)).grants, ADMIN);
  PEOPLE.anna!.groups = ['netops'];
  await signIn(world, new Browser(), 'anna');
  assert.equal((await whoIs(world, old)).status, 401);
});

test('a local user cannot have the name of a person of single sign-on', async (t) => {
  const { bench } = await startWorld(t);
  const reply = await bench.request('PUT', '/api/v1/users/corp:anna', { grants: ADMIN });
  assert.equal(reply.status, 400, reply.text);
});

test('a person signs in with the password of a directory, and a directory that is gone holds up nobody', async (t) => {
  const slapd = await DirectoryServer.start(t);
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, 'ca.pem'), slapd.ca);
  writeFileSync(path.join(folder, 'password'), ACCOUNT.password, { mode: 0o600 });
  const more = `ldap:
  - name: tree
    title: Example directory
    servers: [${slapd.tls}]
    caFile: ${folder}/ca.pem
    timeoutSeconds: 2
    account: { dn: "${ACCOUNT.dn}", passwordFile: ${folder}/password }
    users: { base: "ou=people,${BASE}", filter: "(uid={user})" }
    groups: { base: "ou=groups,${BASE}", filter: "(member={dn})" }
    grants: { mirror-admins: [{ role: admin }] }
`;
  const { bench } = await startWorld(t, { more });
  const signIn = (user: string, password: string) =>
    bench.post('/api/v1/session', { user, password }, { token: undefined });
  for (const user of ['anna', 'ANNA', 'tree:anna']) {
    const reply = await signIn(user, passwordOf('anna'));
    assert.deepEqual(
      [reply.status, reply.body.name, reply.body.source, reply.body.grants],
      [201, 'tree:anna', 'ldap', ADMIN],
      reply.text,
    );
  }
  for (const [user, password] of [
    ['anna', 'wrong'],
    ['corp:anna', passwordOf('anna')],
    ['*)(uid=*', passwordOf('anna')],
    // The first local administrator is asked for nowhere else.
    ['admin', passwordOf('anna')],
  ] as const) {
    assert.deepEqual([(await signIn(user, password)).status], [401], user);
  }
  assert.match((await signIn('nobody', passwordOf('nobody'))).body.detail, /none of your groups/);
  await slapd.close();
  assert.equal((await signIn('anna', passwordOf('anna'))).status, 503);
  assert.equal((await signIn('admin', 'wrong')).status, 401);
});
