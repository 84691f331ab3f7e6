/** Budgets of policies, of a node and of a device: copies beyond them are dropped and counted. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DeliveryEntry } from '../../src/datapath/datapath.ts';
import { CPUS, runOn } from './support/cpus.ts';
import { run, type Veth } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import {
  assertSumsClose,
  capturesOf,
  countsOf,
  edgeTo,
  erspanOver,
  localTo,
  stateOf,
  useWorld,
} from './support/world.ts';

/** Smallest size of a bucket, bytes (layout.ts). */
const BURST = 256 * 1024;
/** Smallest size of the bucket of a device, bytes. */
const DEVICE_BURST = 16 * 1024;
/** Bytes a second: 1 Mbit/s, so that the bucket gets almost nothing while a burst is sent. */
const SLOW = 125_000;
/** The same for a test of some seconds. */
const VERY_SLOW = 1000;

const world = await useWorld();
let frame: Buffer;
let runs = 0;

before(() => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  frame = Buffer.concat([frame, Buffer.alloc(1000 - frame.length)]);
});

/**
 * Sends `count` frames under budgets. Returns the number of copies, of drops as overBudget, and the
 * milliseconds.
 */
async function burst(count: number, budgets: { policy?: number; node?: number }) {
  const source = `budget-${++runs}`;
  const { vm, dst } = world.devices;
  const delivery = { ...localTo(dst.ifindex), id: `L-${source}` };
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(vm.ifindex, delivery.id, { source }),
      deliveries: [{ ...delivery, ...(budgets.policy !== undefined && { maxRate: budgets.policy }) }],
      ...(budgets.node !== undefined && { maxRate: budgets.node }),
    }),
  );
  const start = performance.now();
  const originals = await Sniffer.start('farp', { longest: 2000 });
  try {
    for (let i = 0; i < count; i++) {
      world.guest.send(frame);
    }
    assert.equal((await originals.expect(count)).length, count, 'no original is lost');
  } finally {
    originals.close();
  }
  const ms = performance.now() - start;
  const report = await world.datapath.counters();
  assertSumsClose(report);
  const { matched, copied, dropped } = countsOf(report, 'outbound', source);
  assert.equal(matched.packets, count);
  return { copied: copied.packets, over: dropped.overBudget?.packets ?? 0, ms };
}

/** The copies are at least the bucket, and at most the bucket and its refill in that time. */
function assertBudget({ copied, over, ms }: Awaited<ReturnType<typeof burst>>, count: number, rate: number): void {
  const least = Math.floor(BURST / frame.length);
  const most = least + Math.ceil((rate * ms) / 1000 / frame.length) + 1;
  assert.ok(copied >= least && copied <= most, `${copied} copies, and not ${least} to ${most}`);
  assert.equal(copied + over, count);
}

test('copies beyond the budget of a policy are dropped as overBudget, and no original', async () => {
  assertBudget(await burst(400, { policy: SLOW }), 400, SLOW);
});

test('copies beyond the budget of the node are dropped as overBudget', async () => {
  assertBudget(await burst(400, { node: SLOW }), 400, SLOW);
});

test('the lower of two budgets counts, and copies refused by the node do not use up the budget of the policy', async () => {
  await burst(1, { node: 1e9 }); // fills the bucket of the node
  assertBudget(await burst(400, { policy: 1e9, node: SLOW + 1000 }), 400, SLOW + 1000);
  assertBudget(await burst(400, { policy: SLOW, node: 1e9 }), 400, SLOW);
});

test('a new rate neither fills nor empties the bucket, also if the rate changes often', async () => {
  await burst(1, { node: 1e9 });
  const start = performance.now();
  let copied = 0;
  for (let i = 0; i < 10; i++) {
    copied += (await burst(60, { node: SLOW + i })).copied;
  }
  const ms = performance.now() - start;
  const most = Math.ceil((BURST + ((SLOW + 10) * ms) / 1000) / frame.length) + 1;
  const least = Math.floor(BURST / frame.length);
  assert.ok(copied >= least && copied <= most, `${copied} copies in ${ms} ms, and not ${least} to ${most}`);
});

test('all CPUs together have one budget, and none of them keeps much of it', async (t) => {
  const [one, other] = CPUS;
  if (one === undefined || other === undefined) {
    t.skip('SKIPPED: there is one CPU');
    return;
  }
  const { vm, dst } = world.devices;
  const small = scapy({ frames: true }).frames.get('ipv4-udp')!;
  const delivery = { ...localTo(dst.ifindex), id: 'L-cpus', maxRate: VERY_SLOW };
  const captures = capturesOf(vm.ifindex, delivery.id, { source: 'cpus' });
  await world.datapath.apply(stateOf({ captures, deliveries: [delivery] }));
  const start = performance.now();
  const turns = 120;
  const each = Math.ceil((1.5 * BURST) / small.length / turns);
  try {
    for (let turn = 0; turn < turns; turn++) {
      runOn([turn % 2 ? one : other]);
      for (let i = 0; i < each; i++) {
        world.guest.send(small);
      }
    }
  } finally {
    runOn(CPUS);
  }
  const ms = performance.now() - start;
  const report = await world.datapath.counters();
  assertSumsClose(report);
  const { matched, copied, dropped } = countsOf(report, 'outbound', 'cpus');
  const most = Math.ceil((BURST + (VERY_SLOW * ms) / 1000) / small.length) + 1;
  const least = Math.floor((BURST - (CPUS.length - 1) * (BURST / 256)) / small.length);
  assert.equal(matched.packets, turns * each);
  assert.ok(copied.packets >= least && copied.packets <= most, `${copied.packets} copies, and not ${least} to ${most}`);
  assert.equal(copied.packets + dropped.overBudget!.packets, turns * each);
});

test('copies beyond the budget of the device that they leave by are dropped as overBudget, and local ones are not', async () => {
  const { vm, und, dst } = world.devices;
  const state = (delivery: DeliveryEntry, source: string) =>
    stateOf({ captures: capturesOf(vm.ifindex, delivery.id, { source }), deliveries: [delivery], protect: true });
  const send = async (count: number) => {
    const originals = await Sniffer.start('farp', { longest: 2000 });
    try {
      for (let i = 0; i < count; i++) {
        world.guest.send(frame);
      }
      assert.equal((await originals.expect(count)).length, count, 'no original is lost');
    } finally {
      originals.close();
    }
    const report = await world.datapath.counters();
    assertSumsClose(report);
    return report;
  };
  await world.datapath.apply(state(erspanOver(world), 'leaves'));
  await world.datapath.setDeviceBudgets(new Map([[und.ifindex, SLOW]]));
  assert.equal(world.datapath.haveBudgetsMoved(), true, 'the device is a new one');
  assert.equal(world.datapath.haveBudgetsMoved(), false, 'nothing has left by it');
  const start = performance.now();
  const { copied, dropped } = countsOf(await send(400), 'outbound', 'leaves');
  const ms = performance.now() - start;
  const onWire = frame.length + 50 + 24;
  const least = Math.floor(DEVICE_BURST / onWire);
  const most = least + Math.ceil((SLOW * ms) / 1000 / onWire) + 1;
  assert.ok(copied.packets >= least && copied.packets <= most, `${copied.packets} copies, and not ${least} to ${most}`);
  assert.equal(copied.packets + dropped.overBudget!.packets, 400);
  assert.deepEqual(await world.datapath.deviceBudgets(), [
    { ifindex: und.ifindex, rate: SLOW, passed: copied.packets * onWire, refused: dropped.overBudget!.packets },
  ]);

  assert.deepEqual([world.datapath.haveBudgetsMoved(), world.datapath.haveBudgetsMoved()], [true, false]);
  await send(1);
  assert.equal(world.datapath.haveBudgetsMoved(), true, 'one copy, or one that was refused');

  // The budget stays in force without the agent.
  world.datapath.close();
  await world.datapath.open();
  await world.datapath.apply(state(erspanOver(world), 'leaves'));
  assert.equal((await world.datapath.deviceBudgets())[0]!.rate, SLOW);

  await world.datapath.apply(state({ ...localTo(dst.ifindex), id: 'L-stays' }, 'stays'));
  assert.equal(countsOf(await send(400), 'outbound', 'stays').copied.packets, 400);
  assert.deepEqual(await world.datapath.deviceBudgets(), []);
  assert.deepEqual([world.datapath.haveBudgetsMoved(), world.datapath.haveBudgetsMoved()], [true, false]);
});

/**
 * Puts 50 copies and then a frame of the node itself into a slow queue with priorities. Returns the
 * place at which the frame comes out.
 */
async function placeOfHostFrame(delivery: DeliveryEntry, device: Veth): Promise<number> {
  run(
    'tc',
    'qdisc',
    'add',
    'dev',
    device.name,
    'root',
    'handle',
    '1:',
    ...'tbf rate 400kbit burst 2k limit 1mb'.split(' '),
  );
  run('tc', 'qdisc', 'add', 'dev', device.name, 'parent', '1:1', 'handle', '10:', 'pfifo_fast');
  const hostFrame = Buffer.from(frame);
  hostFrame.fill(0xee, 60);
  const socket = new RawSocket(device.name);
  const arrived = await Sniffer.start(device.peer, { longest: 2000 });
  try {
    await world.datapath.apply(
      stateOf({ captures: capturesOf(world.devices.vm.ifindex, delivery.id), deliveries: [delivery] }),
    );
    for (let i = 0; i < 50; i++) {
      world.guest.send(frame);
    }
    socket.send(hostFrame);
    return await until('the frame of the node', () => {
      const place = arrived.frames().findIndex((found) => found.equals(hostFrame));
      return place < 0 ? undefined : { place };
    }).then(({ place }) => place);
  } finally {
    arrived.close();
    socket.close();
    run('tc', 'qdisc', 'del', 'dev', device.name, 'root');
  }
}

test('what the node itself sends overtakes copies that wait to leave, and none that wait for a local destination', async () => {
  const { und, dst } = world.devices;
  for (const delivery of [erspanOver(world, { id: 'E-first' }), edgeTo(und.ifindex, { id: 'V-first' })]) {
    const place = await placeOfHostFrame(delivery, und);
    assert.ok(place < 40, `${delivery.kind}: the frame came out after ${place} of 50 copies`);
  }
  assert.equal(await placeOfHostFrame({ ...localTo(dst.ifindex), id: 'L-first' }, dst), 50);
});

test('without a budget, and within one, every packet is copied', async () => {
  for (const budgets of [{}, { policy: 1e9 }, { node: 1e9 }, { policy: 1e9, node: 1e9 }]) {
    const { copied, over } = await burst(400, budgets);
    assert.deepEqual([copied, over], [400, 0], JSON.stringify(budgets));
  }
});
