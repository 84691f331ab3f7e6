/** Which readings of counters of two nodes belong together. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { CounterReport } from '@mirrorplane/contract';
import { Readings } from '../src/reports/readings.ts';

const count = (packets: number) => ({ packets, bytes: packets * 100 });
const NOTHING: CounterReport = {
  ...{ epoch: 'e', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0 },
};

/** A report of a node that has got this number of copies of policy `u` from node `a`. */
const got = (packets: number): CounterReport => {
  const [received, delivered, relayed] = [count(packets), count(packets), count(0)];
  const report = { termination: 'u/from/a', policy: 'u', node: 'a', received, delivered, relayed, dropped: {} };
  return { ...NOTHING, terminations: [report] };
};

/** A report of a node that has sent this number of copies to node `b`. */
const sent = (packets: number): CounterReport => ({
  ...NOTHING,
  deliveries: [{ delivery: 'u/to/b', policy: 'u', sent: count(packets) }],
});

function nodes() {
  const [a, b] = [new Readings(), new Readings()];
  const of = (name: string) => ({ a, b })[name];
  return {
    a: (packets: number, readAt: number, now: number) => a.take('a', sent(packets), { readAt, now }, of),
    b: (packets: number, readAt: number, now: number) => b.take('b', got(packets), { readAt, now }, of),
    surplus: (since: number) => Object.fromEntries(a.surplusSince(since)),
    prune: () => a.prune(() => false),
    back: () => a.back(sent(0), of),
    arrived: () => a.arrivedBefore.get('b')?.terminations.get('u/from/a')?.delivered.packets,
  };
}

test('the sent copies of a node are compared with the arrivals that were known before it was read', () => {
  const { a, b, arrived } = nodes();
  b(90, 500, 510);
  a(100, 1000, 1010);
  assert.equal(arrived(), 90);
  // Read before the report of `a`, but received after `a` was read. It may count more copies than
  // `a` had sent.
  b(215, 1990, 2005);
  a(210, 2000, 2010);
  assert.equal(arrived(), 90);
  a(300, 3000, 3010);
  assert.equal(arrived(), 215);
});

test('the compared arrivals do not change while the sender reports nothing', () => {
  const { a, b, arrived } = nodes();
  b(90, 500, 510);
  a(100, 1000, 1010);
  for (let second = 2; second < 60; second++) {
    b(100 * second, 1000 * second, 1000 * second + 10);
  }
  assert.equal(arrived(), 90);
  a(6000, 60_000, 60_010);
  assert.equal(arrived(), 5900);
});

test('nothing is said to have arrived before a sender was read that was read first', () => {
  const { a, b, arrived } = nodes();
  a(100, 1000, 1010);
  b(100, 1500, 1510);
  assert.equal(arrived(), undefined);
});

test('more than was sent is a surplus when it was sure to have arrived before, once, until there is more of it', () => {
  const { a, b, surplus, prune } = nodes();
  a(100, 1000, 1010);
  b(103, 1100, 1110);
  // Copies that arrived after the last reading of the sender may also have been sent after it.
  assert.deepEqual(surplus(0), {});
  a(100, 2000, 2010);
  assert.deepEqual(surplus(0), { 'u/to/b': 3 });
  a(100, 3000, 3010);
  assert.deepEqual(surplus(2010), {});
  // Under traffic, copies in flight hide the surplus. It is not new when it shows again.
  a(500, 4000, 4010);
  b(503, 4500, 4510);
  a(500, 5000, 5010);
  assert.deepEqual(surplus(2010), {});
  b(504, 5500, 5510);
  a(500, 6000, 6010);
  assert.deepEqual(surplus(2010), { 'u/to/b': 4 });
  prune();
  assert.deepEqual(surplus(0), {});
});

test('arrivals during a disconnection of the sender still count when it returns', () => {
  const { a, b, arrived, back } = nodes();
  b(90, 500, 510);
  a(100, 1000, 1010);
  b(190, 1500, 1510);
  b(290, 2500, 2510);
  back();
  assert.equal(arrived(), 290);
  b(390, 3500, 3510);
  a(400, 3505, 3520);
  assert.equal(arrived(), 290);
  a(500, 4505, 4520);
  assert.equal(arrived(), 390);
});

test('a report that was late on its way counts as read when it was', () => {
  const readings = new Readings();
  const run = 'r';
  assert.equal(readings.readAt({ run, readAt: 1000 }, 501_003), 501_003);
  assert.equal(readings.readAt({ run, readAt: 2000 }, 502_001), 502_001);
  assert.equal(readings.readAt({ run, readAt: 3000 }, 503_900), 503_001);
  // Another run of the agent has another clock.
  assert.equal(readings.readAt({ run: 's', readAt: 10 }, 505_000), 505_000);
  assert.equal(readings.readAt(undefined, 506_000), 506_000);
});

test('no time that an agent tells makes a report newer than now, or older than a minute', () => {
  const readings = new Readings();
  for (const readAt of [0, 1e300, 5, Number.MAX_VALUE, 1000]) {
    const at = readings.readAt({ run: 'r', readAt }, 700_000);
    assert.ok(at >= 640_000 && at <= 700_000, `${readAt} gives ${at}`);
  }
});

test('a report without a reading is a part of one, where the agent tells readings', () => {
  const readings = new Readings();
  assert.equal(readings.isPart(undefined), false);
  const reading = { run: 'r', readAt: 1000 };
  readings.readAt(reading, 2000);
  assert.equal(readings.isPart(undefined), true);
  assert.equal(readings.isPart(reading), false);
});

test('what had arrived before a report stays as it was for who has it', () => {
  const [a, b] = [new Readings(), new Readings()];
  const of = (name: string) => ({ a, b })[name];
  b.take('b', got(90), { readAt: 500, now: 510 }, of);
  a.take('a', sent(100), { readAt: 1000, now: 1010 }, of);
  const before = a.arrivedBefore;
  b.take('b', got(190), { readAt: 1500, now: 1510 }, of);
  a.take('a', sent(200), { readAt: 2000, now: 2010 }, of);
  b.take('b', got(290), { readAt: 2500, now: 2510 }, of);
  const later = a.arrivedBefore;
  a.back(sent(200), of);
  const all = [before, later, a.arrivedBefore];
  assert.deepEqual(
    all.map((map) => map.get('b')?.terminations.get('u/from/a')?.delivered.packets),
    [90, 190, 290],
  );
});

test('what has arrived is that of the last report, with ends where nothing has', () => {
  const readings = new Readings();
  assert.equal(readings.arrived, undefined);
  for (const packets of [0, 5]) {
    const report = got(packets);
    readings.take('b', report, { readAt: 1000, now: 1010 }, () => undefined);
    assert.deepEqual([...readings.arrived!], [['u/from/a', report.terminations[0]]]);
  }
});
