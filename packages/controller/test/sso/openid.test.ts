/** A provider of OpenID Connect that others wrote, and what a bad one could try. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import test, { type TestContext } from 'node:test';
import { generateKeyPair } from 'jose';
import type { Begun } from '../../src/sso/begun.ts';
import { OpenIdProvider } from '../../src/sso/openid-provider.ts';
import type { OpenIdWay } from '../../src/sso/sign-in-file.ts';
import { OpenIdSettings } from '../../src/sso/sign-in-settings.ts';
import { Browser } from './browser.ts';
import { CLIENT, OpenIdServer, OTHER_CLIENT } from './openid-server.ts';
import { refusal } from './refusal.ts';

const CALLBACK = 'http://127.0.0.1:1/api/v1/sign-in/corp/callback';

function wayOf(issuer: string, more: object = {}): OpenIdWay {
  const settings = OpenIdSettings.parse({
    name: 'corp',
    title: 'Example Corp',
    issuer,
    clientId: CLIENT.client_id,
    scopes: ['openid', 'profile', 'groups'],
    timeoutSeconds: '2',
    grants: { 'mirror-admins': [{ role: 'admin' }], netops: [{ role: 'operator', scope: { pools: ['east'] } }] },
    ...more,
  });
  return { ...settings, clientSecret: CLIENT.client_secret };
}

interface World {
  provider: OpenIdServer;
  client: OpenIdProvider;
}

async function start(t: TestContext, { way = {}, ahead = 0, idTokenClaims = true } = {}): Promise<World> {
  const provider = await OpenIdServer.start(t, [CALLBACK], idTokenClaims);
  const options = { redirectUri: CALLBACK, afterSignOut: 'http://127.0.0.1:1/', clock: () => Date.now() + ahead };
  return { provider, client: new OpenIdProvider(wayOf(provider.issuer, way), options) };
}

/** What the provider sends the browser back with. @param change of the address to begin at */
async function comeBack(location: string, person: string, change?: (url: URL) => void): Promise<URLSearchParams> {
  const browser = new Browser();
  const begin = new URL(location);
  change?.(begin);
  const form = await browser.follow(begin);
  const isBack = (next: URL) => next.href.startsWith(CALLBACK);
  const asked = form.status === 200 && form.url.pathname.startsWith('/interaction/');
  const last = asked ? await browser.follow(`${form.url}?person=${person}`, isBack) : form;
  assert.match(String(last.headers.location), /callback\?/, last.text);
  return new URL(String(last.headers.location)).searchParams;
}

async function signIn({ client }: World, person: string, change?: (url: URL) => void) {
  const { location, begun } = await client.begin();
  return client.finish(await comeBack(location, person, change), begun);
}

test('a person whom the provider has signed in has the grants of the groups that the file names, and no others', async (t) => {
  const world = await start(t);
  assert.deepEqual(await signIn(world, 'anna'), {
    name: 'corp:anna',
    source: 'oidc',
    subject: `${world.provider.issuer} anna`,
    grants: [{ role: 'admin' }],
  });
  const scoped = [{ role: 'operator', scope: { pools: ['east'] } }];
  assert.deepEqual((await signIn(world, 'otto')).grants, scoped);
  assert.deepEqual((await signIn(world, 'crowd')).grants, scoped);
  assert.equal((await signIn(world, 'Ursel')).name, 'corp:ursel');
  const stranger = await refusal(signIn(world, 'nobody'));
  assert.deepEqual(
    [stranger.code, /none of your groups has rights here: "staff", "lunch"/.test(stranger.message)],
    ['SIGN_IN_REFUSED', true],
  );
  assert.match((await refusal(signIn(world, 'spacy'))).message, /gives you no name that can be used here/);
});

test('groups that are not in the ID token are read at the provider', async (t) => {
  const world = await start(t, { idTokenClaims: false });
  assert.deepEqual((await signIn(world, 'anna')).grants, [{ role: 'admin' }]);
});

test('the browser carries the exact redirect URI, state, nonce and the S256 challenge, and no secret', async (t) => {
  const { client } = await start(t);
  const first = await client.begin();
  const { searchParams } = new URL(first.location);
  const given = Object.fromEntries(searchParams);
  assert.deepEqual(
    [given.redirect_uri, given.code_challenge_method, given.response_type, given.state, given.nonce],
    [CALLBACK, 'S256', 'code', first.begun.state, first.begun.nonce],
  );
  assert.ok(![CLIENT.client_secret, first.begun.verifier].some((secret) => first.location.includes(secret)));
  const second = await client.begin();
  for (const field of ['state', 'nonce', 'verifier'] as const) {
    assert.ok(first.begun[field].length >= 43 && first.begun[field] !== second.begun[field], field);
  }
});

test('refuses what was begun elsewhere: another state, nonce, verifier, client or redirect URI', async (t) => {
  const world = await start(t);
  const wrong = 'x'.repeat(43);
  for (const field of ['state', 'nonce', 'verifier'] as const) {
    const { location, begun } = await world.client.begin();
    const query = await comeBack(location, 'anna');
    const { code } = await refusal(world.client.finish(query, { ...begun, [field]: wrong } as Begun));
    assert.equal(code, 'SIGN_IN_REFUSED', field);
  }
  const swapped = await refusal(signIn(world, 'anna', (url) => url.searchParams.set('nonce', wrong)));
  assert.match(swapped.reason, /claim/);
  await refusal(signIn(world, 'anna', (url) => url.searchParams.set('client_id', OTHER_CLIENT)));
});

test('refuses a code that was used', async (t) => {
  const { client } = await start(t);
  const { location, begun } = await client.begin();
  const query = await comeBack(location, 'anna');
  assert.equal((await client.finish(query, begun)).name, 'corp:anna');
  const { code, message } = await refusal(client.finish(query, begun));
  assert.deepEqual(
    [code, message],
    ['SIGN_IN_REFUSED', 'Example Corp does not take the sign-in any more: begin again'],
  );
});

test('refuses an ID token of another issuer, for another application, too old, without a nonce, or signed by others', async (t) => {
  const world = await start(t);
  const now = Math.floor(Date.now() / 1000);
  const changes: [what: string, change: object][] = [
    ['another issuer', { iss: 'https://id.example.com' }],
    ['another application', { aud: OTHER_CLIENT }],
    ['several applications, issued to another', { aud: [CLIENT.client_id, OTHER_CLIENT], azp: OTHER_CLIENT }],
    ['too old', { exp: now - 120 }],
    ['no nonce', { nonce: undefined }],
    ['no person', { sub: undefined }],
  ];
  for (const [what, change] of changes) {
    world.provider.change = (claims) => JSON.parse(JSON.stringify({ ...claims, ...change }));
    const { code, message } = await refusal(signIn(world, 'anna'));
    assert.deepEqual([code, /cannot be trusted/.test(message)], ['SIGN_IN_REFUSED', true], what);
  }
  world.provider.change = (claims) => claims;
  assert.equal((await signIn(world, 'anna')).name, 'corp:anna');
  world.provider.signWith = (await generateKeyPair('RS256')).privateKey;
  assert.match((await refusal(signIn(world, 'anna'))).message, /cannot be trusted/);
});

test('clocks may differ by the tolerance, and not by more', async (t) => {
  const minute = 60_000;
  // An ID token of this provider is good for an hour.
  assert.equal((await signIn(await start(t, { ahead: 60 * minute + 10_000 }), 'anna')).name, 'corp:anna');
  assert.equal((await refusal(signIn(await start(t, { ahead: 62 * minute }), 'anna'))).code, 'SIGN_IN_REFUSED');
  const tolerant = await start(t, { ahead: 62 * minute, way: { clockToleranceSeconds: '300' } });
  assert.equal((await signIn(tolerant, 'anna')).name, 'corp:anna');
});

test('says in plain words that the provider refused, and shows no control characters of it', async (t) => {
  const world = await start(t);
  const { code, message } = await refusal(signIn(world, 'cancel'));
  assert.equal(code, 'SIGN_IN_REFUSED');
  assert.match(message, /^Example Corp has not signed you in: it does not let you in, or you stopped/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it must not be there
  assert.doesNotMatch(message, /\u001b/);
});

test('a provider that is gone, mute, or of another name costs its timeout and a clear message', async (t) => {
  const world = await start(t);
  const { location, begun } = await world.client.begin();
  const query = await comeBack(location, 'anna');
  world.provider.silent = true;
  const mute = await refusal(world.client.finish(query, begun));
  assert.deepEqual([mute.code, /does not answer: try again later/.test(mute.message)], ['SIGN_IN_AWAY', true]);
  world.provider.close();
  const gone = new OpenIdProvider(wayOf(world.provider.issuer), {
    redirectUri: CALLBACK,
    afterSignOut: '',
    clock: Date.now,
  });
  assert.equal((await refusal(gone.begin())).code, 'SIGN_IN_AWAY');
  // It accepts connections, and says nothing.
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(0, '127.0.0.1', resolve));
  t.after(() => dead.close());
  const { port } = dead.address() as AddressInfo;
  const slow = new OpenIdProvider(wayOf(`http://127.0.0.1:${port}`, { timeoutSeconds: '1' }), {
    redirectUri: CALLBACK,
    afterSignOut: '',
    clock: Date.now,
  });
  assert.equal((await refusal(slow.begin())).code, 'SIGN_IN_AWAY');
});

test('refuses a provider that calls itself otherwise than the file does', async (t) => {
  const { provider } = await start(t);
  const other = new OpenIdProvider(wayOf(provider.issuer.replace('localhost', '127.0.0.1')), {
    redirectUri: CALLBACK,
    afterSignOut: '',
    clock: Date.now,
  });
  assert.match((await refusal(other.begin())).message, /cannot be trusted/);
});

test('signing out goes on at the provider only where the file wants it', async (t) => {
  const { client } = await start(t);
  await client.begin();
  assert.equal(client.endSession(), undefined);
  const { client: wanted, provider } = await start(t, { way: { endSession: true } });
  await wanted.begin();
  const end = new URL(wanted.endSession()!);
  assert.equal(end.origin, provider.issuer);
  assert.equal(end.searchParams.get('post_logout_redirect_uri'), 'http://127.0.0.1:1/');
});
