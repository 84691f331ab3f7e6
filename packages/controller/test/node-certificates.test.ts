/** Which certificate of a node is accepted: enrolments, renewals, copied keys, and the end of one. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench, type Credentials, certificateRequest, type TestAgent } from './harness.ts';

const DAY = 86_400_000;

/** An agent that is connected, and has said hello. */
async function connected(bench: Bench, credentials: Credentials, node = 'node-1'): Promise<TestAgent> {
  const agent = await bench.connect(credentials);
  agent.hello(node);
  await until('a program', () => agent.program !== undefined);
  return agent;
}

/** Asks for a certificate, and gets it. */
async function renew(agent: TestAgent, credentials: Credentials, node = 'node-1'): Promise<Credentials> {
  const before = agent.certificates.length;
  const { csr, key } = await certificateRequest(node);
  agent.send({ type: 'renew', csr });
  await until('a certificate', () => agent.certificates.length > before);
  const { certificate, authority } = agent.certificates.at(-1)!;
  return { ...credentials, key, certificate, authority };
}

/** Says that the certificate is stored, and waits until the controller knows. */
async function store(bench: Bench, agent: TestAgent, { certificate }: Credentials, node = 'node-1'): Promise<void> {
  const { raw, validTo } = new X509Certificate(certificate);
  agent.send({ type: 'certificateStored', fingerprint: createHash('sha256').update(raw).digest('hex') });
  const end = new Date(validTo).toISOString();
  await until('its end', async () => (await bench.get(`/api/v1/nodes/${node}`)).body.certificateEndsAt === end);
}

async function eventsOf(bench: Bench, kind: string): Promise<{ code?: string; message: string }[]> {
  return (await bench.get(`/api/v1/events?kind=${kind}`)).body.items;
}

async function codesOf(bench: Bench, node = 'node-1'): Promise<string[]> {
  return (await bench.get(`/api/v1/nodes/${node}`)).body.problems.map(({ code }: { code: string }) => code);
}

test('a new enrolment ends the session of the earlier one at once, and its certificate is refused', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const first = await bench.credentials('node-1');
  assert.deepEqual(await eventsOf(bench, 'nodeEnrolledAgain'), []);
  const agent = await connected(bench, first);
  const second = await bench.credentials('node-1');
  await until('the end', () => agent.closed?.code === 4008);
  assert.deepEqual(agent.program?.captures, []);
  const [event, ...more] = await eventsOf(bench, 'nodeEnrolledAgain');
  assert.match(event?.message ?? '', /from 127\.0\.0\.1: the certificate of the earlier enrolment is refused/);
  assert.deepEqual(more, []);
  await connected(bench, second);
  await assert.rejects(bench.connect(first), /status 401/);
  await bench.restart();
  await assert.rejects(bench.connect(first), /status 401/);
  await connected(bench, second);
});

test('a session ends with its certificate, and one that was renewed goes on', async (t) => {
  // Certificates of 20 days ago, which end in 10 days.
  const bench = await Bench.start(t, -20 * DAY);
  await bench.cluster('node-1', 'node-2');
  const [one, two] = [await bench.credentials('node-1'), await bench.credentials('node-2')];
  bench.ahead = 0;
  await bench.restart();
  const [renewing, other] = [await connected(bench, one), await connected(bench, two, 'node-2')];
  await store(bench, renewing, await renew(renewing, one));
  bench.ahead = 9 * DAY;
  await bench.get('/api/v1/nodes');
  assert.equal(other.closed, undefined);
  bench.ahead = 10 * DAY;
  await until('the end', () => other.closed?.code === 4009);
  assert.equal(renewing.closed, undefined);
  await until('it is gone', async () => !(await bench.get('/api/v1/nodes/node-2')).body.connected);
  await assert.rejects(bench.connect(two), /status 401/);
  bench.ahead = 31 * DAY;
  await until('the end of the renewed one', () => renewing.closed?.code === 4009);
});

test('of two holders of a key, the one that has renewed is served, and the other one is refused and told of', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const original = await bench.credentials('node-1');
  (await connected(bench, original)).close();
  const thief = await connected(bench, original);
  const renewed = await renew(thief, original);
  await store(bench, thief, renewed);
  await assert.rejects(bench.connect(original), /status 401/);
  await until('the problem', async () => (await codesOf(bench)).includes('CERTIFICATE_CONTESTED'));
  await assert.rejects(bench.connect(original), /status 401/);
  await until('the event', async () => (await eventsOf(bench, 'nodeRejected')).length > 0);
  const [event, ...more] = await eventsOf(bench, 'nodeRejected');
  assert.equal(event?.code, 'CERTIFICATE_CONTESTED');
  assert.match(event?.message ?? '', /an agent at 127\.0\.0\.1 was refused: .*newer certificate of the same key/);
  assert.deepEqual(more, [], 'once, however often it tries');
  await bench.restart();
  await assert.rejects(bench.connect(original), /status 401/);
  // A new enrolment, which the thief cannot make, ends both.
  await connected(bench, renewed);
  await connected(bench, await bench.credentials('node-1'));
  await assert.rejects(bench.connect(renewed), /status 401/);
  assert.ok(!(await codesOf(bench)).includes('CERTIFICATE_CONTESTED'));
});

test('a renewed certificate that an agent did not get leaves the earlier one good, until a newer one is shown', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const first = await bench.credentials('node-1');
  const agent = await connected(bench, first);
  const second = await renew(agent, first);
  agent.close();
  const again = await connected(bench, first);
  const third = await renew(again, first);
  again.close();
  const last = await connected(bench, third);
  assert.deepEqual(await eventsOf(bench, 'nodeRejected'), []);
  last.close();
  for (const older of [first, second]) {
    await assert.rejects(bench.connect(older), /status 401/);
  }
  await connected(bench, third);
});
