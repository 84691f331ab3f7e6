/**
 * What a follower hands on: requests, streams and agents reach the leader as if they had come to it
 * directly, and nobody but a controller can hand anything on.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { hostname } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { Authority } from '../../src/auth/authority.ts';
import { CLIENT_HEADER, TUNNEL_PATH } from '../../src/cluster/tunnelled.ts';
import { type Clustered, type ClusteredOptions, startClustered } from '../../src/index.ts';
import { Bench, type Credentials, temporaryFolder } from '../harness.ts';
import { SseReader } from '../sse.ts';
import { startEtcd } from '../store/etcd-members.ts';

/** A leader and a follower in this process. They close before etcd ends. */
async function pair(t: TestContext, options: Partial<ClusteredOptions> = {}) {
  const running: Clustered[] = [];
  t.after(async () => {
    // One that stays open keeps this process alive.
    const ends = await Promise.allSettled(running.map((one) => one.close()));
    assert.deepEqual(
      ends.filter(({ status }) => status === 'rejected'),
      [],
    );
  });
  const { endpoints, ctl } = await startEtcd(t, 1);
  const folder = temporaryFolder(t);
  const start = async (name: string) => {
    const one = await startClustered({
      // Both have the name of this host. Their ports tell them apart.
      data: path.join(folder, name),
      listen: ['127.0.0.1:0'],
      agentListen: '127.0.0.1:0',
      logger: createLog('controller', process.env.V ? 'debug' : 'silent'),
      etcd: { endpoints },
      ...options,
    });
    running.push(one);
    return one;
  };
  const leader = await start('one');
  await until('the first one leads', () => leader.leading(), { limitMs: 30_000 });
  mkdirSync(path.join(folder, 'two'), { mode: 0o700 });
  copyFileSync(path.join(folder, 'one', 'cluster.key'), path.join(folder, 'two', 'cluster.key'));
  const follower = await start('two');
  const at = (name: string, { addresses, agentPort }: Clustered) =>
    Bench.at(path.join(folder, name), { addresses, agentPort });
  const benches = { leader: at('one', leader), follower: at('two', follower), ctl };
  await until('the files of the leader', () => existsSync(path.join(folder, 'two', 'admin-token')), {
    limitMs: 30_000,
  });
  const isReady = async () => (await benches.follower.get('/readyz')).status === 200;
  await until('the follower reaches the leader', isReady, { limitMs: 30_000 });
  return { leader, follower, benches, folder, endpoints };
}

const entriesOf = (data: string) =>
  readFileSync(path.join(data, 'audit.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a request to a follower is carried out by the leader, with the address of its client', async (t) => {
  const { benches } = await pair(t);
  const { leader, follower } = benches;
  const spoofed = { headers: { 'x-forwarded-for': '203.0.113.9' } };
  assert.equal((await follower.put('/api/v1/domains/blue', {}, spoofed)).status, 201);
  assert.equal((await leader.get('/api/v1/domains/blue')).status, 200);
  assert.equal((await follower.request('GET', '/api/v1/domains/blue', undefined, { token: 'wrong' })).status, 401);
  // From another address of loopback than that by which the follower talks to the leader.
  const { port } = new URL(`http://${follower.controller.addresses[0]}`);
  const socket = connectTcp({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.77' });
  const head = `PUT /api/v1/domains/red HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${leader.token}\r\n`;
  t.after(() => socket.destroy());
  socket.write(`${head}Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 201 /);
  await once(socket, 'close');
  const addresses = entriesOf(leader.data)
    .filter(({ resource }) => /^domains/.test(resource ?? ''))
    .map(({ resource, address }) => `${resource} ${address}`);
  assert.deepEqual(addresses, ['domains/blue 127.0.0.1', 'domains/red 127.0.0.77']);
});

test('the proxies that a follower believes are believed at the leader, for its clients alone', async (t) => {
  const { benches, folder } = await pair(t, { trustedProxies: ['127.0.0.1'] });
  const forwarded = { headers: { 'x-forwarded-for': '198.51.100.7, 203.0.113.9' } };
  await benches.follower.put('/api/v1/domains/blue', {}, forwarded);
  const made = entriesOf(path.join(folder, 'one')).find(({ resource }) => resource === 'domains/blue');
  assert.equal(made.address, '203.0.113.9');
});

test('a browser signs in at a follower, and its changes are refused for a page of another origin', async (t) => {
  const { benches } = await pair(t);
  const { follower, leader } = benches;
  const [host] = follower.controller.addresses;
  const signIn = (origin: string) =>
    follower.post('/api/v1/session', { token: leader.token }, { token: undefined, headers: { origin } });
  assert.equal((await signIn('http://evil.example')).status, 403);
  const signedIn = await signIn(`http://${host}`);
  assert.equal(signedIn.status, 201);
  const cookie = String(signedIn.headers['set-cookie']).split(';')[0]!;
  assert.match(cookie, /^mirrorplane_session=/);
  const { csrfToken } = signedIn.body;
  const change = (origin: string, csrf: string) =>
    follower.put(
      '/api/v1/domains/blue',
      {},
      {
        token: undefined,
        headers: { cookie, origin, 'x-mirrorplane-csrf': csrf },
      },
    );
  assert.equal((await change(`http://${host}`, 'wrong')).body.code, 'CSRF_REFUSED');
  assert.equal((await change('http://evil.example', csrfToken)).body.code, 'CSRF_REFUSED');
  assert.equal((await change(`http://${host}`, csrfToken)).status, 201);
});

test('an event stream through a follower ends with the leader, and goes on at another one', async (t) => {
  const { benches, leader, follower: two } = await pair(t);
  const { follower } = benches;
  const url = `http://${follower.controller.addresses[0]}/api/v1/events/stream`;
  const headers = { authorization: `Bearer ${benches.leader.token}` };
  const before = await SseReader.open(url, headers);
  await follower.cluster();
  await follower.declare('a', 'b', 'c');
  await follower.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'c' });
  await until('the event of the change', () => before.messages.some(({ data }) => /"one"/.test(data)));
  await leader.close();
  await until('the stream ends', () => before.ended);
  await until('the other one leads', () => two.leading(), { limitMs: 30_000 });
  const after = await SseReader.open(url, headers);
  t.after(() => after.close());
  await follower.must('POST', '/api/v1/policies', { name: 'two', sources: ['b'], destination: 'c' });
  await until('the event of the next change', () => after.messages.some(({ data }) => /"two"/.test(data)));
});

test('an agent joins and gets its program through a follower, and is told who leads', async (t) => {
  const { benches, leader } = await pair(t);
  const { follower } = benches;
  const [agent] = await follower.agents('node-1');
  await until('its program', () => agent.program);
  const node = await benches.leader.must('GET', '/api/v1/nodes/node-1');
  assert.equal(node.connected, true);
  const told = await follower.connect(follower.credentialsOf('node-1'));
  const messages: { type: string; term?: number; controllers?: string[] }[] = [];
  told.socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  agent.close();
  told.hello('node-1', { term: 0 });
  const message = await until('who leads', () => messages.find(({ type }) => type === 'leader'));
  assert.equal(message.controllers?.length, 2);
  assert.ok(message.controllers?.includes(`127.0.0.1:${leader.agentPort}`));
  assert.ok(message.term! > 0);
});

test('only a controller may hand a client on: no certificate, one of an agent, and one of another authority are refused', async (t) => {
  const { benches, leader, folder } = await pair(t);
  await benches.leader.cluster('node-1');
  const agent = await benches.leader.credentials('node-1');
  const others = await Authority.open(temporaryFolder(t), Date.now);
  const client = JSON.stringify({
    to: 'api',
    address: '10.0.0.1',
    byTls: true,
    proxies: [],
    proxyHeader: 'x-forwarded',
  });
  const ask = (credentials: Partial<Credentials>, url: string, header = client) =>
    new Promise<number>((resolve, reject) => {
      const request = httpsRequest({
        host: '127.0.0.1',
        port: leader.agentPort,
        path: url,
        rejectUnauthorized: false,
        key: credentials.key,
        cert: credentials.certificate,
        agent: false,
        headers: { connection: 'Upgrade', upgrade: 'websocket', [CLIENT_HEADER]: header },
      });
      request.on('response', (response) => resolve(response.statusCode!));
      request.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode!);
      });
      request.on('error', reject);
      request.end();
    });
  const own = await Authority.open(path.join(folder, 'one'), Date.now);
  for (const url of [TUNNEL_PATH, '/controllers/link']) {
    assert.equal(await ask({}, url), 401);
    assert.equal(await ask(agent, url), 401);
    assert.equal(await ask(await others.controllerCertificate(), url), 401);
    // The certificate of the port itself is one for a server.
    assert.equal(await ask(await own.serverCertificate([]), url), 401);
  }
  const certificate = await own.controllerCertificate();
  assert.equal(await ask(certificate, TUNNEL_PATH), 101);
  assert.equal(await ask(certificate, TUNNEL_PATH, '{"to":"api"}'), 400);
  // A controller is no node: it cannot speak for one.
  assert.equal(await ask(certificate, '/sync'), 401);
});

test('connections that say nothing to a follower do not reach the leader, and one address cannot have all', async (t) => {
  const { benches, follower } = await pair(t);
  const open = await Promise.all(
    Array.from({ length: 140 }, async () => {
      const socket = connectTcp(follower.agentPort, '127.0.0.1');
      let ended = false;
      socket.on('close', () => {
        ended = true;
      });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return { socket, isOpen: () => !ended };
    }),
  );
  t.after(() => open.forEach(({ socket }) => void socket.destroy()));
  await until('the bound of one address', () => open.filter(({ isOpen }) => isOpen()).length === 128);
  assert.equal((await benches.follower.get('/readyz')).status, 200);
  // From another address an agent gets through.
  const inner = connectTcp({ port: follower.agentPort, host: '127.0.0.1', localAddress: '127.0.0.9' });
  const other = connectTls({ socket: inner, rejectUnauthorized: false });
  await once(other, 'secureConnect');
  other.destroy();
});

test('the status names all controllers and who leads, and one without the key of the cluster is a problem and does not lead', async (t) => {
  const { benches, leader, follower, endpoints, folder } = await pair(t);
  mkdirSync(path.join(folder, 'three'), { mode: 0o700 });
  const third = await startClustered({
    data: path.join(folder, 'three'),
    listen: ['127.0.0.1:0'],
    agentListen: '127.0.0.1:0',
    logger: createLog('controller', 'silent'),
    etcd: { endpoints },
  });
  t.after(() => third.close());
  const agents = [leader, follower, third].map(({ agentPort }) => `127.0.0.1:${agentPort}`);
  const status = async () => (await benches.follower.get('/api/v1/status')).body;
  const body = await until('the problem of the third', async () => {
    const now = await status();
    return now.problems.some(({ message }: { message: string }) => /cluster\.key/.test(message)) && now;
  });
  const [problem] = body.problems.filter(({ kind }: { kind: string }) => kind === 'controller');
  assert.deepEqual([problem.name, problem.message.includes('it could not lead')], [agents[2], true]);
  const leads = body.controllers.filter((one: { leads: boolean }) => one.leads);
  assert.deepEqual(
    leads.map((one: { agents: string }) => one.agents),
    [agents[0]],
  );
  assert.ok(Date.parse(leads[0].leadsSince) <= Date.now());
  assert.deepEqual(body.controllers.map((one: { agents: string }) => one.agents).sort(), [...agents].sort());
  await leader.close();
  await until('the second one leads', () => follower.leading(), { limitMs: 30_000 });
  const after = await until('the status of the second one', async () => {
    const reply = await benches.follower.get('/api/v1/status');
    return reply.status === 200 && reply.body;
  });
  const gone = after.controllers.filter((one: { gone?: string }) => one.gone !== undefined);
  assert.deepEqual(
    gone.map((one: { agents: string; gone: string; stoppedAt: string }) => [
      one.agents,
      one.gone,
      Date.parse(one.stoppedAt) <= Date.now(),
    ]),
    [[agents[0], 'stopped', true]],
  );
  assert.ok(!after.problems.some(({ message }: { message: string }) => /not heard of any more/.test(message)));
  await follower.close();
  assert.equal(await benches.ctl('get', '/mirrorplane/leader'), '');
  assert.equal(third.leading(), undefined);
});

test('two controllers with one address are a problem that names their hosts', async (t) => {
  let ahead = 0;
  const { benches, leader, endpoints, folder } = await pair(t, { clock: () => Date.now() + ahead });
  const address = `127.0.0.1:${leader.agentPort}`;
  const shared = async () => {
    const { controllers, problems } = (await benches.leader.get('/api/v1/status')).body;
    const found = problems.filter(({ message }: { message: string }) => /controllers have this address/.test(message));
    return { listed: controllers.filter(({ agents }: { agents: string }) => agents === address).length, found };
  };
  mkdirSync(path.join(folder, 'three'), { mode: 0o700 });
  const third = await startClustered({
    data: path.join(folder, 'three'),
    listen: ['127.0.0.1:0'],
    agentListen: '127.0.0.1:0',
    advertise: address,
    logger: createLog('controller', 'silent'),
    etcd: { endpoints },
  });
  t.after(() => third.close());
  await until('both are listed', async () => (await shared()).listed === 2, { limitMs: 30_000 });
  ahead = 60_000;
  const { found } = await shared();
  assert.deepEqual(
    found.map(({ name, message }: { name: string; message: string }) => [name, message]),
    [
      [
        address,
        `2 controllers have this address, on the hosts ${hostname()} and ${hostname()}: give each of them its own with --advertise`,
      ],
    ],
  );
  await third.close();
  await until('one of them is gone', async () => (await shared()).found.length === 0, { limitMs: 30_000 });
});

test('without a leader that it reaches, a follower answers 503 with Retry-After, and is alive', async (t) => {
  const { endpoints } = await startEtcd(t, 1);
  const lonely = await startClustered({
    data: temporaryFolder(t),
    listen: ['127.0.0.1:0'],
    agentListen: '127.0.0.1:0',
    logger: createLog('controller', 'silent'),
    etcd: { endpoints: [endpoints[0]!.replace(/:2379$/, ':1')] },
  });
  t.after(() => lonely.close());
  const bench = Bench.at('', lonely);
  const reply = await bench.request('GET', '/api/v1/status', undefined, { token: 'any' });
  assert.equal(reply.status, 503);
  assert.equal(reply.headers['retry-after'], '1');
  assert.equal(reply.body.code, 'UNAVAILABLE');
  assert.match(reply.body.detail, /no controller leads/);
  assert.equal((await bench.request('GET', '/healthz', undefined, { token: undefined })).status, 200);
});
