/** The API over TLS, judged by openssl and curl. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { MAX_STRANGERS } from '../src/auth/strangers.ts';
import { Bench } from './harness.ts';

const options = { timeout: 120_000 };
const DAY_MS = 24 * 60 * 60 * 1000;

/** Runs a program to its end. Without input, unless it is given. */
function run(command: string, ...args: string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    const child = execFile(command, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out: `${stdout}${stderr}` });
    });
    child.stdin?.end();
  });
}

/** A controller whose API is at 127.0.0.1 with TLS. */
async function start(t: TestContext, more: Parameters<typeof Bench.start>[2] = {}) {
  const bench = await Bench.start(t, 0, { listen: ['127.0.0.1:0', 'https://127.0.0.1:0'], ...more });
  return { bench, ...placeOf(bench) };
}

/** Where its API is, and the file of its authority. */
function placeOf(bench: Bench) {
  const url = bench.controller.addresses.find((address) => address.startsWith('https:'))!;
  return { url, port: Number(new URL(url).port), authority: path.join(bench.data, 'ca.crt') };
}

/** What s_client sees: the handshake, the chain and its verification. */
const handshake = (port: number, ...args: string[]) =>
  run('openssl', 's_client', '-connect', `127.0.0.1:${port}`, '-showcerts', ...args);

test(
  'the API speaks TLS 1.2 and 1.3 with forward secrecy, and shows a chain that openssl verifies',
  options,
  async (t) => {
    const { port, authority } = await start(t);
    const checks = ['-CAfile', authority, '-verify_return_error', '-verify_ip', '127.0.0.1'];
    for (const [version, cipher] of [
      ['-tls1_3', /TLS_AES_|TLS_CHACHA20/],
      ['-tls1_2', /ECDHE-ECDSA-/],
    ] as const) {
      const { code, out } = await handshake(port, version, ...checks);
      assert.equal(code, 0, out);
      assert.match(out, /Verify return code: 0 \(ok\)/);
      assert.match(out, cipher);
      assert.equal(out.match(/BEGIN CERTIFICATE/g)?.length, 2, 'the certificate and its authority');
    }
    for (const refused of [
      ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'AES128-SHA:AES256-GCM-SHA384'],
      ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'],
    ]) {
      assert.notEqual((await handshake(port, ...refused)).code, 0, refused.join(' '));
    }
    const wrongName = await handshake(
      port,
      '-CAfile',
      authority,
      '-verify_return_error',
      '-verify_hostname',
      'controller',
    );
    assert.notEqual(wrongName.code, 0, 'the API has not the name of the agents port');
  },
);

test('curl reads the API with the authority alone, and gets the headers of pages', options, async (t) => {
  const { bench, url, authority } = await start(t);
  const { text } = await bench.get('/metrics');
  const [, end] = /certificate_end_timestamp_seconds\{certificate="api"\} (\d+)/.exec(text) ?? [];
  assert.ok(Math.abs(Number(end) * 1000 - Date.now() - 90 * DAY_MS) < DAY_MS, `ends at ${end}`);
  const curl = (...args: string[]) => run('curl', '-sS', '-i', '--max-time', '10', ...args);
  const read = await curl(
    '--cacert',
    authority,
    '-H',
    `Authorization: Bearer ${bench.token}`,
    `${url}/api/v1/policies`,
  );
  assert.match(read.out, /^HTTP\/1.1 200 /);
  assert.match(read.out, /^strict-transport-security: max-age=\d{8}\r?$/im);
  assert.match(read.out, /^cache-control: no-store\r?$/im);
  assert.match(read.out, /^x-content-type-options: nosniff\r?$/im);
  assert.equal((await curl(`${url}/api/v1/policies`)).code, 60, 'nobody knows the authority');
  const named = `https://localhost:${new URL(url).port}/healthz`;
  assert.equal((await curl('--cacert', authority, named)).code, 0);
  const http = await bench.get('/api/v1/policies');
  assert.equal(http.headers['strict-transport-security'], undefined);
});

test(
  'a request in plain HTTP on a port with TLS is told the address, and what is neither is ended',
  options,
  async (t) => {
    const { url, port } = await start(t);
    const plain = await run('curl', '-sS', '-i', '--max-time', '10', `http://127.0.0.1:${port}/api/v1/policies`);
    assert.match(plain.out, /^HTTP\/1.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"BAD_REQUEST"/);
    assert.ok(plain.out.includes(`plain HTTP: use ${url}`), plain.out);
    const page = await run('curl', '-sS', '-H', 'Accept: text/html', '--max-time', '10', `http://127.0.0.1:${port}/`);
    assert.match(page.out, /^this port speaks TLS, .*: use https:\/\/127\.0\.0\.1:\d+\n$/);
    const forged = await run('curl', '-sS', '-H', 'Host: <script>', '--max-time', '10', `http://127.0.0.1:${port}/`);
    assert.ok(!forged.out.includes('<script>') && forged.out.includes(`use https://HOST:${port}`), forged.out);
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const received: Buffer[] = [];
    socket.on('data', (bytes) => received.push(bytes)).on('error', () => undefined);
    socket.write('SSH-2.0-OpenSSH_9.2\r\n');
    await until('it is ended', () => socket.closed);
    assert.equal(Buffer.concat(received).toString(), '');
  },
);

test(
  'half a handshake and silence are ended, others are served meanwhile, and the end does not wait for them',
  options,
  async (t) => {
    const { bench, url, port, authority } = await start(t);
    const open = (bytes?: Buffer) => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      t.after(() => socket.destroy());
      if (bytes !== undefined) {
        socket.write(bytes);
      }
      return socket.resume();
    };
    // The head of a ClientHello whose rest never comes.
    const half = Buffer.from('160301020001', 'hex');
    const slow = [open(), open(half)];
    const silent = Array.from({ length: MAX_STRANGERS + 50 }, (_, index) => open(index % 2 ? half : undefined));
    await until('the oldest of too many are ended', () => silent.filter(({ closed }) => closed).length >= 40);
    const reply = await run('curl', '-sS', '--cacert', authority, '--max-time', '10', `${url}/healthz`);
    assert.match(reply.out, /"ok"/);
    await until('both kinds are ended', () => slow.every(({ closed }) => closed), { limitMs: 30_000 });
    await until('all are', () => silent.every(({ closed }) => closed), { limitMs: 30_000 });
    const last = [open(), open(half)];
    await until('they are connected', () => last.every(({ pending }) => !pending));
    await bench.stop();
    await until('they are ended', () => last.every(({ closed }) => closed));
  },
);

test('the certificate is kept over a restart, and renewed and given new names without one', options, async (t) => {
  const { bench, url } = await start(t, { tls: { names: ['mirror.example', '192.0.2.1'] } });
  const file = path.join(bench.data, 'api.crt');
  const first = new X509Certificate(readFileSync(file));
  for (const name of ['DNS:localhost', 'DNS:mirror.example', 'IP Address:127.0.0.1', 'IP Address:192.0.2.1']) {
    assert.ok(first.subjectAltName!.includes(name), `${name} in ${first.subjectAltName}`);
  }
  assert.ok(first.subjectAltName!.toLowerCase().includes(hostname().toLowerCase()));
  for (const secret of ['api.key', 'api.crt', 'ca.key']) {
    assert.equal(statSync(path.join(bench.data, secret)).mode & 0o777, 0o600, secret);
  }
  await bench.restart();
  assert.equal(new X509Certificate(readFileSync(file)).fingerprint256, first.fingerprint256);
  assert.notEqual(url, undefined);
  bench.ahead += 61 * DAY_MS;
  await bench.restart();
  const second = new X509Certificate(readFileSync(file));
  assert.notEqual(second.fingerprint256, first.fingerprint256);
  const { port } = placeOf(bench);
  assert.ok((await handshake(port)).out.includes(second.toString().trim()));
});

test('plain HTTP where others can reach it is an event at each start', options, async (t) => {
  const listen = ['http://0.0.0.0:0', '127.0.0.1:0'];
  const bench = await Bench.start(t, 0, { listen: listen.toReversed(), insecureHttp: true });
  const items = await until('it is told', async () => {
    const { body } = await bench.get('/api/v1/events?kind=apiNotEncrypted');
    return body.items.length > 0 && body.items;
  });
  assert.equal(items.length, 1);
  assert.match(
    items[0].message,
    /^the API at http:\/\/0\.0\.0\.0:\d+ is not encrypted: .* Listen on https:\/\/ instead$/,
  );
});
