/** Bad requests: each gets a problem document of a bounded size, and takes nothing from others. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { Problem } from '@mirrorplane/contract';
import { MAX_STRANGERS } from '../src/auth/strangers.ts';
import { answerUnreadable } from '../src/http/unreadable.ts';
import { Bench, type Reply, refusals } from './harness.ts';

const options = { timeout: 120_000 };

interface Dialled {
  socket: Socket;
  closed: boolean;
  text: string;
}

/** A connection to the API that sends a text. */
function dial(t: TestContext, bench: Bench, text: string): Dialled {
  const [host, port] = bench.controller.addresses[0]!.split(':');
  const socket = connect(Number(port), host);
  const dialled: Dialled = { socket, closed: false, text: '' };
  socket.on('close', () => {
    dialled.closed = true;
  });
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    dialled.text += data;
  });
  socket.write(text);
  t.after(() => socket.destroy());
  return dialled;
}

test('what is not HTTP gets a problem document that says so', options, async (t) => {
  const bench = await Bench.start(t);
  const cases: [text: string, detail: RegExp][] = [
    ['\u0016\u0003\u0001\u0002', /not valid HTTP/],
    ['GET /healthz HTTP/1.1\r\nHost: x\r\nX\u0000: 1\r\n\r\n', /not valid HTTP/],
    ['POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', /not valid HTTP/],
    [`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /more than 16 KB/],
    ['CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n', /not a proxy/],
  ];
  for (const [text, detail] of cases) {
    const dialled = dial(t, bench, text);
    await until('it is answered', () => dialled.closed);
    const [head = '', body = ''] = dialled.text.split('\r\n\r\n');
    assert.match(head, /^HTTP\/1.1 400 Bad Request\r\n.*Content-Type: application\/problem\+json/s, text.slice(0, 60));
    const problem = Problem.parse(JSON.parse(body));
    assert.deepEqual([problem.code, problem.status], ['BAD_REQUEST', 400]);
    assert.match(problem.detail, detail);
  }
  const headers = { expect: 'something' };
  assert.equal((await bench.request('GET', '/healthz', undefined, { headers })).status, 200);
});

/** The size of a refusal in bytes. */
const sizeOf = ({ status, text, body }: Reply): number => {
  assert.ok(status >= 400 && status < 500, text.slice(0, 200));
  Problem.parse(body);
  return Buffer.byteLength(text);
};

test('a refusal has a bounded size, whatever was asked', options, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster();
  const many = Array.from({ length: 3000 }, (_, at) => `a${at}`);
  const query = await bench.request('GET', `/healthz?${many.slice(0, 2500).join('&')}`, undefined, {
    token: undefined,
  });
  assert.ok(sizeOf(query) < 32_000);
  assert.match(query.body.detail, /\(and 2499 more\)$/);
  const wrong = await bench.post('/api/v1/policies', { name: 'p', sources: many.map(() => 1), destination: 'x' });
  assert.ok(sizeOf(wrong) < 32_000);
  const wide = Object.fromEntries(many.slice(0, 60).map((name) => [name + 'y'.repeat(16_000), 0]));
  const named = await bench.put('/api/v1/domains/blue', wide);
  assert.ok(sizeOf(named) < 200_000);
  assert.ok(named.body.errors[0].message.endsWith('…'));
  // All sources of a policy may be unknown, and all of them are named.
  const ids = many.slice(0, 1024).map((name) => `${name}/0`);
  const unknown = await bench.post('/api/v1/policies', { name: 'p', sources: ids, destination: 'x' });
  const missing = refusals(unknown).filter((refusal) => refusal.startsWith('POLICY_SOURCE_NOT_FOUND'));
  assert.equal(missing.length, 1024);
  const worst = { name: 'p', sources: Array.from({ length: 16_384 }, (_, at) => `${at}${'\u009b'.repeat(20)}`) };
  const most = await bench.post('/api/v1/policies', { ...worst, destination: 'x' });
  assert.ok(sizeOf(most) < 600_000);
});

test('what a request quotes comes back without raw control characters, also in events', options, async (t) => {
  const bench = await Bench.start(t);
  const name = 'x\u001b[2J\u009b2J\u007f\u202e';
  const reply = await bench.post('/api/v1/policies', { name, sources: [name], destination: name, [name]: name });
  assert.equal(reply.status, 400);
  assert.doesNotMatch(reply.text, /[\p{Cc}\u202e]/u);
  await bench.cluster();
  await bench.must('PUT', '/api/v1/domains/blue', { description: name });
  const read = await bench.get('/api/v1/domains/blue');
  assert.equal(read.body.description, name);
  assert.doesNotMatch(read.text, /[\p{Cc}\u202e]/u);
});

test('requests that come at once on one connection are answered in their order', options, async (t) => {
  const bench = await Bench.start(t);
  const paths = ['/healthz', '/api/v1/none-1', '/api/v1/domains', '/api/v1/none-2', '/healthz'];
  const head = `Host: x\r\nAuthorization: Bearer ${bench.token}\r\n`;
  const dialled = dial(t, bench, paths.map((path) => `GET ${path} HTTP/1.1\r\n${head}\r\n`).join(''));
  const found = () => [...dialled.text.matchAll(/"status":"ok"|none-\d(?="})|"items"/g)].map(([text]) => text);
  await until('all are answered', () => found().length === paths.length);
  assert.deepEqual(found(), ['"status":"ok"', 'none-1', '"items"', 'none-2', '"status":"ok"']);
});

test('a name of a million characters is refused at once', options, async (t) => {
  const bench = await Bench.start(t);
  const began = performance.now();
  const reply = await bench.put('/api/v1/domains/blue', { ['x'.repeat(1_000_000)]: 1 });
  assert.deepEqual(reply.body.errors[0].code, 'FIELD_UNKNOWN');
  assert.ok(performance.now() - began < 2000);
});

test('connections without a token give way to others when there are too many', options, async (t) => {
  const bench = await Bench.start(t);
  const known = dial(
    t,
    bench,
    `GET /api/v1/domains HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${bench.token}\r\n\r\n`,
  );
  await until('it is answered', () => known.text.includes('"items"'));
  const idle = Array.from({ length: MAX_STRANGERS + 100 }, () => dial(t, bench, ''));
  await until('the oldest are ended', () => idle.filter(({ closed }) => closed).length >= 100, { limitMs: 30_000 });
  assert.ok(idle.slice(0, 50).every(({ closed }) => closed));
  assert.equal((await bench.get('/api/v1/domains')).status, 200);
  assert.equal(known.closed, false, 'who has shown a token stays');
  const open = idle.filter(({ closed }) => !closed);
  assert.ok(open.length > MAX_STRANGERS - 50, 'there is room for them');
  await bench.stop();
  await until('a controller that stops does not wait for them', () => idle.every(({ closed }) => closed));
});

test('a request that came while the process was stopped gets 503, and not the blame', options, async (t) => {
  const answers: string[] = [];
  const socket = new PassThrough();
  socket.on('data', (data: Buffer) => answers.push(data.toString()));
  answerUnreadable(Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
  t.after(() => socket.destroy());
  assert.match(answers.join(''), /^HTTP\/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n.*nothing was done/s);
});
