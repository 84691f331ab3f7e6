/**
 * Copies while packets are lost because CPU time is short. The data plane is the one in the kernel.
 * The test reports the losses to it, and does not cause them: a backlog that overflows belongs to
 * the whole machine, so other programs would lose packets.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { RtClient } from '../../src/netlink/rt-client.ts';
import { Throttle } from '../../src/throttle/throttle.ts';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { assertSumsClose, capturesOf, countsOf, localTo, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
let frame: Buffer;

before(() => {
  const udp = scapy({ frames: true }).frames.get('ipv4-udp')!;
  frame = Buffer.concat([udp, Buffer.alloc(1000 - udp.length)]);
});

/** Packets that a device has received, as ip counts them. */
function received(device: string): number {
  return JSON.parse(run('ip', '-json', '-s', 'link', 'show', 'dev', device))[0].stats64.rx.packets;
}

/** Sends frames until `done`, with a pause after every hundred. Returns their number. */
async function sendUntil(what: string, done: () => Promise<boolean>): Promise<number> {
  let sent = 0;
  await until(what, async () => {
    for (let i = 0; i < 100; i++) {
      world.guest.send(frame);
    }
    sent += 100;
    await delay(1);
    return done();
  });
  return sent;
}

test('copies give way while packets are lost, no original does, and the budget goes when the loss has ended', async () => {
  const { vm, dst } = world.devices;
  const { datapath } = world;
  const state = stateOf({
    captures: capturesOf(vm.ifindex, 'L', { source: 'busy' }),
    deliveries: [localTo(dst.ifindex)],
    protectCpu: true,
  });
  await datapath.apply(state);
  let losing = false;
  let lost = 0;
  const client = new RtClient();
  const lostSoFar = () => (losing ? ++lost : lost);
  const throttle = new Throttle({
    datapath,
    client,
    links: () => [],
    lost: lostSoFar,
    log: createLog('agent', 'warn'),
  });
  const counts = async () => countsOf(await datapath.counters(), 'outbound', 'busy');
  const refused = async () => (await counts()).dropped.overBudget?.packets ?? 0;
  const originalsBefore = received('farp');
  const copiesBefore = received('dstp');
  try {
    assert.equal((await datapath.nodeBudget()).rate, 0);
    throttle.start();
    let sent = await sendUntil('copies flow', async () => (await counts()).copied.packets >= 2000);
    assert.deepEqual([(await datapath.nodeBudget()).rate, await refused()], [0, 0], 'nothing is lost, nothing limited');

    losing = true;
    sent += await sendUntil('copies are refused', async () => throttle.cpuThrottled === true);
    const { rate } = await datapath.nodeBudget();
    assert.ok(rate > 0 && rate < 16e9, `the budget is ${rate}`);
    // Every pass of the agent applies the same program again. This does not change the budget.
    assert.equal((await datapath.apply(state)).written, 0);

    losing = false;
    await until('the budget is gone', async () => (await datapath.nodeBudget()).rate === 0);
    const over = await refused();
    sent += await sendUntil('copies flow again', async () => true);
    assert.equal(await refused(), over, 'nothing is refused any more');

    const report = await datapath.counters();
    assertSumsClose(report);
    const { matched, copied } = countsOf(report, 'outbound', 'busy');
    assert.ok(over > 0);
    assert.deepEqual([matched.packets, copied.packets], [sent, sent - over]);
    await until('all originals and copies are there', () => received('dstp') - copiesBefore >= copied.packets);
    assert.equal(received('farp') - originalsBefore, sent, 'no original is lost');
    assert.equal(received('dstp') - copiesBefore, copied.packets);
  } finally {
    await throttle.close();
    client.close();
  }
});

test('the budget outlives the agent, keeps to the limit of the operator, and goes with a state that does not want it', async () => {
  const { datapath } = world;
  const inForce = () =>
    JSON.stringify(
      JSON.parse(run('bpftool', '-j', 'map', 'lookup', 'pinned', pinOf('budget_rates'), 'key', '0', '0', '0', '0')),
    );
  const pinOf = (map: string) => run('find', world.bpffs, '-name', map).trim();
  await datapath.apply(stateOf({ protectCpu: true }));
  await datapath.setNodeBudget(500_000);
  const limited = inForce();
  datapath.close();
  await datapath.open();
  await datapath.apply(stateOf({ protectCpu: true }));
  assert.equal((await datapath.nodeBudget()).rate, 500_000);
  assert.equal(inForce(), limited);

  await datapath.apply(stateOf({ protectCpu: true, maxRate: 200_000 }));
  const lower = inForce();
  assert.notEqual(lower, limited);
  await datapath.setNodeBudget(900_000);
  assert.equal(inForce(), lower, 'the lower of both is in force');

  await datapath.apply(stateOf({}));
  assert.equal((await datapath.nodeBudget()).rate, 0);
  assert.notEqual(inForce(), lower);
});
