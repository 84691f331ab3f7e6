import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enterOwnNamespace, leftPins } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, createWorld, localTo, stateOf, type World } from './support/world.ts';

/** What a bucket holds at least, bytes (layout.ts). */
const BURST = 256 * 1024;
/** Bytes a second: 1 Mbit/s, so that next to nothing comes in while a burst is sent. */
const SLOW = 125_000;

let world: World;
let frame: Buffer;
let runs = 0;

before(async () => {
  enterOwnNamespace();
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  frame = Buffer.concat([frame, Buffer.alloc(1000 - frame.length)]);
  world = await createWorld();
});
after(async () => {
  await world?.close();
  assert.deepEqual(leftPins(), []);
});

/** Sends `count` frames under budgets; gives how many were copied, how many dropped as overBudget, and the milliseconds. */
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
    for (let i = 0; i < count; i++) world.guest.send(frame);
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

/** At most the bucket and what came in meanwhile; at least the bucket. */
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

test('the lower of two budgets counts, and what the node refuses is not taken from the policy', async () => {
  // Another rate than before: the bucket of a node begins anew, full.
  assertBudget(await burst(400, { policy: 1e9, node: SLOW + 1000 }), 400, SLOW + 1000);
  assertBudget(await burst(400, { policy: SLOW, node: 1e9 }), 400, SLOW);
});

test('without a budget, and within one, every packet is copied', async () => {
  for (const budgets of [{}, { policy: 1e9 }, { node: 1e9 }, { policy: 1e9, node: 1e9 }]) {
    const { copied, over } = await burst(400, budgets);
    assert.deepEqual([copied, over], [400, 0], JSON.stringify(budgets));
  }
});
