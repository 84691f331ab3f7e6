/** Limits of clients without a certificate at the agents' port. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { createServer, connect as dial, type Socket } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { connect as dialTls } from 'node:tls';
import { until } from '@mirrorplane/base';
import { parseJoinToken } from '@mirrorplane/contract';
import { originOf } from '../src/auth/origin.ts';
import { MAX_STRANGERS_OF_ADDRESS, Strangers } from '../src/auth/strangers.ts';
import { type Refusal, Refusals } from '../src/events/refusals.ts';
import { Bench } from './harness.ts';

const options = { timeout: 120_000 };
const UPGRADE =
  'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

/** A connection whose other end never closes it. */
function hold(t: TestContext, socket: Socket): { closed: boolean; text: string } {
  const state = { closed: false, text: '' };
  socket.on('close', () => {
    state.closed = true;
  });
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    state.text += data;
  });
  t.after(() => socket.destroy());
  return state;
}

function holdTls(t: TestContext, bench: Bench, request: string) {
  const to = { host: '127.0.0.1', port: bench.controller.agentPort, rejectUnauthorized: false, allowHalfOpen: true };
  const socket = dialTls(to as object);
  socket.on('secureConnect', () => socket.write(request));
  return hold(t, socket);
}

test(
  'a refused upgrade gets its answer, and its connection is ended though the other end holds it',
  options,
  async (t) => {
    const bench = await Bench.start(t);
    const refused = holdTls(t, bench, `GET /sync HTTP/1.1\r\n${UPGRADE}`);
    const elsewhere = holdTls(t, bench, `GET /other HTTP/1.1\r\n${UPGRADE}`);
    await until('both are ended', () => refused.closed && elsewhere.closed, { limitMs: 5000 });
    assert.match(refused.text, /^HTTP\/1.1 401 Unauthorized\r\n.*a client certificate is needed: enrol first\n$/s);
    assert.match(elsewhere.text, /^HTTP\/1.1 404 Not Found\r\n/);
    const { text } = await bench.get('/metrics');
    const counted = (reason: string) =>
      text.includes(`mirrorplane_agent_requests_refused_total{request="sync",reason="${reason}"} 1\n`);
    assert.ok(counted('noCertificate') && counted('unknownPath'), text);
  },
);

test('connections of one address are bounded, and an agent of another address gets in', options, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const port = bench.controller.agentPort;
  const silent = Array.from({ length: MAX_STRANGERS_OF_ADDRESS + 40 }, () =>
    hold(t, dial({ host: '127.0.0.1', localAddress: '127.0.0.2', port })),
  );
  await until('those beyond the limit are ended', () => silent.filter(({ closed }) => closed).length === 40);
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  await until('a program arrives', () => agent.program);
  await until('all are ended when their time is over', () => silent.every(({ closed }) => closed), { limitMs: 30_000 });
  assert.equal(agent.closed, undefined, 'an agent has all the time');
});

test('a hundred requests to join that are refused are one event and one line of the audit log', options, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const audit = () => statSync(path.join(bench.data, 'audit.log')).size;
  const before = audit();
  await bench.enroll({ node: 'stranger-0', secret: 'guess', csr: 'x' });
  const last = async () => (await bench.get('/api/v1/events')).body.items.at(-1);
  await until('it is told', async () => (await last()).kind === 'requestRefused');
  await until('it is written', () => audit() > before);
  const [{ id }, lines] = [await last(), audit()];
  for (let index = 1; index < 100; index++) {
    assert.equal((await bench.enroll({ node: `stranger-${index}`, secret: 'guess', csr: 'x' })).status, 401);
  }
  assert.equal(audit(), lines);
  assert.equal((await last()).id, id);
  const refused = (await bench.get('/api/v1/events?kind=requestRefused')).body.items;
  assert.deepEqual([refused.length, refused[0].object.name, refused[0].code], [1, 'stranger-0', 'UNAUTHENTICATED']);
  const { text } = await bench.get('/metrics');
  assert.match(text, /^mirrorplane_agent_requests_refused_total\{request="enroll",reason="UNAUTHENTICATED"\} 100$/m);
  // Nodes with a token are reported as before, and the token is still valid.
  const { secret } = parseJoinToken(await bench.joinToken('node-1'));
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr: 'x'.repeat(5000) })).status, 400);
  assert.equal((await bench.enroll({ node: 'node-1', secret, csr: 'x'.repeat(9000) })).status, 400);
  await bench.credentials('node-1');
  assert.match(readFileSync(path.join(bench.data, 'audit.log'), 'utf8'), /"action":"enroll".*"outcome":"done"/);
});

test('refusals within an interval are one event with their number', async () => {
  const told: [Refusal, number][] = [];
  const refusals = new Refusals((refusal, count) => told.push([refusal, count]), 50);
  const refuse = (address: string, reason = 'UNAUTHENTICATED') =>
    refusals.add({ request: 'enroll', reason, message: 'no', address });
  refuse('10.0.0.1');
  refuse('10.0.0.2');
  refuse('10.0.0.3', 'BAD_REQUEST');
  assert.deepEqual(
    told.map(([{ address }, count]) => [address, count]),
    [['10.0.0.1', 1]],
  );
  await until('the others are told', () => told.length === 2);
  assert.deepEqual([told[1]![0].address, told[1]![1]], ['10.0.0.3', 2]);
  assert.deepEqual(
    [...refusals.counts()].map(({ reason, count }) => `${reason} ${count}`),
    ['UNAUTHENTICATED 2', 'BAD_REQUEST 1'],
  );
  refusals.close();
});

test('a connection that says nothing is ended when its time is over, and one that was admitted is not', async (t) => {
  const refused: string[] = [];
  const strangers = new Strangers((address) => refused.push(address), { timeoutMs: 100 });
  const server = createServer((socket) => {
    strangers.add(socket);
    socket.once('data', () => strangers.admit(socket));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  t.after(() => strangers.close());
  await until('it listens', () => server.address() !== null);
  const { port } = server.address() as { port: number };
  const sockets = [dial(port, '127.0.0.1'), dial(port, '127.0.0.1')];
  const [silent, agent] = sockets.map((socket) => hold(t, socket));
  sockets[1]!.write('hello');
  await until('it is ended', () => silent!.closed);
  assert.deepEqual([agent!.closed, strangers.size, refused], [false, 0, ['127.0.0.1']]);
});

test('addresses of one IPv6 network count as one', () => {
  const same = ['2001:db8:1:2::1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2:ffff::'].map(originOf);
  assert.equal(new Set(same).size, 1);
  assert.notEqual(originOf('2001:db8:1:3::1'), same[0]);
  assert.notEqual(originOf('::1'), originOf('::ffff:10.0.0.1'));
  assert.notEqual(originOf('::ffff:10.0.0.2'), originOf('::ffff:10.0.0.1'));
  assert.equal(originOf('fe80::1%eth0'), originOf('fe80::2'));
});
