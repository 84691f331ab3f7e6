/** When a follower judges its leader dead, by what the leader says and what etcd answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import { type WebSocket, WebSocketServer } from 'ws';
import { Authority } from '../../src/auth/authority.ts';
import { BEAT_MS, type Beat, LeaderLink } from '../../src/cluster/link.ts';
import { temporaryFolder } from '../harness.ts';

const LIMIT = { limitMs: 20_000, pauseMs: 10 };
const TERM = 7;

/** A leader that says what the test wants, and a follower with a link to it. */
async function linked(t: TestContext, first: Partial<Beat> & { etcd?: boolean } = {}) {
  const authority = await Authority.open(temporaryFolder(t), Date.now);
  const { certificate, key } = await authority.apiCertificate(['localhost'], 3_600_000);
  const say = { isSure: true, busyMs: 0, leadsMs: 60_000, etcd: true, beats: true, resets: false, ...first };
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
  const { etcd: _, beats: __, resets: ___, ...told } = say;
  const beat = () => {
    const { isSure, busyMs, leadsMs } = say;
    for (const link of say.beats ? links : []) {
      link.send(JSON.stringify({ ...told, type: 'beat', term: TERM, isSure, busyMs, leadsMs }));
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
  return { say, broken, cut, stop, resets: () => resets };
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

test('in the first seconds of its term, a leader is judged by nothing but a port that refuses', async (t) => {
  const { say, broken, stop } = await linked(t, { leadsMs: 1000 });
  say.isSure = false;
  await passes(2500);
  assert.equal(broken.length, 0);
  stop();
  await until('the port refuses', () => broken.length > 0, LIMIT);
  assert.match(broken[0]!.why, /ECONNREFUSED/);
  assert.equal(broken[0]!.isDead(), true);
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
