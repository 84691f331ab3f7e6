/** Which controller gets which token: one that is not on this host never gets that of this host. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { DEFAULT_TOKEN_FILE, envFor, tokenSource } from '../src/context.ts';
import { run } from './run.ts';

test('the default token file is for controllers of this host', () => {
  for (const url of [
    'http://127.0.0.1:7070',
    'https://localhost',
    'http://[::1]:7070',
    'http://127.1',
    'unix:/run/x',
  ]) {
    assert.deepEqual(tokenSource(url, undefined, {}, undefined), {
      kind: 'file',
      path: DEFAULT_TOKEN_FILE,
      optional: true,
    });
  }
  const others = ['http://10.0.0.1:7070', 'https://127.0.0.1.example', 'http://127.0.0.1@b.example', 'http://[::2]'];
  for (const url of others) {
    assert.deepEqual(tokenSource(url, undefined, {}, undefined), { kind: 'none' }, url);
    assert.deepEqual(tokenSource(url, 'mine', {}, undefined), { kind: 'file', path: 'mine', optional: false });
  }
});

test('a token of the environment is for the controller that stands beside it', () => {
  const env = { MIRRORPLANE_URL: 'https://a.example', MIRRORPLANE_TOKEN: 'secret', MIRRORPLANE_TOKEN_FILE: 'file' };
  const sourceFor = (url: string, more: object = {}) =>
    tokenSource(url, undefined, envFor(url, { ...env, ...more }), undefined);
  assert.deepEqual(sourceFor('https://a.example'), { kind: 'text', token: 'secret' });
  assert.deepEqual(sourceFor('https://b.example'), { kind: 'none' });
  assert.deepEqual(sourceFor('https://b.example', { MIRRORPLANE_TOKEN: '' }), { kind: 'none' }, 'nor its file');
  assert.equal(sourceFor('http://127.0.0.1:7070').kind, 'file', 'that of this host');
  assert.deepEqual(sourceFor('https://b.example', { MIRRORPLANE_URL: '' }), { kind: 'text', token: 'secret' });
});

test('nothing is sent by plain HTTP to another host, unless that is wanted', async () => {
  // No test asks a name of this domain: it is reserved (RFC 6761).
  const url = 'http://controller.invalid:7070';
  const env = { MIRRORPLANE_TOKEN: 'secret' };
  for (const command of [
    ['domain', 'list'],
    ['login', url],
    ['auth', 'whoami'],
  ]) {
    const { code, stderr } = await run(['--url', url, ...command], { env });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /is not encrypted: .* Use https:\/\/, or --insecure-http/);
    assert.doesNotMatch(stderr, /cannot be reached/);
  }
  for (const [args, more] of [
    [['--insecure-http'], {}],
    [[], { MIRRORPLANE_INSECURE_HTTP: 'yes' }],
  ] as const) {
    const { stderr } = await run(['--url', url, ...args, 'domain', 'list'], { env: { ...env, ...more } });
    assert.match(stderr, /warning: the connection to .* is not encrypted/);
    assert.match(stderr, /cannot be reached/);
  }
});

test('login shows no token that it has, and keeps the whole path of the authorities', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mirrorplane-login-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const seen: (string | undefined)[] = [];
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  // The controller of a stranger.
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    const started = { deviceCode: 'x', userCode: 'ABCD-EFGH', path: '/login', expiresAt, interval: 0 };
    const confirmed = { state: 'confirmed', token: 'got', info: { name: 'cli', user: 'ann', expiresAt } };
    response.end(JSON.stringify(request.url!.endsWith('/poll') ? confirmed : started));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = { XDG_CONFIG_HOME: folder, MIRRORPLANE_TOKEN: 'secret' };
  const { code, stderr } = await run(['login', url, '--ca-file', 'here/ca.crt'], { env });
  assert.equal(code, 0, stderr);
  assert.deepEqual(seen, [undefined, undefined]);
  const kept = JSON.parse(readFileSync(path.join(folder, 'mirrorplane/logins.json'), 'utf8'));
  assert.equal(kept.logins[url].caFile, path.resolve('here/ca.crt'));
  await run(['domain', 'list'], { env: { ...env, MIRRORPLANE_URL: url } });
  assert.equal(seen[2], 'Bearer secret', 'other commands send it');
});
