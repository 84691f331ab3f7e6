/** Looks of the controller: limits, leases, and counts over new beginnings of agents. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { LOOK_KEEPING, LookCreate } from '@mirrorplane/contract';
import { Looks } from '../../src/looks/looks.ts';
import { PcapngStream } from '../../src/looks/pcapng-stream.ts';
import { ProblemError } from '../../src/problems/problems.ts';
import { delivered, seen } from './seen.ts';

const OWNER = { name: 'admin', kind: 'token', address: '127.0.0.1' } as const;
const REQUEST = LookCreate.parse({ interfaces: ['web-1/0'] });
const NAMES: Record<string, string> = { 'web-1/0': 'web-1 eth0' };

function looksAt(clock: { now: number }): Looks {
  return new Looks({ clock: () => clock.now, nameOf: (id) => NAMES[id] ?? '' });
}

const counts = (seen: number, written = seen) => ({
  seen,
  written,
  overRate: seen - written,
  ringFull: 0,
  lostOnTheWay: 0,
  dropsHeard: 0,
  dropsLost: 0,
});

test('refuses a seventeenth look, and names who has the others', (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  for (let index = 0; index < LOOK_KEEPING.each; index++) {
    looks.create(REQUEST, OWNER);
  }
  assert.throws(() => looks.create(REQUEST, OWNER), /you have 12 looks already/);
  for (let index = LOOK_KEEPING.each; index < LOOK_KEEPING.running; index++) {
    looks.create(REQUEST, { ...OWNER, name: 'ann' });
  }
  assert.throws(
    () => looks.create(REQUEST, { ...OWNER, name: 'ann' }),
    (error) => error instanceof ProblemError && error.problem.code === 'LOOK_LIMIT' && /of admin/.test(error.message),
  );
  looks.end(looks.list()[0]!.id, 'asked');
  looks.create(REQUEST, { ...OWNER, name: 'ann' });
});

test('ends a look that nobody renews by its lease, and one that is renewed by its age', async (t) => {
  const clock = { now: 1_000_000 };
  const looks = looksAt(clock);
  t.after(() => looks.close());
  const [short, long] = [looks.create(REQUEST, OWNER), looks.create(REQUEST, OWNER)];
  const ends: string[] = [];
  looks.on('ended', ({ id, endedBy }) => ends.push(`${id === short.id ? 'short' : 'long'} ${endedBy}`));
  for (let at = 0; at < 599; at += 29) {
    clock.now = 1_000_000 + at * 1000;
    looks.renew(long.id);
  }
  clock.now = 1_600_000;
  await until('both ends', () => ends.length === 2);
  assert.deepEqual(ends.sort(), ['long age', 'short lease']);
  assert.equal(looks.renew(long.id), false);
  assert.equal(long.describe().state, 'ended');
});

test('a look ends by its own clock, and shows times of the host, also where that is set', async (t) => {
  const [clock, wall] = [{ now: 5000 }, { now: 1_000_000 }];
  const looks = new Looks({ clock: () => clock.now, wall: () => wall.now, nameOf: () => '' });
  t.after(() => looks.close());
  const look = looks.create(REQUEST, OWNER);
  const times = () => [look.describe().beganAt, look.describe().leaseEndsAt].map((time) => Date.parse(time));
  assert.deepEqual(times(), [1_000_000, 1_030_000]);
  wall.now += 3_600_000;
  await until('a search', () => new Promise((resolve) => setTimeout(() => resolve(true), 700)));
  assert.deepEqual([look.running, look.leaseLeftMs], [true, 30_000]);
  looks.renew(look.id);
  assert.deepEqual(times(), [1_000_000, 4_630_000]);
  wall.now -= 7_200_000;
  clock.now += 30_000;
  await until('its end', () => !look.running);
  assert.equal(look.endedBy, 'lease');
});

test('forgets looks ten minutes after their end', async (t) => {
  const clock = { now: 0 };
  const looks = looksAt(clock);
  t.after(() => looks.close());
  const look = looks.create(REQUEST, OWNER);
  looks.end(look.id, 'asked');
  assert.equal(looks.get(look.id), look);
  clock.now = LOOK_KEEPING.endedMs;
  await until('it to be forgotten', () => looks.get(look.id) === undefined);
});

test('keeps the newest sixteen looks that have ended', async (t) => {
  const clock = { now: 0 };
  const looks = looksAt(clock);
  t.after(() => looks.close());
  const first = looks.create(REQUEST, OWNER);
  looks.end(first.id, 'asked');
  for (let index = 0; index < LOOK_KEEPING.ended; index++) {
    clock.now++;
    looks.end(looks.create(REQUEST, OWNER).id, 'asked');
  }
  await until('the first to be forgotten', () => looks.get(first.id) === undefined);
  assert.equal(looks.list().length, LOOK_KEEPING.ended);
});

test('gives packets a node, a name and what was lost before them', (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const { id, ring } = looks.create(REQUEST, OWNER);
  looks.feed(id, 'node-1', { packets: [seen()], counts: counts(1) });
  looks.feed(id, 'node-1', { counts: counts(11, 1) });
  looks.feed(id, 'node-1', { packets: [seen(), seen()], counts: counts(13, 3) });
  looks.feed(id, 'node-2', { packets: [delivered()], counts: counts(1) });
  const kept = ring.since(0, 10).map(({ node, interfaceName, lostBefore }) => [node, interfaceName, lostBefore]);
  assert.deepEqual(kept, [
    ['node-1', 'web-1 eth0', 0],
    ['node-1', 'web-1 eth0', 10],
    ['node-1', 'web-1 eth0', 0],
    ['node-2', '', 0],
  ]);
});

test('sums counts over an agent that begins again from 0', (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const look = looks.create(REQUEST, OWNER);
  looks.feed(look.id, 'node-1', { run: 1, counts: counts(100, 90), packets: [seen()] });
  looks.feed(look.id, 'node-1', { run: 2, counts: counts(200, 200) });
  looks.feed(look.id, 'node-2', { run: 1, counts: counts(7) });
  const { totals, nodes } = look.describe();
  assert.deepEqual(totals, {
    seen: 307,
    written: 297,
    overRate: 10,
    ringFull: 0,
    lostOnTheWay: 0,
    received: 1,
    dropsHeard: 0,
    dropsLost: 0,
  });
  assert.deepEqual(
    nodes.map(({ node, state }) => `${node} ${state}`),
    ['node-1 running', 'node-2 running'],
  );
});

/** The file of a look that has ended. */
function fileOf(looks: Looks, id: string, wanted = () => true): PcapngStream {
  looks.end(id, 'asked');
  const look = looks.get(id)!;
  return new PcapngStream({ look, follow: false, wanted, read: () => undefined, comment: 'a look' });
}

test('counts of a node that lies stay whole numbers that a file can have', async (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const { id, ring } = looks.create(REQUEST, OWNER);
  const most = { ...counts(Number.MAX_SAFE_INTEGER), overRate: Number.MAX_SAFE_INTEGER, ringFull: 2 ** 52 };
  for (let run = 0; run < 3000; run++) {
    looks.feed(id, 'node-1', { run, counts: most });
  }
  looks.feed(id, 'node-1', { run: 2999, counts: counts(0), packets: [seen()] });
  for (const node of ['node-2', 'node-3']) {
    looks.feed(id, node, { counts: most, packets: [seen()] });
  }
  const lost = ring.since(0, 10).map(({ lostBefore }) => lostBefore);
  assert.ok(
    lost.every((count) => count >= 0 && Number.isSafeInteger(count)),
    `${lost}`,
  );
  assert.equal(looks.get(id)!.totals().seen, Number.MAX_SAFE_INTEGER);
  const file = Buffer.concat(await fileOf(looks, id).toArray());
  assert.ok(file.length > 300);
});

test('what goes wrong while a file is written ends the file alone', async (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const { id } = looks.create(REQUEST, OWNER);
  looks.feed(id, 'node-1', { packets: [seen()] });
  const file = fileOf(looks, id, () => {
    throw new Error('no file');
  });
  await assert.rejects(file.toArray(), /no file/);
});

test('takes what nodes say shortly after the end, and nothing once it is complete', (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const look = looks.create(REQUEST, OWNER);
  looks.feed(look.id, 'node-1', {});
  looks.end(look.id, 'asked');
  looks.feed(look.id, 'node-1', { packets: [seen()] });
  assert.equal(look.complete, false);
  looks.nodeEnded(look.id, 'node-1', 'asked');
  assert.equal(look.complete, true);
  looks.feed(look.id, 'node-1', { packets: [seen()] });
  assert.equal(look.ring.newest, 1);
});

test('tells changes together', async (t) => {
  const looks = looksAt({ now: 0 });
  t.after(() => looks.close());
  const look = looks.create(REQUEST, OWNER);
  let told = 0;
  look.on('changed', () => told++);
  for (let index = 0; index < 100; index++) {
    looks.feed(look.id, 'node-1', { packets: [seen()] });
  }
  await until('it to be told', () => told > 0);
  assert.equal(told, 1);
});

test('ends all looks with the controller', () => {
  const looks = looksAt({ now: 0 });
  const look = looks.create(REQUEST, OWNER);
  looks.close();
  assert.equal(look.endedBy, 'controller');
  assert.equal(look.complete, true);
});
