/** Packets that a move of a guest has missed, or captured twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Capture, GuestState } from '@mirrorplane/contract';
import type { HookCapture } from '../src/datapath/datapath.ts';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { identify } from '../src/discovery/devices.ts';
import { HandoverCounter, handoverKey } from '../src/migration/handover-counter.ts';
import { hookOf } from '../src/reconcile/reconcile.ts';
import type { PlacedCapture } from '../src/reconcile/surroundings.ts';
import { link } from './support.ts';

const CAPTURE: Capture = {
  ...{ id: 'p/web-1/0', policy: 'p', source: 'web-1/0', kind: 'vm', sourceSlot: 0 },
  ...{ direction: 'all', percent: 100, delivery: 'd' },
};
const KEY = handoverKey(CAPTURE.id, 5);

const hooks: HookCapture[] = (['inbound', 'outbound'] as const).map((direction) => ({
  ...{ id: `${CAPTURE.id}/${direction}`, policy: 'p', source: 'web-1/0', direction, ifindex: 5 },
  ...{ hook: hookOf('vm', direction), threshold: 2 ** 32, skipVlanId: 0, sourceSlot: 0, delivery: 'd' },
}));

const VETH = { linkType: 'veth' };

interface Placing {
  linkType?: string;
  expected?: boolean;
}

function placed(guest?: GuestState, { linkType = 'tun', expected = false }: Placing = {}): PlacedCapture[] {
  const [found] = identify([link('tap5', 5, { linkType, alias: 'mirrorplane:kind=vm;id=web-1/0' })], []).devices;
  const device = { ...found!, ...(guest && { guest }), ...(expected && { expected }) };
  return [{ capture: CAPTURE, device, hooks: hooks.map(({ id }) => id) }];
}

/**
 * A data path in memory with captures whose counts a test sets, and a device with some packets in
 * its statistics.
 */
async function scene(carried = { received: 0, sent: 0, sentBytes: 0 }) {
  const datapath = new FakeDatapath();
  await datapath.open();
  const counter = new HandoverCounter({ datapath, statistics: async () => carried });
  const pass = async (items: PlacedCapture[], work: () => void = () => undefined) => {
    const counted = counter.before(items, items.length > 0 ? hooks : []);
    work();
    return counted();
  };
  return { datapath, pass, carried };
}

test('packets that a device had carried before its capture was in force are missed, those that it looked at are not', async () => {
  const { datapath, pass, carried } = await scene();
  await pass([]);
  const { missed } = await pass(placed(), () => {
    Object.assign(carried, { received: 7, sent: 5 });
    datapath.count(`${CAPTURE.id}/outbound`, 4);
    datapath.count(`${CAPTURE.id}/inbound`, 5);
  });
  assert.deepEqual([...missed], [[KEY, 3]]);
});

test('counts of the captures on an earlier device are not part of the sum', async () => {
  const { datapath, pass, carried } = await scene();
  datapath.count(`${CAPTURE.id}/outbound`, 100);
  await pass([]);
  const { missed } = await pass(placed(), () => {
    Object.assign(carried, { received: 2, sent: 0 });
    datapath.count(`${CAPTURE.id}/outbound`, 102);
  });
  assert.deepEqual([...missed], [[KEY, 0]]);
});

test('captures that were taken over report nothing, and no capture reports twice', async () => {
  const { pass } = await scene({ received: 9, sent: 9, sentBytes: 900 });
  assert.deepEqual([...(await pass(placed())).missed], []);
  assert.deepEqual([...(await pass(placed())).missed], []);
});

test('packets captured towards a guest that has left count as duplicated when its device disappears', async () => {
  const { datapath, pass } = await scene();
  datapath.count(`${CAPTURE.id}/inbound`, 10);
  await pass(placed());
  datapath.count(`${CAPTURE.id}/inbound`, 11);
  await pass(placed('absent'));
  datapath.count(`${CAPTURE.id}/inbound`, 12);
  await pass(placed('absent'));
  const { duplicated } = await pass([]);
  assert.deepEqual([...duplicated], [[KEY, 1]]);
});

test('counters that have begun again make no negative number, which no controller would take', async () => {
  const { datapath, pass } = await scene();
  datapath.count(`${CAPTURE.id}/inbound`, 10);
  await pass(placed('absent'));
  datapath.count(`${CAPTURE.id}/inbound`, 0);
  assert.deepEqual([...(await pass([])).duplicated], [[KEY, 0]]);
  datapath.count(`${CAPTURE.id}/inbound`, 10);
  await pass(placed('absent', { ...VETH, expected: true }));
  datapath.count(`${CAPTURE.id}/inbound`, 0);
  assert.deepEqual((await pass([])).overlaps, [{ capture: CAPTURE, packets: 0 }]);
});

test('a guest that came back before its device went has nothing duplicated', async () => {
  const { datapath, pass } = await scene();
  await pass(placed('absent'));
  await pass(placed());
  datapath.count(`${CAPTURE.id}/inbound`, 4);
  assert.deepEqual([...(await pass([])).duplicated], []);
});

test('of a cable that has gone nothing is duplicated, of a tap it is not known', async () => {
  for (const [linkType, duplicated] of [
    ['veth', [[KEY, 0]]],
    ['tun', []],
  ] as const) {
    const { datapath, pass } = await scene();
    await pass(placed(undefined, { linkType }));
    datapath.count(`${CAPTURE.id}/inbound`, 4);
    assert.deepEqual([...(await pass([])).duplicated], duplicated, linkType);
  }
});

test('a cable that goes while the data path is changed is counted in the pass that tells of it', async () => {
  const { datapath } = await scene();
  const counter = new HandoverCounter({ datapath, statistics: async () => undefined });
  await counter.before(placed(undefined, VETH), hooks)();
  const refused = hooks.map(({ id }) => ({ id, ifindex: 5, gone: true, code: 'ATTACH_FAILED', message: '' }) as const);
  const { duplicated } = await counter.before(placed(undefined, VETH), hooks)(refused);
  assert.deepEqual([...duplicated], [[KEY, 0]]);
});

const overlapEnds: [how: string, next: PlacedCapture[]][] = [
  ['the guest is seen', placed('running', VETH)],
  ['the other node has let go', placed(undefined, VETH)],
  ['the device goes', []],
];
for (const [how, next] of overlapEnds) {
  test(`packets on a cable to an expected guest count as possibly captured twice, until ${how}`, async () => {
    const { datapath, pass } = await scene();
    datapath.count(`${CAPTURE.id}/inbound`, 100);
    await pass([]);
    const expected = placed('absent', { ...VETH, expected: true });
    assert.deepEqual((await pass(expected)).overlaps, []);
    datapath.count(`${CAPTURE.id}/inbound`, 103);
    assert.deepEqual((await pass(expected)).overlaps, []);
    assert.deepEqual((await pass(next)).overlaps, [{ capture: CAPTURE, packets: 3 }]);
    assert.deepEqual((await pass(next)).overlaps, []);
  });
}

test('a tap of an expected guest takes no packets, so none counts as captured twice', async () => {
  const { pass } = await scene();
  await pass(placed('absent', { expected: true }));
  assert.deepEqual((await pass(placed('running'))).overlaps, []);
});
