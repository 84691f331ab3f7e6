/** Totals of counters over epochs of the data path. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import type { CaptureCounts, CounterReport } from '@mirrorplane/contract';
import { CounterTotals } from '../src/reports/counter-totals.ts';
import { SAVE_INTERVAL_MS } from '../src/reports/saved-counters.ts';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const count = (packets: number) => ({ packets, bytes: packets * 100 });
const counts = (matched: number, dropped = 0): CaptureCounts => ({
  matched: count(matched),
  sampledOut: count(0),
  copied: count(matched - dropped),
  truncated: count(0),
  dropped: dropped > 0 ? { noDelivery: count(dropped) } : {},
  skipped: {},
});

function report(epoch: string, matched: number, dropped = 0, policy = 'u'): CounterReport {
  return {
    epoch,
    captures: [{ policy, source: 'web-1/0', direction: 'inbound', counts: counts(matched, dropped) }],
    deliveries: [{ delivery: 'u/local', policy, sent: count(matched - dropped) }],
    terminations: [],
    peers: [],
    unknownErspan: matched,
  };
}

const matched = (totals: CounterTotals) => totals.sums()?.captures[0]?.counts;

test('totals follow a report within an epoch, and go on from there in the next', () => {
  const totals = new CounterTotals();
  assert.equal(totals.sums(), undefined);
  totals.take(report('a', 10, 2));
  totals.take(report('a', 30, 3));
  assert.deepEqual(matched(totals), counts(30, 3));
  totals.take(report('b', 5));
  assert.deepEqual(matched(totals), counts(35, 3));
  totals.take(report('b', 6, 1));
  assert.deepEqual(matched(totals), counts(36, 4));
  totals.take(report('c', 1, 1));
  assert.deepEqual(matched(totals), counts(37, 5));
  assert.deepEqual(totals.sums()?.deliveries[0]?.sent, count(32));
  assert.equal(totals.sums()?.unknownErspan, 37);
});

test('a capture that leaves the reports keeps its counts, and a capture that restarts from 0 does not fall', () => {
  const totals = new CounterTotals();
  totals.take(report('a', 10));
  totals.take({ ...report('a', 0), captures: [] });
  assert.deepEqual(matched(totals), counts(10));
  totals.take(report('a', 12));
  assert.deepEqual(matched(totals), counts(12));
  totals.take(report('a', 3));
  assert.deepEqual(matched(totals), counts(15));
});

test('a new life of a counter is added to the old count, also if the new count is already higher', () => {
  const lived = (life: number, packets: number): CounterReport => {
    const one = report('a', packets);
    return {
      ...one,
      captures: one.captures.map((capture) => ({ ...capture, life })),
      deliveries: one.deliveries.map((delivery) => ({ ...delivery, life })),
    };
  };
  const totals = new CounterTotals();
  totals.take(lived(7, 10));
  totals.take(lived(8, 12));
  totals.take(lived(8, 13));
  assert.deepEqual(matched(totals), counts(23));
  assert.deepEqual(totals.sums()?.deliveries[0]?.sent, count(23));
  const restored = CounterTotals.restore(JSON.parse(JSON.stringify(totals.save())));
  restored.take(lived(8, 14));
  assert.deepEqual(matched(restored), counts(24));
});

test('totals that are saved and restored go on, in the same epoch and in another', () => {
  const totals = new CounterTotals();
  totals.take(report('a', 10));
  totals.take(report('b', 5));
  const saved = JSON.stringify(totals.save());
  for (const [epoch, sum] of [
    ['b', 17],
    ['c', 22],
  ] as const) {
    const again = CounterTotals.restore(JSON.parse(saved));
    assert.deepEqual(matched(again), counts(15));
    again.take(report(epoch, 7));
    assert.deepEqual(matched(again), counts(sum));
  }
});

test('a reading of an agent is acknowledged when totals with it are on the disk, and one without a name never', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  await bench.declare('web-1/0', 'ids-1/0');
  const agents: TestAgent[] = [];
  for (const node of ['node-1', 'node-2']) {
    const agent = await bench.connect(await bench.credentials(node));
    agent.hello(node);
    agents.push(agent);
  }
  agents[0]!.inventory(vmDevice('web-1/0', 7));
  agents[1]!.inventory(vmDevice('ids-1/0', 8));
  const body = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };
  const { uid } = await bench.must('POST', '/api/v1/policies', body);
  await until('it is captured', () => agents[0]!.program?.captures.length === 1);
  const reading = { run: 'first', readAt: 12.5 };
  agents[0]!.send({ type: 'counters', reading, report: report('a', 10, 2, uid) });
  agents[1]!.send({ type: 'counters', report: report('a', 10, 2, uid) });
  await until('it is acknowledged', () => agents[0]!.countersSaved.length > 0, { limitMs: 3 * SAVE_INTERVAL_MS });
  assert.deepEqual(agents[0]!.countersSaved, [reading]);
  const saved = JSON.parse(readFileSync(path.join(bench.data, 'counters', 'node-1.json'), 'utf8'));
  assert.deepEqual(matched(CounterTotals.restore(saved.totals)), counts(10, 2));
  assert.deepEqual(agents[1]!.countersSaved, []);
});

test('counts of a deleted policy are forgotten', () => {
  const totals = new CounterTotals();
  totals.take(report('a', 10));
  totals.prune((uid) => uid !== 'u');
  assert.deepEqual(totals.sums()?.captures, []);
});

test('counters of an agent show in the status and the metrics of the policy, and outlive a restart', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  agent.inventory(vmDevice('web-1/0', 7), vmDevice('ids-1/0', 8));
  await until('both are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  const body = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };
  const { uid } = await bench.must('POST', '/api/v1/policies', body);
  const program = await until('it is captured', () => agent.program?.captures.length === 1 && agent.program);
  const captures = [{ capture: `${uid}/web-1/0`, device: 'tap7', state: 'capturing' as const }];
  agent.send({ type: 'status', appliedRevision: program.revision, captures, problems: [] });
  agent.send({ type: 'counters', report: report('a', 10, 2, uid) });
  const status = async () => (await bench.get('/api/v1/policies/p/status')).body;
  await until('it is counted', async () => (await status()).totals.matched.packets === 10);
  const now = await status();
  assert.deepEqual(now.totals.dropped, { noDelivery: count(2) });
  assert.notEqual(now.countersAt, null);
  const { text } = await bench.get('/metrics');
  const labels = 'policy="p",source="web-1/0",direction="inbound"';
  const packets = [...text.matchAll(/^mirrorplane_policy_packets_total\{.*\} (\d+)$/gm)];
  assert.equal(
    packets.reduce((sum, [, value]) => sum + Number(value), 0),
    10,
    'the sum over outcomes is what was matched',
  );
  assert.ok(text.includes(`mirrorplane_policy_bytes_total{${labels},outcome="dropped",reason="noDelivery"} 200\n`));

  await bench.restart();
  assert.equal((await status()).totals.matched.packets, 10);
  const again = await bench.connect(credentials);
  again.hello('node-1');
  again.send({ type: 'counters', report: report('b', 3, 0, uid) });
  await until('it goes on', async () => (await status()).totals.matched.packets === 13);
});
