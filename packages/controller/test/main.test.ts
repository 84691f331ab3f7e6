/** The command `mirrorplane controller`. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { parseAdvertised, parseListen } from '../src/listen.ts';
import { temporaryFolder } from './harness.ts';

const MAIN = path.join(import.meta.dirname, '../src/main.ts');

function run(t: TestContext, ...args: string[]): { child: ChildProcess; log: () => string } {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (data) => {
    text += data;
  });
  t.after(() => child.kill('SIGKILL'));
  return { child, log: () => text };
}

/** Status of GET over a unix socket; undefined without an answer. */
function get(socketPath: string, url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path: url, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on('error', () => resolve(undefined));
    call.end();
  });
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  return child.exitCode ?? (await once(child, 'close'))[0];
}

test('a controller that was killed starts again on its unix socket, and SIGTERM ends it with 0', async (t) => {
  const folder = temporaryFolder(t);
  const socket = path.join(folder, 'api.sock');
  const args = ['--data', path.join(folder, 'data'), '--listen', `unix:${socket}`, '--agent-listen', '127.0.0.1:0'];
  const first = run(t, ...args);
  await until('the first answers', async () => (await get(socket, '/readyz')) === 200);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  assert.equal(await get(socket, '/api/v1/policies'), 401);
  const token = readFileSync(path.join(folder, 'data/admin-token'), 'utf8');

  const rival = run(t, ...args);
  assert.equal(await exitOf(rival.child), 1);
  assert.match(rival.log(), /^mirrorplane controller: another process uses the store .*; stop that controller first$/m);

  first.child.kill('SIGKILL');
  await exitOf(first.child);
  assert.ok(existsSync(socket));
  const second = run(t, ...args);
  await until('the second answers', async () => (await get(socket, '/readyz')) === 200);
  assert.equal(readFileSync(path.join(folder, 'data/admin-token'), 'utf8'), token);
  second.child.kill('SIGTERM');
  assert.equal(await exitOf(second.child), 0);
  assert.ok(!existsSync(socket));
  for (const line of second.log().trim().split('\n')) {
    const { msg } = JSON.parse(line);
    assert.equal(msg, msg.toLowerCase());
  }
});

test('a port that is taken, a folder that is a file and an address that is none end it with a clear message', async (t) => {
  const folder = temporaryFolder(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const file = path.join(folder, 'file');
  writeFileSync(file, 'text');
  const taken = `127.0.0.1:${port}`;
  const data = path.join(folder, 'data');
  const cases: [args: string[], message: RegExp, code?: number][] = [
    [
      ['--data', data, '--listen', taken, '--agent-listen', '127.0.0.1:0'],
      /cannot listen on 127\.0\.0\.1:\d+: another process uses it/,
    ],
    [
      ['--data', data, '--listen', '127.0.0.1:0', '--agent-listen', taken],
      /cannot listen on 127\.0\.0\.1:\d+: another process uses it/,
    ],
    [['--data', data, '--listen', `unix:${file}`, '--agent-listen', '127.0.0.1:0'], /file exists and is not a socket/],
    [['--data', file], /cannot use the data directory .*file/],
    [['--data', data, '--listen', 'nonsense'], /--listen .*nonsense.* write ADDR:PORT/, 2],
    [['--data', data, '--agent-listen', 'unix:/x'], /--agent-listen .*unix:\/x.* write ADDR:PORT/, 2],
    [['--data', data, '--trusted-proxy', 'proxy.example'], /--trusted-proxy .*proxy\.example.* write 10\.0\.0\.5/, 2],
    [['--data', data, '--tls-key', file], /--tls-key is given, and --tls-certificate is missing: give both/],
    [
      ['--data', data, '--listen', 'http://0.0.0.0:0', '--agent-listen', '127.0.0.1:0'],
      /http:\/\/0\.0\.0\.0:0 is not encrypted.*Listen on https:\/\/0\.0\.0\.0:0, or add --insecure-http/,
    ],
    [[], /--data is missing: give it/, 2],
  ];
  for (const [args, message, code = 1] of cases) {
    const { child, log } = run(t, ...args);
    assert.equal(await exitOf(child), code, args.join(' '));
    assert.match(log(), message);
    assert.ok(!log().includes('    at '), log());
  }
  assert.equal(readFileSync(file, 'utf8'), 'text');
});

test('addresses are read as operators write them', () => {
  const schemes: [text: string, scheme: string, host: string][] = [
    ['127.0.0.1:7070', 'http', '127.0.0.1'],
    ['127.8.9.1:7070', 'http', '127.8.9.1'],
    ['localhost:7070', 'http', 'localhost'],
    ['[::1]:7070', 'http', '::1'],
    ['0.0.0.0:7070', 'https', '0.0.0.0'],
    ['[::]:7070', 'https', '::'],
    ['10.0.0.5:7070', 'https', '10.0.0.5'],
    ['127.example:7070', 'https', '127.example'],
    ['http://10.0.0.5:7070/', 'http', '10.0.0.5'],
    ['https://[::1]:7070', 'https', '::1'],
  ];
  for (const [text, scheme, host] of schemes) {
    assert.deepEqual(parseListen(text), { scheme, host, port: 7070 }, text);
  }
  assert.deepEqual(parseListen('unix:/run/x.sock'), { path: '/run/x.sock' });
  for (const text of [
    '',
    '7070',
    ':7070',
    '::1:7070',
    'host:70000',
    'unix:',
    'host:',
    'ftp://host:1',
    'https://host',
    'http://unix:/x',
  ]) {
    assert.throws(() => parseListen(text), /is not an address/, text);
  }
});

test('an address at which nobody can reach a controller is refused at its start', async (t) => {
  for (const text of ['ctl-1:7071', '192.0.2.1:7071', '[2001:db8::1]:7071']) {
    assert.equal(parseAdvertised(text), text);
  }
  for (const text of [
    '0.0.0.0:7071',
    '0:7071',
    '[::]:7071',
    '[0:0::0]:7071',
    '[::ffff:0.0.0.0]:7071',
    'ctl-1:0',
    'x',
  ]) {
    assert.throws(() => parseAdvertised(text), /is not an address/, text);
  }
  const etcd = ['--etcd', 'http://127.0.0.1:1', '--data', path.join(temporaryFolder(t), 'data')];
  const { child, log } = run(t, ...etcd, '--advertise', '0.0.0.0:7071');
  assert.equal(await exitOf(child), 2);
  assert.match(log(), /--advertise.* at which others reach this host, not 0\.0\.0\.0 or \[::\]/);
});
