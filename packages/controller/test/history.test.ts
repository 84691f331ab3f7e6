/** Rates: made once, of what counters have grown within the same second; what is not known is a gap. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import type { History, PolicyPath } from '@mirrorplane/contract';
import { COARSE, FINE, SERIES_BYTES, Series } from '../src/history/series.ts';
import { type Room, Track } from '../src/history/track.ts';
import { GrownSlots } from '../src/reports/grown.ts';
import { Bench } from './harness.ts';
import { FRAME, Traffic } from './traffic.ts';

test('what has grown between two reports is spread over the seconds between them, and none of it is lost', () => {
  const slots = new GrownSlots();
  const grown = (packets: number) => new Map([['u', new Map([['copied', packets]])]]);
  const longestMs = 3000;
  slots.add(100_400, grown(1000), longestMs);
  slots.add(101_400, grown(100), longestMs);
  slots.add(102_900, grown(300), longestMs);
  slots.add(103_000, grown(10), longestMs);
  const copied = (second: number) => slots.at(second)?.grown.get('u')?.get('copied') ?? 0;
  // What was counted before the first report came at no time that is known.
  assert.ok(Math.abs(copied(100) - 60) < 1e-6);
  assert.ok(Math.abs(copied(101) - (40 + (300 * 600) / 1500)) < 1e-6);
  assert.ok(Math.abs(copied(100) + copied(101) + copied(102) - 410) < 1e-6);
  assert.deepEqual([slots.at(100)?.covered, slots.at(101)?.covered, slots.at(102)?.covered], [600, 1000, 1000]);
  slots.add(109_000, grown(500), longestMs);
  assert.equal(slots.at(105), undefined, 'nobody knows when it came');
});

test('reports that come every millisecond are joined, and nothing of them is lost', () => {
  const slots = new GrownSlots();
  const begin = 100_000;
  for (let at = begin; at <= begin + 16_000; at++) {
    slots.add(at, new Map([['u', new Map([['copied', 1]])]]), 3000);
  }
  assert.ok(slots.size <= 32, `${slots.size} are kept`);
  for (let second = 101; second < 116; second++) {
    assert.equal(slots.at(second)?.covered, 1000);
  }
  const all = Array.from(
    { length: 17 },
    (_, index) =>
      slots
        .at(100 + index)
        ?.grown.get('u')
        ?.get('copied') ?? 0,
  );
  const sum = all.reduce((a, b) => a + b, 0);
  // The oldest report may be forgotten with the second that it began in.
  assert.ok(sum > 14_900 && sum < 16_001, `${sum}`);
});

test('a series has 300 seconds and 360 steps of ten, gaps stay gaps, and old points go', () => {
  const series = new Series();
  const begin = 1_000_000;
  for (let second = begin; second < begin + 20; second++) {
    series.set(second, second === begin + 5 ? undefined : second - begin);
  }
  assert.equal(series.at(begin + 4, FINE), 4);
  assert.equal(series.at(begin + 5, FINE), null);
  assert.equal(series.at(begin + 20, FINE), null);
  assert.ok(Math.abs(series.at(begin, COARSE)! - 40 / 9) < 1e-5, 'the mean of what is known');
  series.set(begin + 40, 7);
  assert.equal(series.at(begin + 30, FINE), null);
  assert.equal(series.at(begin + 25, COARSE), null);
  series.set(begin + 310, 1);
  assert.equal(series.at(begin + 4, FINE), null, 'too old');
  assert.ok(series.at(begin, COARSE) !== null);
  assert.equal(series.at(begin + 310 - 299, FINE), 11);
  assert.equal(series.mean(begin + 38, begin + 42), 7);
  series.set(begin + 4000, 2);
  assert.equal(series.at(begin, COARSE), null);
  assert.equal(SERIES_BYTES, 2640);
});

test('a series that begins late was 0 where the track was known, and a track has a bound', () => {
  const room: Room = { used: 0, most: 3 };
  const track = new Track(room);
  track.set(100, new Map([['copied', 5]]));
  track.set(101, undefined);
  track.set(
    102,
    new Map([
      ['copied', 6],
      ['lost', 2],
    ]),
  );
  assert.deepEqual(
    [100, 101, 102].map((second) => track.get('lost').at(second, FINE)),
    [0, null, 2],
  );
  track.set(103, new Map([['dropped feedback', 1]]));
  assert.deepEqual([track.cut, room.used], [true, 3]);
  assert.equal(track.get('copied').at(103, FINE), 0);
  track.close();
  assert.equal(room.used, 0);
});

test('rates of a policy, a path, a node and a destination are those of the traffic', { timeout: 60_000 }, async (t) => {
  const bench = await Bench.start(t);
  const traffic = await Traffic.start(t, bench, { matched: 400, throttled: 100 });
  const summary = async () => (await bench.get('/api/v1/policies?view=summary')).body.items[0];
  assert.deepEqual([(await summary()).health.state, (await summary()).rates.copied], ['unknown', null]);
  const near = (rate: number | null | undefined, wanted: number) => Math.abs((rate ?? 0) - wanted) <= wanted / 10;
  await until(
    'the rate is that of the traffic',
    async () => near((await summary()).rates.copied?.packetsPerSecond, 300),
    {
      limitMs: 20_000,
    },
  );
  await until('five seconds are known', async () => near((await summary()).rates.dropped, 100), { limitMs: 20_000 });
  const { rates, health, sparkline } = await summary();
  assert.ok(near(rates.copied.bitsPerSecond, 300 * 8 * FRAME), JSON.stringify(rates));
  assert.ok(near(rates.delivered.packetsPerSecond, 300), JSON.stringify(rates));
  assert.deepEqual([rates.lost, health.state, sparkline.length], [0, 'throttled', 60]);

  const read = async (url: string): Promise<History> => (await bench.get(`/api/v1/${url}`)).body;
  const { series, stepMs } = await read('policies/p/history');
  assert.equal(stepMs, 1000);
  const last = (points: (number | null)[] | undefined) => points?.findLast((value) => value !== null);
  assert.equal(series.copiedPackets!.length, 300);
  assert.equal(series.copiedPackets![0], null, 'nothing was known then');
  assert.ok(near(last(series.copiedPackets), 300));
  assert.ok(near(last(series.dropped!.overBudget), 100));
  const [path] = series.paths!;
  assert.deepEqual([path!.from, path!.to], ['node-1', 'node-2']);
  assert.ok(near(last(path!.sentBits), 300 * 8 * FRAME), 'without the outer headers');
  assert.ok(near(last(path!.arrivedBits), 300 * 8 * FRAME));
  assert.ok(near(last((await read('nodes/node-2/history')).series.deliveredPackets), 300));
  assert.ok(near(last((await read('nodes/node-1/history')).series.sentPackets), 300));
  assert.ok(near(last((await read('interfaces/ids-1%2F0/history')).series.deliveredBits), 300 * 8 * FRAME));
  const coarse = await read('policies/p/history?resolution=10s');
  assert.deepEqual([coarse.stepMs, coarse.series.copiedPackets!.length], [10_000, 360]);
  const from = new Date(Date.now() - 20_000).toISOString();
  assert.ok((await read(`policies/p/history?from=${from}`)).series.lost!.length < 22);
  const way: PolicyPath = (await bench.get('/api/v1/policies/p/path')).body;
  assert.ok(near(way.hops[0]!.rates.arrived?.packetsPerSecond, 300));
  assert.deepEqual(
    way.nodes.map(({ name, isEnd, sourceCount }) => [name, isEnd, sourceCount]),
    [
      ['node-1', false, 1],
      ['node-2', true, 0],
    ],
  );
  const sourceRate = async () => (await bench.get('/api/v1/policies/p/sources')).body.items[0].rate?.packetsPerSecond;
  await until('the rate of the source is known', async () => near(await sourceRate(), 300), { limitMs: 20_000 });
  const [destination] = (await bench.get('/api/v1/destinations')).body.items;
  assert.deepEqual([destination.id, destination.policies], ['ids-1/0', ['p']]);
  assert.ok(near(destination.rates.delivered.packetsPerSecond, 300));

  traffic.pace = { matched: 300, lost: 60 };
  await until('the loss is seen', async () => near((await summary()).rates.lost, 60), { limitMs: 20_000 });
  assert.equal((await summary()).health.state, 'losing');
  assert.equal((await bench.get('/api/v1/policies?view=summary&filter=health:losing')).body.total, 1);
  traffic.agents[0]!.close();
  await until('a node that is away makes a gap', async () => (await summary()).rates.copied === null, {
    limitMs: 20_000,
  });
  assert.equal((await read('policies/p/history')).series.copiedPackets!.at(-1), null);
  assert.equal((await bench.get('/api/v1/policies/none/history')).status, 404);
  assert.equal((await bench.get('/api/v1/policies/p/history?from=now')).status, 400);
});

test('who sees an interface is told, also of policies that are gone', { timeout: 60_000 }, async (t) => {
  const bench = await Bench.start(t);
  const traffic = await Traffic.start(t, bench, { matched: 1 });
  const { uid } = (await bench.get('/api/v1/policies/p')).body;
  const event = (seq: number, kind: 'captureAttached' | 'captureDetached') =>
    traffic.agents[0]!.send({
      type: 'events',
      epoch: 'e',
      events: [
        {
          seq,
          at: new Date().toISOString(),
          kind,
          cause: 'controller',
          message: kind,
          interface: 'web-1/0',
          policy: uid,
        },
      ],
    });
  const viewers = async () => (await bench.get('/api/v1/interfaces/web-1%2F0/viewers')).body.items;
  event(1, 'captureAttached');
  await until('the capture is known', async () => (await viewers())[0]?.captures.length === 1);
  const [now] = await viewers();
  assert.deepEqual(
    [now.policy, now.isNow, now.createdBy, now.destination.id, now.captures[0].node],
    ['p', true, 'admin', 'ids-1/0', 'node-1'],
  );
  await bench.must('DELETE', '/api/v1/policies/p');
  event(2, 'captureDetached');
  await until('its end is known', async () => (await viewers())[0]?.captures[0]?.until !== undefined);
  const [then] = await viewers();
  assert.deepEqual([then.policy, then.isNow, then.createdBy, then.enabled], ['p', false, 'admin', undefined]);
  assert.equal(then.destination.id, 'ids-1/0', 'who got the copies is known of a policy that is gone, too');
  assert.ok(then.captures[0].from <= then.captures[0].until);
  assert.deepEqual((await bench.get('/api/v1/interfaces/ids-1%2F0/viewers')).body.items, []);
  assert.equal((await bench.get('/api/v1/interfaces/none/viewers')).status, 404);
});

test('who saw an interface is known also where its policy has other sources or another destination now', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b', 'ids', 'mon');
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['a', 'b'], destination: 'ids' });
  const viewers = async (id: string) => {
    const { items } = (await bench.get(`/api/v1/interfaces/${id}/viewers`)).body;
    return items.map((one: { policy: string; isNow: boolean; destination: { id: string } }) => [
      ...[one.policy, one.isNow, one.destination.id],
    ]);
  };
  await bench.must('PATCH', '/api/v1/policies/p', { sources: ['b'] });
  assert.deepEqual(await viewers('a'), [['p', false, 'ids']]);
  assert.deepEqual(await viewers('b'), [['p', true, 'ids']]);
  await bench.must('PATCH', '/api/v1/policies/p', { destination: 'mon' });
  await bench.must('PATCH', '/api/v1/policies/p', { percent: 5 });
  assert.deepEqual(await viewers('a'), [['p', false, 'ids']], 'copies of a never went to mon');
  const was = (await bench.get('/api/v1/events?kind=policyChanged')).body.items.map(({ was }: { was?: object }) => was);
  assert.deepEqual(was, [{ destination: 'ids', sources: ['a'] }, { destination: 'ids', sources: ['b'] }, undefined]);
  await bench.must('DELETE', '/api/v1/policies/p');
  assert.deepEqual(await viewers('b'), [['p', false, 'mon']]);
});
