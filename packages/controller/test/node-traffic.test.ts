/** Rates of devices over the last minute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CountersMessage, Hello } from '@mirrorplane/contract';
import type { CounterJudge } from '../src/reports/counted.ts';
import { LiveNodes } from '../src/reports/live-nodes.ts';
import { NodeTraffic } from '../src/reports/node-traffic.ts';

const START = 1_700_000_000_000;
const count = (packets: number) => ({ packets, bytes: packets * 100 });
const told = (ifindex: number, packets: number, unread?: number) => ({
  ifindex,
  inbound: count(packets),
  outbound: count(2 * packets),
  ...(unread !== undefined && { unread }),
});

/** More devices than any test uses. */
const PRESENT = Array.from({ length: 200 }, (_, ifindex) => ({ ifindex }));

function node(most = 100) {
  const room = { used: 0, most };
  const traffic = new NodeTraffic(room);
  return {
    traffic,
    room,
    /** A report at this second. */
    at: (second: number, ...devices: ReturnType<typeof told>[]) => {
      traffic.take({ devices }, START + 1000 * second, PRESENT);
    },
    rate: (ifindex: number, second: number, over?: number) => traffic.rate(ifindex, START + 1000 * second, over),
  };
}

test('is the mean of the last minute where that is known, and of what is known before', () => {
  const { at, rate } = node();
  at(0, told(5, 0));
  assert.equal(rate(5, 0), undefined, 'one report says nothing of a rate');
  for (let second = 2; second <= 300; second += 2) {
    at(second, told(5, 10 * second));
    const found = rate(5, second)!;
    assert.ok(Math.abs(found.inbound.packets - 10) < 1e-6, `${second}: ${found.inbound.packets}`);
    assert.ok(Math.abs(found.seconds - Math.min(60, second)) < 1e-6, `${second}: ${found.seconds}`);
  }
  assert.deepEqual(rate(5, 300)?.outbound.bytes, 2000);
});

test('a device that is not in a report has not changed', () => {
  const { at, rate } = node();
  at(0, told(5, 0));
  for (let second = 2; second <= 120; second += 2) {
    at(second);
  }
  assert.deepEqual(rate(5, 120)?.inbound, { packets: 0, bytes: 0 });
  // 600 packets within the last two seconds: none of them were before.
  at(122, told(5, 600));
  assert.ok(Math.abs(rate(5, 122)!.inbound.packets - 10) < 1e-6);
  assert.ok(Math.abs(rate(5, 122, 10)!.inbound.packets - 60) < 1e-6);
});

test('a rate is not known of a node that has not told for ten seconds', () => {
  const { at, rate } = node();
  at(0, told(5, 0));
  at(20, told(5, 100));
  assert.ok(rate(5, 29));
  assert.equal(rate(5, 31), undefined);
});

test('counts that went back are those of another device', () => {
  const { at, rate } = node();
  at(0, told(5, 1000));
  at(10, told(5, 2000));
  at(12, told(5, 3));
  assert.equal(rate(5, 12), undefined);
  at(14, told(5, 5));
  assert.equal(rate(5, 14)?.inbound.packets, 1);
});

test('says how much a guest did not read, where its device says it', () => {
  const { at, rate } = node();
  at(0, told(5, 0, 7), told(6, 0));
  at(10, told(5, 0, 27), told(6, 10));
  assert.deepEqual([rate(5, 10)?.unread, rate(6, 10)?.unread], [2, undefined]);
});

test('keeps no more devices than there is room for, and gives room back', () => {
  const { at, rate, room, traffic } = node(2);
  at(0, told(5, 0), told(6, 0), told(7, 0));
  at(2, told(5, 1), told(6, 1), told(7, 1));
  assert.deepEqual([rate(5, 2) !== undefined, rate(6, 2) !== undefined, rate(7, 2)], [true, true, undefined]);
  traffic.take({ devices: [] }, START + 4000, [{ ifindex: 6 }]);
  assert.equal(room.used, 1);
  traffic.close();
  assert.equal(room.used, 0);
});

test('a guest is slow with the first packets that it did not read, and for half a minute after the last ones', () => {
  const { at, traffic } = node();
  const slow = (second: number) => traffic.reading(5, START + 1000 * second)?.isSlow;
  let unread = 0;
  const seen: string[] = [];
  for (let second = 0; second <= 120; second += 2) {
    unread += second > 60 && second <= 80 ? 500 : 0;
    at(second, told(5, 100 * second, unread));
    const now = slow(second) === undefined ? 'unknown' : slow(second) ? 'slow' : 'fine';
    if (!seen.at(-1)?.startsWith(now)) {
      seen.push(`${now} ${second}`);
    }
  }
  assert.deepEqual(seen, ['unknown 0', 'fine 2', 'slow 62', 'fine 110']);
  assert.equal(traffic.reading(6, START), undefined);
  at(122, told(6, 1));
  at(124, told(6, 2));
  assert.equal(traffic.reading(6, START + 124_000), undefined, 'the device of a container does not say it');
});

for (const hours of [1, -1]) {
  test(`rates go on where the time of the host is set by ${hours} h`, () => {
    const time = { wall: START, steady: 5000 };
    const live = new LiveNodes(
      () => time.wall,
      () => time.steady,
    );
    live.hello({ type: 'hello', protocol: 1, node: 'n', agentVersion: '1' } as Hello);
    live.inventory('n', { type: 'inventory', devices: [{ ifindex: 5 } as never] }, undefined);
    const counts = { epoch: 'e', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
    for (let second = 0; second < 20; second++) {
      const reading = { run: 'r', readAt: START + 1000 * second };
      const message = { type: 'counters', reading, report: counts, traffic: { devices: [told(5, 10 * second)] } };
      live.counters.take('n', message as unknown as CountersMessage, {} as CounterJudge, true);
      time.steady += 1000;
      time.wall += 1000 + (second === 10 ? hours * 3_600_000 : 0);
    }
    const rate = live.get('n')!.traffic.rate(5, live.steady(), 5);
    assert.ok(Math.abs(rate!.inbound.packets - 10) < 1e-6, `${rate!.inbound.packets}`);
  });
}
