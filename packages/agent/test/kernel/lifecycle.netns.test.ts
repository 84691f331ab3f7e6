/** A data path that is applied, left, taken over and uninstalled. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { until } from '@mirrorplane/base';
import type { Datapath, DatapathState } from '../../src/datapath/datapath.ts';
import { SETTLE_MS } from '../../src/datapath/kernel/counted-names.ts';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { HOOK, takeOff } from './support/hook.ts';
import { addVeth, run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  edgeTo,
  erspanFrom,
  erspanOver,
  localTo,
  stateOf,
  useWorld,
} from './support/world.ts';

const world = await useWorld();
let datapath: Datapath;
let frame: Buffer;
let runs = 0;

before(() => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  datapath = world.datapath;
});
after(() => {
  datapath?.close();
});

/** A state that uses everything, under new names. */
function everything(): DatapathState & { source: string } {
  const { vm, dst, by, und } = world.devices;
  const source = `run-${++runs}`;
  return {
    source,
    captures: [...capturesOf(vm.ifindex, 'L', { source }), ...capturesOf(by.ifindex, 'E', { source: `${source}-by` })],
    deliveries: [localTo(dst.ifindex), erspanOver(world), edgeTo(dst.ifindex)],
    terminations: [erspanFrom('V', { id: `T-${source}` })],
    mirrorDevice: und.ifindex,
  };
}

/** Sends one frame from the VM, and waits until its copies have arrived. */
async function pass(...more: string[]): Promise<void> {
  await sniffing(['farp', ...more], async (sniffers) => {
    world.guest.send(frame);
    for (const sniffer of sniffers) {
      assertSameFrames(await sniffer.expect(1), [frame], 'frames');
    }
  });
}

const NOTHING_DONE = {
  refused: [],
  problems: [],
  begun: [],
  attached: 0,
  detached: 0,
  written: 0,
  repaired: [],
  held: [],
  unseen: [],
};

test('applying the same state again writes, attaches and detaches nothing', async () => {
  const state = everything();
  const first = await datapath.apply(state);
  assert.deepEqual([first.refused, first.attached > 4, first.written > 7], [[], true, true]);
  assert.deepEqual(await datapath.apply(state), NOTHING_DONE);
});

test('copies without an agent, and the next agent takes over counters and links', async () => {
  const state = everything();
  await datapath.apply(state);
  await pass('dstp');
  const { epoch } = await datapath.counters();
  datapath.close();
  await pass('dstp');
  datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs });
  await datapath.open();
  assert.deepEqual(await datapath.apply(state), NOTHING_DONE);
  await pass('dstp');
  const report = await datapath.counters();
  assert.equal(report.epoch, epoch);
  assert.deepEqual(countsOf(report, 'outbound', state.source).copied, countOf([frame, frame, frame]));
  assertSumsClose(report);
});

test('a source removed at the kill of the agent, and added again under the next agent, continues its counts', async () => {
  const state = everything();
  await datapath.apply(state);
  await pass('dstp');
  // The counters have not been read since then, because the agent is killed.
  await datapath.apply(stateOf({}));
  datapath.close();
  datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs });
  await datapath.open();
  await datapath.apply(stateOf({}));
  await datapath.apply(state);
  await pass('dstp');
  const report = await datapath.counters();
  assert.deepEqual(countsOf(report, 'outbound', state.source).copied, countOf([frame, frame]));
  assertSumsClose(report);
});

test('counters of removed entries are reported by the next agent after a kill, until they are saved', async () => {
  const state = everything();
  await datapath.apply(state);
  await pass('dstp');
  await datapath.apply(stateOf({}));
  for (let kill = 0; kill < 2; kill++) {
    datapath.close();
    datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs });
    await datapath.open();
    await datapath.apply(stateOf({}));
    // A reading from before the removal does not have the last counts.
    datapath.countersSaved(0);
    await datapath.apply(stateOf({}));
    const report = await datapath.counters();
    assert.deepEqual(countsOf(report, 'outbound', state.source).copied, countOf([frame]));
    assert.deepEqual(report.deliveries.find(({ delivery }) => delivery === 'L')?.policy, 'p');
    assert.ok(
      report.terminations.some(({ termination, node }) => termination === `T-${state.source}` && node === 'other'),
    );
    assertSumsClose(report);
  }
  datapath.countersSaved(performance.now() + 2 * SETTLE_MS);
  await datapath.apply(stateOf({}));
  const { captures, deliveries, terminations } = await datapath.counters();
  assert.deepEqual([captures, deliveries, terminations], [[], [], []]);
});

test('a copy into a device that is a source itself is not copied again', async () => {
  const { vm, dst, by } = world.devices;
  const source = `run-${++runs}`;
  await datapath.apply(
    stateOf({
      captures: [
        ...capturesOf(vm.ifindex, 'L', { source }),
        ...capturesOf(dst.ifindex, 'B', { source: `${source}-dst` }),
      ],
      deliveries: [localTo(dst.ifindex), localTo(by.ifindex, { id: 'B' })],
    }),
  );
  await sniffing(['byp'], async ([again]) => {
    await pass('dstp');
    assert.deepEqual(again.frames(), []);
  });
  const report = await datapath.counters();
  const counts = countsOf(report, 'inbound', `${source}-dst`);
  assert.deepEqual(counts.skipped, { isCopy: countOf([frame]) });
  assert.equal(counts.matched.packets, 0);
  assert.equal(countsOf(report, 'outbound', source).copied.packets, 1);
});

test('copies that leave by a device that is a source itself are not copied again', async () => {
  const { vm, by, und, dst } = world.devices;
  for (const [device, delivery] of [
    [und, erspanOver(world)],
    [dst, edgeTo(dst.ifindex)],
  ] as const) {
    const source = `run-${++runs}`;
    await datapath.apply(
      stateOf({
        captures: [
          ...capturesOf(vm.ifindex, delivery.id, { source }),
          ...capturesOf(device.ifindex, 'B', { source: `${source}-out` }),
        ],
        deliveries: [delivery, localTo(by.ifindex, { id: 'B' })],
      }),
    );
    await sniffing(['byp', device.peer], async ([again, copies]) => {
      world.guest.send(frame);
      await copies.expect(1);
      assert.deepEqual(again.frames(), []);
    });
    const counts = countsOf(await datapath.counters(), 'inbound', `${source}-out`);
    assert.equal(counts.skipped.isCopy?.packets, 1);
    assert.equal(counts.matched.packets, 0);
  }
});

test('two sources on the way of one packet both copy it', async () => {
  const { vm, far, dst, by } = world.devices;
  const source = `run-${++runs}`;
  await datapath.apply(
    stateOf({
      captures: [
        ...capturesOf(vm.ifindex, 'L', { source }),
        ...capturesOf(far.ifindex, 'B', { source: `${source}-far` }),
      ],
      deliveries: [localTo(dst.ifindex), localTo(by.ifindex, { id: 'B' })],
    }),
  );
  await pass('dstp', 'byp');
  const report = await datapath.counters();
  assert.equal(countsOf(report, 'outbound', source).copied.packets, 1);
  assert.equal(countsOf(report, 'inbound', `${source}-far`).copied.packets, 1);
});

test('a destination that is down or gone before anybody says so is counted as destinationDown', async () => {
  const gone = addVeth('gone');
  const { vm } = world.devices;
  const source = `run-${++runs}`;
  const state = stateOf({
    captures: capturesOf(vm.ifindex, 'G', { source }),
    deliveries: [localTo(gone.ifindex, { id: 'G' })],
  });
  await datapath.apply(state);
  await pass('gonep');
  run('ip', 'link', 'set', 'gone', 'down');
  await pass();
  run('ip', 'link', 'del', 'gone');
  await pass();
  await datapath.apply({ ...state, deliveries: [localTo(0, { id: 'G' })] });
  await pass();
  const report = await datapath.counters();
  const counts = countsOf(report, 'outbound', source);
  assert.deepEqual(counts.dropped, { destinationDown: countOf([frame, frame, frame]) });
  assert.deepEqual(counts.copied, countOf([frame]));
  assertSumsClose(report);
});

test('a source that comes back with another ifindex is attached again, and its counters go on', async () => {
  const source = `run-${++runs}`;
  const { dst } = world.devices;
  const state = (ifindex: number) =>
    stateOf({ captures: capturesOf(ifindex, 'L', { source }), deliveries: [localTo(dst.ifindex)] });
  const send = async () => {
    const socket = new RawSocket('movep');
    await sniffing(['dstp'], async ([copies]) => {
      socket.send(frame);
      await copies.expect(1);
    });
    socket.close();
  };
  const first = addVeth('move');
  await datapath.apply(state(first.ifindex));
  await send();
  run('ip', 'link', 'del', 'move');
  await datapath.apply(state(0));
  const resting = countsOf(await datapath.counters(), 'outbound', source);
  assert.deepEqual(resting.copied, countOf([frame]));
  assert.equal((await datapath.apply(state(0))).written, 0);
  const second = addVeth('move');
  assert.notEqual(second.ifindex, first.ifindex);
  assert.equal((await datapath.apply(state(second.ifindex))).attached, 2);
  await send();
  assert.deepEqual(countsOf(await datapath.counters(), 'outbound', source).copied, countOf([frame, frame]));
  run('ip', 'link', 'del', 'move');
});

test('a device created again with the same ifindex is attached again', async () => {
  const source = `run-${++runs}`;
  const { dst } = world.devices;
  const make = () => {
    run('ip', 'link', 'add', 'same', 'index', '9000', 'type', 'veth', 'peer', 'name', 'samep');
    for (const device of ['same', 'samep']) {
      run('ip', 'link', 'set', device, 'up');
    }
  };
  const state = stateOf({ captures: capturesOf(9000, 'L', { source }), deliveries: [localTo(dst.ifindex)] });
  make();
  assert.equal((await datapath.apply(state)).attached, 2);
  run('ip', 'link', 'del', 'same');
  make();
  assert.equal((await datapath.apply(state, { look: false })).attached, 2);
  const socket = new RawSocket('samep');
  await sniffing(['dstp'], async ([copies]) => {
    socket.send(frame);
    await copies.expect(1);
  });
  socket.close();
  run('ip', 'link', 'del', 'same');
});

const HOOKS_REPORT = { skip: HOOK === 'clsact' && 'the kernel reports filters that are removed' };

test('only a pass that looks asks whether a program is still there', HOOKS_REPORT, async () => {
  const state = everything();
  await datapath.apply(state);
  const { ifindex } = world.devices.vm;
  takeOff(world.bpffs, ifindex, 'egress', 'capture_egress');
  assert.equal((await datapath.apply(state, { look: false })).attached, 0);
  assert.equal((await datapath.apply(state)).attached, 1);
  await pass('dstp');
});

test('a device that does not exist is refused, and all others are in force', async () => {
  const state = everything();
  const missing = capturesOf(99_999, 'L', { source: 'missing' });
  const { refused } = await datapath.apply({ ...state, captures: [...missing, ...state.captures] });
  assert.deepEqual(
    refused.map(({ id, code }) => [id, code]),
    missing.map(({ id }) => [id, 'ATTACH_FAILED']),
  );
  await pass('dstp');
});

test('a helper device is created again after someone else has deleted it', async () => {
  const { vm } = world.devices;
  const source = `run-${++runs}`;
  const captures = capturesOf(vm.ifindex, 'V', { source });
  const state = stateOf({ captures, deliveries: [edgeTo(world.devices.dst.ifindex)] });
  await datapath.apply(state);
  run('ip', 'link', 'del', 'mirror0');
  await pass();
  const lost = countsOf(await datapath.counters(), 'outbound', source);
  assert.deepEqual(lost.dropped, { destinationDown: countOf([frame]) });
  assert.equal((await datapath.apply(state)).attached, 1);
  await sniffing(['dstp'], async ([copies]) => {
    world.guest.send(frame);
    await copies.expect(1);
  });
});

test("other people's filters on the same hooks go on, and survive the uninstall that removes all of ours", async () => {
  await datapath.uninstall();
  assert.ok(!existsSync(world.bpffs));
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'clsact');
  const match = ['protocol', 'all', 'u32', 'match', 'u8', '0', '0'];
  const mirred = ['action', 'mirred', 'egress', 'mirror', 'dev', 'by'];
  run('tc', 'filter', 'add', 'dev', 'vm', 'ingress', ...match, ...mirred);
  const settled = () => ({
    links: allLinks(),
    qdiscs: run('tc', 'qdisc'),
    filters: run('tc', 'filter', 'show', 'dev', 'vm', 'ingress'),
  });
  const before = settled();
  await pass('byp');

  datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs });
  await datapath.open();
  await datapath.apply(everything());
  await pass('dstp', 'byp');

  await datapath.uninstall();
  await pass('byp');
  assert.ok(!existsSync(world.bpffs));
  // A sniffer that has ended leaves its device a moment later.
  await until('what was there before', () => isDeepStrictEqual(settled(), before)).catch(() => undefined);
  assert.deepEqual(settled(), before);
  run('tc', 'qdisc', 'del', 'dev', 'vm', 'clsact');
});

/** All devices with their settings. */
function allLinks(): unknown {
  const timers = /timer$|^age$/; // those of the bridge run
  return JSON.parse(run('ip', '-d', '-json', 'link', 'show'), (key, value: unknown) =>
    timers.test(key) ? null : value,
  );
}

test('uninstalling does nothing if nothing is installed', async () => {
  const before = allLinks();
  await datapath.uninstall();
  await datapath.uninstall();
  assert.deepEqual(allLinks(), before);
});

test("leaves a device alone that has the helper's name and is not ours", async () => {
  run('ip', 'link', 'add', 'mirror0', 'type', 'bridge');
  try {
    await assert.rejects(datapath.open(), /mirror0/);
    await datapath.uninstall();
    assert.match(run('ip', 'link', 'show', 'mirror0'), /mirror0/);
  } finally {
    run('ip', 'link', 'del', 'mirror0');
  }
});
