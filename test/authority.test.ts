/**
 * The authority is rotated without a gap: real agents over TLS keep their sessions, get certificates
 * of the new one, and connect with them after the old one is dropped.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FakeDatapath, startAgent } from '@mirrorplane/agent/testing';
import { until } from '@mirrorplane/base';
import { type AuthorityStatus, parseJoinToken } from '@mirrorplane/contract';
import pino from 'pino';
import { Bench, type Reply, temporaryFolder } from '../packages/controller/test/harness.ts';

/** Starts the agent of a node in a folder. @param token undefined: it has joined */
async function start(t: TestContext, bench: Bench, node: string, folder: string, token?: string) {
  const agent = await startAgent({
    node,
    controller: `127.0.0.1:${bench.controller.agentPort}`,
    data: folder,
    datapath: new FakeDatapath(),
    log: pino({ level: 'silent' }),
    timing: { backoffMin: 20, backoffMax: 100 },
    ...(token !== undefined && { token }),
  });
  t.after(() => agent.close());
  return agent;
}

/** A controller that comes back at the same port, and what is asked of it. */
async function controller(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2', 'node-3');
  const status = async (): Promise<AuthorityStatus> => (await bench.get('/api/v1/authority')).body;
  const left = async () => (await status()).rotation?.nodesLeft;
  const connected = async (node: string) => (await bench.get(`/api/v1/nodes/${node}`)).body.connected;
  const rotate = (): Promise<Reply> => bench.post('/api/v1/authority/rotate');
  const drop = (query = ''): Promise<Reply> => bench.post(`/api/v1/authority/drop${query}`);
  const events = async (kind: string) => (await bench.get(`/api/v1/events?kind=${kind}`)).body.items;
  return { bench, status, left, connected, rotate, drop, events };
}

/** Whether the stored certificate of a node is of the stored authority that is trusted first. */
function follows(folder: string): boolean {
  const read = (name: string) => new X509Certificate(readFileSync(join(folder, name)));
  return read('node.crt').verify(read('ca.crt').publicKey);
}

const authoritiesIn = (folder: string) => readFileSync(join(folder, 'ca.crt'), 'utf8').split('BEGIN CERT').length - 1;

test('agents follow a rotation over their sessions, and a node that was away is left until it comes back', async (t) => {
  const { bench, status, left, connected, rotate, drop, events } = await controller(t);
  const folders = [temporaryFolder(t), temporaryFolder(t)];
  const [one, two] = folders as [string, string];
  const first = await start(t, bench, 'node-1', one, await bench.joinToken('node-1'));
  const away = await start(t, bench, 'node-2', two, await bench.joinToken('node-2'));
  await until('both', async () => (await connected('node-1')) && (await connected('node-2')));
  await away.close();
  await until('it is away', async () => !(await connected('node-2')));
  const old = (await status()).fingerprint;
  const ofOld = await bench.joinToken('node-3');

  assert.equal((await rotate()).status, 200);
  assert.equal((await rotate()).status, 409);
  await until('node-1 has followed', async () => (await left())?.join() === 'node-2');
  assert.ok(follows(one));
  assert.equal(authoritiesIn(one), 2);
  assert.deepEqual((await events('nodeDisconnected')).length, 1, 'of the node that was stopped');
  const refused = await drop();
  assert.equal(refused.status, 409);
  assert.match(refused.body.detail, /certificates of node-2 are, and 1 join tokens are of the old authority/);

  // Tokens of both authorities let nodes in, whatever the port shows to others.
  const ofNew = await bench.joinToken('node-3');
  assert.notEqual(parseJoinToken(ofNew).fingerprint, old);
  const third = await start(t, bench, 'node-3', temporaryFolder(t), ofOld);
  await until('node-3', () => connected('node-3'));
  await third.close();
  await start(t, bench, 'node-3', temporaryFolder(t), ofNew);

  // A restart in the middle changes nothing. The node that was away knows the old authority alone.
  await first.close();
  await bench.restart();
  assert.equal((await status()).rotation?.fingerprint, old);
  await start(t, bench, 'node-1', one);
  assert.equal(authoritiesIn(two), 1);
  await start(t, bench, 'node-2', two);
  await until('none is left', async () => (await left())?.length === 0);
  assert.ok(follows(two));

  assert.equal((await drop()).status, 200);
  assert.equal((await status()).rotation, undefined);
  await until('both trust the new one alone', () => folders.every((folder) => authoritiesIn(folder) === 1));
  assert.ok((await connected('node-1')) && (await connected('node-2')), 'over the sessions that they had');
  assert.equal((await events('authorityRotated')).length, 2);
});

test('a node that is left when the old authority is dropped by force is cut off, and joins with a new token', async (t) => {
  const { bench, connected, rotate, drop } = await controller(t);
  const agent = await bench.connect(await bench.credentials('node-1'));
  // Without the list of authorities that it trusts: an agent that does not follow rotations.
  agent.hello('node-1');
  await until('it is connected', () => connected('node-1'));
  const token = await bench.joinToken('node-2');
  await rotate();
  assert.equal((await drop()).status, 409);
  assert.equal((await drop('?force=true')).status, 200);
  await until('the end', () => agent.closed?.code === 4009);
  await assert.rejects(bench.connect(bench.credentialsOf('node-1')));
  const { secret } = parseJoinToken(token);
  assert.equal((await bench.enroll({ node: 'node-2', secret, csr: 'none' })).status, 401, 'the token is gone');
  const folder = temporaryFolder(t);
  await start(t, bench, 'node-1', folder, await bench.joinToken('node-1'));
  await until('it is back', () => connected('node-1'));
  assert.equal((await drop()).status, 404);
});
