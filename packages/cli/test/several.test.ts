/** A command that is given several controllers: which one it asks, what it sends twice, and who gets a token. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { clientOf, urlsOf } from '../src/several.ts';
import { run } from './run.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const listed: Answer = (_request, response) => void response.end('{"items":[],"revision":1}');
const away: Answer = (_request, response) => {
  response.writeHead(503, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code: 'UNAVAILABLE', detail: 'no controller leads', status: 503 }));
};
const hangs: Answer = () => undefined;
const breaks: Answer = (request) => void request.socket.destroy();

/** A controller that answers so. `seen` has method and token of each request. */
async function controller(t: TestContext, answer: Answer) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.authorization ?? 'without a token'}`);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** An address where nothing listens. */
async function nothing(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

test('URLs have commas between them', () => {
  assert.deepEqual(urlsOf('https://a:1, https://b:2,unix:/run/a,b.sock,http://[::1]:3,https://a:1'), [
    'https://a:1',
    'https://b:2',
    'unix:/run/a,b.sock',
    'http://[::1]:3',
  ]);
});

test('the next controller is asked where one is away, and gets no token that is for another one', async (t) => {
  const [unsure, good] = [await controller(t, away), await controller(t, listed)];
  const urls = [await nothing(), unsure.url, good.url].join();
  const both = await run(['--url', urls, 'domain', 'list'], {
    env: { MIRRORPLANE_URL: urls, MIRRORPLANE_TOKEN: 'secret' },
  });
  assert.equal(both.code, 0, both.stderr);
  assert.deepEqual([unsure.seen, good.seen], [['GET Bearer secret'], ['GET Bearer secret']]);
  const one = await run(['--url', urls, 'domain', 'list'], {
    env: { MIRRORPLANE_URL: good.url, MIRRORPLANE_TOKEN: 'secret' },
  });
  assert.equal(one.code, 0, one.stderr);
  assert.deepEqual([unsure.seen[1], good.seen[1]], ['GET without a token', 'GET Bearer secret']);
  assert.match(
    one.stderr,
    new RegExp(`the token of the environment is for ${good.url}: ${unsure.url} does not get it`),
  );
});

test('a change that may have been made is not sent again, and one that was not sent is', async (t) => {
  const [broken, good] = [await controller(t, breaks), await controller(t, listed)];
  const env = { MIRRORPLANE_TOKEN: 'secret' };
  const change = ['node', 'token', 'rack-1'];
  const refused = await run(['--url', `${broken.url},${good.url}`, ...change], { env });
  assert.notEqual(refused.code, 0);
  assert.equal(broken.seen.filter((one) => one.startsWith('POST')).length, 1);
  assert.ok(!good.seen.some((one) => one.startsWith('POST')), 'it was sent to the next one');
  good.seen.length = 0;
  await run(['--url', `${await nothing()},${good.url}`, ...change], { env });
  assert.ok(
    good.seen.some((one) => one.startsWith('POST')),
    'nothing had been sent',
  );
});

test('the next controller is asked where one hangs, and the first answer counts', async (t) => {
  const ended: string[] = [];
  const silent = await controller(t, (request) => {
    request.socket.on('close', () => ended.push('the silent one'));
  });
  const good = await controller(t, listed);
  const listing = await run(['--url', `${silent.url},${good.url}`, 'domain', 'list']);
  assert.equal(listing.code, 0, listing.stderr);
  assert.deepEqual([silent.seen.length, good.seen.length], [1, 1]);
  await until('its connection ends', () => ended.length === 1);

  // A slow one is not given up when the next one is asked.
  let answerSlow: () => void = () => assert.fail('nobody has asked the slow one');
  const slow = await controller(t, (_request, response) => {
    answerSlow = () => void response.end('{"items":["of the slow one"],"revision":1}');
  });
  const other = await controller(t, () => answerSlow());
  const client = clientOf([slow.url, other.url].map((url) => ({ url, token: { kind: 'none' } })));
  assert.deepEqual((await client.list('/domains')).items, ['of the slow one']);
  assert.equal(client.url, slow.url);
  assert.equal(other.seen.length, 1);
});

test('where all hang, all are named, and a change that hangs is not sent again', async (t) => {
  const [silent, other, good] = [await controller(t, hangs), await controller(t, hangs), await controller(t, listed)];
  const clientFor = (...urls: string[]) =>
    clientOf(urls.map((url) => ({ url, token: { kind: 'none' }, timeout: 500, beginMs: 500 })));
  await assert.rejects(
    clientFor(silent.url, other.url).request('GET', '/domains'),
    new RegExp(
      `${silent.url} cannot be reached: no answer in time\n.*${other.url} cannot be reached: no answer in time`,
    ),
  );
  const client = clientFor(silent.url, good.url);
  await assert.rejects(
    client.request('POST', '/domains', { body: {} }),
    new RegExp(`${silent.url} cannot be reached.*\nthe change may have been made, so it was not sent to ${good.url}`),
  );
  assert.deepEqual(good.seen, []);
  await client.request('GET', '/domains');
  assert.equal(good.seen.length, 1, 'the next request begins there');

  const events = await controller(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: one\n\n');
  });
  const taken: string[] = [];
  const stream = clientFor(silent.url, events.url).stream('/events', { signal: new AbortController().signal }, (one) =>
    taken.push(one.data),
  );
  await assert.rejects(stream, /it has ended the stream/);
  assert.deepEqual(taken, ['one']);
});

test('where all are away, all are named', async () => {
  const [one, other] = [await nothing(), await nothing()];
  const { code, stderr } = await run(['--url', `${one},${other}`, 'domain', 'list']);
  assert.equal(code, 7, stderr);
  assert.match(stderr, new RegExp(`${one} cannot be reached(.|\n)*${other} cannot be reached`));
});

test('a login is for all controllers that are named, and is made at the first one that answers', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mirrorplane-login-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const good = await controller(t, (request, response) => {
    const started = { deviceCode: 'x', userCode: 'ABCD-EFGH', path: '/login', expiresAt, interval: 0 };
    const confirmed = { state: 'confirmed', token: 'got', info: { name: 'cli', user: 'ann', expiresAt } };
    const isLogin = request.url!.includes('device-logins');
    response.end(JSON.stringify(!isLogin ? { items: [] } : request.url!.endsWith('/poll') ? confirmed : started));
  });
  const urls = `${await nothing()},${good.url}`;
  const env = { XDG_CONFIG_HOME: folder };
  const { code, stderr } = await run(['login', urls], { env });
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`Open ${good.url}/login`));
  const kept = JSON.parse(readFileSync(path.join(folder, 'mirrorplane/logins.json'), 'utf8'));
  assert.equal(kept.current, urls);
  assert.deepEqual(Object.keys(kept.logins), urls.split(','));
  const listed = await run(['domain', 'list'], { env });
  assert.equal(listed.code, 0, listed.stderr);
  assert.equal(good.seen.at(-1), 'GET Bearer got');
});
