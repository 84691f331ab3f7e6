/** When a follower judges its leader dead, by what the leader says and what etcd answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import { type WebSocket, WebSocketServer } from 'ws';
import { Authority } from '../../src/auth/authority.ts';
import { BEAT_MS, type Beat, LeaderLink } from '../../src/cluster/link.ts';
import { temporaryFolder } from '../harness.ts';

const LIMIT = { limitMs: 20_000, pauseMs: 10 };
const TERM = 7;

const YES = { beats: true, resets: false };

/** A leader that says what the test wants, and a follower with a link to it. */
async function linked(t: TestContext, first: Partial<Beat> = {}) {
  const authority = await Authority.open(temporaryFolder(t), Date.now);
  const { certificate, key } = await authority.apiCertificate(['localhost'], 3_600_000);
  const say = { isSure: true, busyMs: 0, leadsMs: 60_000, etcd: true, silentMs: 0, ...YES, ...first };
  const server = createServer({ key, cert: certificate });
  const sockets = new Set<Socket>();
  let resets = 0;
  server.prependListener('connection', (socket: Socket) => {
    sockets.add(socket);
    if (say.resets) {
      resets++;
      socket.resetAndDestroy();
    }
  });
  const links = new Set<WebSocket>();
  const webSockets = new WebSocketServer({ server });
  webSockets.on('connection', (link) => links.add(link));
  let beats = 0;
  const beat = () => {
    beats++;
    const { isSure, busyMs, leadsMs, isLeaving } = say;
    for (const link of say.beats ? links : []) {
      link.send(JSON.stringify({ type: 'beat', term: TERM, isSure, busyMs, leadsMs, isLeaving }));
    }
  };
  const timer = setInterval(beat, BEAT_MS);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const broken: { why: string; isDead: () => boolean }[] = [];
  const link = new LeaderLink({
    leader: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    term: TERM,
    id: 'follower',
    tls: async () => ({ ca: authority.trustedPem, servername: CONTROLLER_NAME, checkServerIdentity: () => undefined }),
    reachesEtcd: async () => say.etcd,
    silence: async () => say.silentMs,
    patienceMs: 0,
    broken: (why, isDead) => broken.push({ why, isDead }),
  });
  const cut = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  const stop = () => {
    server.close();
    cut();
  };
  t.after(() => {
    clearInterval(timer);
    link.close();
    stop();
  });
  await until('the leader is reached', () => link.isReached, LIMIT);
  return { say, broken, cut, stop, resets: () => resets, heard: () => beats };
}

const passes = (ms: number) => {
  const end = performance.now() + ms;
  return until('time passes', () => performance.now() > end, LIMIT);
};

test('a leader that does not reach etcd is blamed by a follower that reaches it, and by no other one', async (t) => {
  const { say, broken } = await linked(t);
  say.isSure = false;
  say.etcd = false;
  await passes(2500);
  assert.equal(broken.length, 0, 'etcd has answered neither');
  say.etcd = true;
  // As when etcd has elected: both learn it within half a second.
  await passes(300);
  say.isSure = true;
  await passes(1500);
  assert.equal(broken.length, 0, 'etcd has answered both');
  say.isSure = false;
  await until('the leader is blamed', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!.why, /does not reach etcd/);
  assert.equal(broken[0]!.isDead(), true);
  say.isSure = true;
  await until('it is not any more', () => !broken[0]!.isDead(), LIMIT);
});

test('in the first seconds of its term, a leader is judged by a port that refuses, or where etcd has not heard of it either', async (t) => {
  const { say, broken, stop } = await linked(t, { leadsMs: 1000 });
  say.isSure = false;
  await passes(2500);
  assert.equal(broken.length, 0, 'etcd hears of it');
  say.silentMs = 2000;
  await until('it is judged dead', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!.why, /does not reach etcd/);
  say.silentMs = 0;
  await until('etcd has heard of it', () => !broken.at(-1)!.isDead(), LIMIT);
  const before = broken.length;
  stop();
  await until('the port refuses', () => broken.length > before, LIMIT);
  assert.match(broken.at(-1)!.why, /ECONNREFUSED/);
  assert.equal(broken.at(-1)!.isDead(), true);
});

test('a leader that leaves may close its ports for some seconds, and is dead if it is still there then', async (t) => {
  const { say, broken, stop, heard } = await linked(t, { isLeaving: false });
  say.isLeaving = true;
  const before = heard();
  await until('it has said so', () => heard() > before + 1, LIMIT);
  const began = performance.now();
  stop();
  await until('it is judged dead', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!.why, /ECONNREFUSED|no sign of life/);
  assert.ok(performance.now() - began > 1500, 'not because its port refuses');
});

/** A follower that has not reached its leader. */
function unreached(t: TestContext, leader: string, patienceMs = 0) {
  const say: { silentMs: number | undefined } = { silentMs: 0 };
  const broken: string[] = [];
  const link = new LeaderLink({
    leader,
    term: TERM,
    id: 'follower',
    tls: async () => ({ servername: CONTROLLER_NAME, checkServerIdentity: () => undefined }),
    reachesEtcd: async () => true,
    silence: async () => say.silentMs,
    patienceMs,
    broken: (why) => broken.push(why),
  });
  t.after(() => link.close());
  return { say, broken };
}

/** HOST:PORT of a server that accepts connections and says nothing, until it is closed. */
async function silentServer(t: TestContext) {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  const close = () => {
    server.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  t.after(close);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

test('a leader that was never reached is judged dead by its lease: soon if its port refuses, late if it may be starting', async (t) => {
  const { address, close } = await silentServer(t);
  const { say, broken } = unreached(t, address);
  const patient = unreached(t, address, 4000);
  say.silentMs = 5000;
  patient.say.silentMs = 5000;
  await passes(1500);
  assert.deepEqual(broken, [], 'it may be busy with its start');
  close();
  await until('it is judged dead', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!, /its port refuses/);
  await until('where the lead has changed often too', () => patient.broken.length > 0, LIMIT);
});

test('a leader that was never reached lives while etcd hears of it, or does not know, and is judged dead if it does neither', async (t) => {
  const closed = await silentServer(t);
  closed.close();
  const { say, broken } = unreached(t, closed.address);
  const unknown = unreached(t, closed.address);
  unknown.say.silentMs = undefined;
  const hasty = unreached(t, closed.address, 4000);
  hasty.say.silentMs = 4000;
  await passes(1500);
  assert.deepEqual([broken, unknown.broken, hasty.broken], [[], [], []]);
  say.silentMs = 1000;
  await until('it is judged dead', () => broken.length > 0, LIMIT);
  const hanging = unreached(t, (await silentServer(t)).address);
  hanging.say.silentMs = 6000;
  await until('one that hangs at its start is judged dead', () => hanging.broken.length > 0, LIMIT);
  assert.match(hanging.broken[0]!, /does not answer/);
});

test('a leader that is silent is judged dead, and lives again with its next sign', async (t) => {
  const { say, broken } = await linked(t);
  say.beats = false;
  await until('it is judged dead', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!.why, /no sign of life/);
  say.beats = true;
  await until('it lives', () => !broken[0]!.isDead(), LIMIT);
});

test('a leader that resets a connection is there', async (t) => {
  const { say, broken, cut, resets } = await linked(t);
  say.resets = true;
  cut();
  await until('it has reset some connections', () => resets() > 2, LIMIT);
  assert.deepEqual(
    broken.filter(({ why }) => !/no sign of life/.test(why)),
    [],
  );
});
