/**
 * What is special to filters at clsact. What they do for copies is what all other kernel tests
 * show, run over clsact.
 */
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { ApplyResult, DatapathState } from '../../src/datapath/datapath.ts';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { hasTcx } from '../../src/datapath/kernel/libbpf.ts';
import { attachForeign, foreignObject } from './support/foreign.ts';
import { filtersAt } from './support/hook.ts';
import { bpffsFolder, link, run } from './support/namespace.ts';
import { assertEveryOne, padded, underLoad } from './support/pacer.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer, sniffing } from './support/sniffer.ts';
import { capturesOf, countsOf, localTo, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
let frame: Buffer;
let state: DatapathState;
let datapath: ReturnType<typeof createKernelDatapath>;
const bpffs = bpffsFolder();
const make = () => createKernelDatapath({ bpffs, hook: 'clsact' });

before(async () => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  await world.datapath.uninstall();
  const { vm, dst } = world.devices;
  state = stateOf({ captures: capturesOf(vm.ifindex, 'L'), deliveries: [localTo(dst.ifindex)] });
});
beforeEach(async () => {
  datapath = make();
  await datapath.open();
});
afterEach(async () => {
  await datapath.uninstall();
  run('sh', '-c', 'tc qdisc del dev vm clsact 2>/dev/null || tc qdisc del dev vm ingress 2>/dev/null || true');
});

const carrierOf = (device: string) =>
  (JSON.parse(run('tc', '-j', 'qdisc', 'show', 'dev', device)) as { kind: string; parent?: string }[]).find(
    ({ parent }) => parent === 'ffff:fff1',
  )?.kind;
const names = (side: 'ingress' | 'egress') => filtersAt('vm', side).map(({ name }) => name);

/** A frame from the VM is copied, and goes on. */
async function assertCopies(): Promise<void> {
  await sniffing(['farp', 'dstp'], async (sniffers) => {
    world.guest.send(frame);
    for (const sniffer of sniffers) {
      assert.equal((await sniffer.expect(1)).length, 1);
    }
  });
}

/**
 * Applies the state as an agent does twice a second, until something was repaired; how long that
 * took, in ms.
 */
async function repaired(): Promise<ApplyResult & { took: number }> {
  const from = performance.now();
  return await until('repair', async () => {
    const result = await datapath.apply(state);
    if (result.repaired.length > 0) {
      return { ...result, took: performance.now() - from };
    }
    await delay(500);
    return undefined;
  });
}

test('filters get the lowest preference at clsact, which is created if absent and removed by uninstalling', async () => {
  assert.equal(datapath.hookKind(), 'clsact');
  assert.equal(carrierOf('vm'), undefined);
  assert.deepEqual((await datapath.apply(state)).refused, []);
  assert.equal(carrierOf('vm'), 'clsact');
  assert.deepEqual(names('ingress'), ['mirrorplane:capture_ingress']);
  assert.deepEqual(names('egress'), ['mirrorplane:capture_egress']);
  assert.equal(filtersAt('vm', 'ingress')[0]!.preference, 1);
  await assertCopies();
  await datapath.uninstall();
  assert.equal(carrierOf('vm'), undefined);
});

test('the next agent takes the same filters over, and attaches nothing', async () => {
  await datapath.apply(state);
  const before = [filtersAt('vm', 'ingress'), filtersAt('vm', 'egress')];
  datapath.close();
  datapath = make();
  await datapath.open();
  const { attached, detached, repaired: repairs } = await datapath.apply(state);
  assert.deepEqual([attached, detached, repairs], [0, 0, []]);
  assert.deepEqual([filtersAt('vm', 'ingress'), filtersAt('vm', 'egress')], before);
  await assertCopies();
});

test('a capture that ends takes its filter off and leaves the qdisc, and no packet is lost as it ends and begins', async () => {
  await datapath.apply(state);
  const originals = await Sniffer.start('farp', { longest: 256 });
  try {
    const sent = await underLoad([{ device: 'vmp', frame: padded(frame) }], async () => {
      for (let turn = 0; turn < 20; turn++) {
        await datapath.apply({ ...state, captures: [] });
        assert.deepEqual([...names('ingress'), ...names('egress')], []);
        assert.equal(carrierOf('vm'), 'clsact');
        await datapath.apply(state);
      }
    });
    assertEveryOne(await originals.expect(sent.vmp!), sent.vmp!, 'originals');
  } finally {
    originals.close();
  }
});

test('a qdisc that someone deletes is made again within a second, counted for each program', async () => {
  await datapath.apply(state);
  run('tc', 'qdisc', 'del', 'dev', 'vm', 'clsact');
  const { repaired: repairs, took } = await repaired();
  const { ifindex } = world.devices.vm;
  assert.deepEqual(
    repairs,
    ['capture_ingress', 'capture_egress'].map((program) => ({ kind: 'takenOff', program, ifindex, count: 1 })),
  );
  assert.ok(took < 1000, `${took} ms`);
  await assertCopies();
});

test('filters that someone flushes are attached again, and the qdisc is known as ours still', async () => {
  await datapath.apply(state);
  for (const side of ['ingress', 'egress']) {
    run('tc', 'filter', 'del', 'dev', 'vm', side);
  }
  assert.equal((await repaired()).repaired.length, 2);
  await datapath.uninstall();
  assert.equal(carrierOf('vm'), undefined);
});

test('a clsact of someone else, and what hangs in it, stays when ours goes', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'clsact');
  run('tc', 'filter', 'add', 'dev', 'vm', 'egress', 'pref', '7', 'protocol', 'all', 'u32', 'match', 'u8', '0', '0');
  const shown = () => [run('tc', 'qdisc', 'show', 'dev', 'vm'), run('tc', 'filter', 'show', 'dev', 'vm', 'egress')];
  const before = shown();
  await datapath.apply(state);
  await assertCopies();
  await datapath.uninstall();
  assert.deepEqual(shown(), before);
  run('tc', 'qdisc', 'del', 'dev', 'vm', 'clsact');
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'clsact');
  datapath = make();
  await datapath.open();
  await datapath.apply(state);
  await datapath.uninstall();
  assert.equal(carrierOf('vm'), 'clsact', 'an empty one too');
});

test('a clsact of ours in which someone else has hung a filter stays with it', async () => {
  await datapath.apply(state);
  run('tc', 'filter', 'add', 'dev', 'vm', 'egress', 'pref', '7', 'protocol', 'all', 'u32', 'match', 'u8', '0', '0');
  await datapath.uninstall();
  assert.equal(carrierOf('vm'), 'clsact');
  assert.match(run('tc', 'filter', 'show', 'dev', 'vm', 'egress'), /pref 7 u32/);
  assert.deepEqual([...names('ingress'), ...names('egress')], []);
  assert.equal(run('tc', 'chain', 'show', 'dev', 'vm', 'ingress'), '', 'nothing says that it is ours');
});

test('a device that gets the number of one that is gone, with a clsact of someone else, keeps that', async () => {
  const add = () => run('ip', 'link', 'add', 'same', 'index', '9000', 'type', 'veth', 'peer', 'name', 'samep');
  add();
  await datapath.apply(stateOf({ captures: capturesOf(9000, 'L'), deliveries: [localTo(world.devices.dst.ifindex)] }));
  assert.equal(carrierOf('same'), 'clsact');
  datapath.close();
  run('ip', 'link', 'del', 'same');
  add();
  run('tc', 'qdisc', 'add', 'dev', 'same', 'clsact');
  await datapath.uninstall();
  assert.equal(carrierOf('same'), 'clsact');
  run('ip', 'link', 'del', 'same');
});

test('a filter of preference 1 that ours cannot pass is reported as HOOK_OCCUPIED until it goes, and ours hangs behind it', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'clsact');
  run('tc', 'filter', 'add', 'dev', 'vm', 'ingress', 'pref', '1', 'protocol', 'ip', 'u32', 'match', 'u8', '0', '0');
  const { refused } = await datapath.apply(state);
  assert.deepEqual(refused, []);
  const { problems } = await datapath.apply(state);
  assert.deepEqual(problems, [
    {
      code: 'HOOK_OCCUPIED',
      message:
        'at ingress of vm a u32 filter of preference 1 runs before ours; give it another preference: packets that it does not pass on are not seen',
      policy: 'p',
      interface: 's',
    },
  ]);
  assert.equal(filtersAt('vm', 'ingress')[0]!.preference, 2);
  await assertCopies();
  run('tc', 'filter', 'del', 'dev', 'vm', 'ingress', 'pref', '1');
  assert.deepEqual((await datapath.apply(state)).problems, []);
  await assertCopies();
});

test('a filter with our preference and handle is not ours, and ours takes another handle', async () => {
  const theirs = [
    'pref',
    '1',
    'handle',
    '0x6d700001',
    'protocol',
    'all',
    'bpf',
    'direct-action',
    'bytecode',
    '1,6 0 0 4294967295',
  ];
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'clsact');
  run('tc', 'filter', 'add', 'dev', 'vm', 'ingress', ...theirs.filter((word) => word !== 'direct-action'));
  assert.deepEqual((await datapath.apply(state)).refused, []);
  await assertCopies();
  await datapath.uninstall();
  assert.match(run('tc', 'filter', 'show', 'dev', 'vm', 'ingress'), /handle 0x6d700001/);
});

test('with a qdisc `ingress`, outbound traffic is copied, inbound is refused with the remedy, and the limit stays', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'ingress');
  const limit = ['protocol', 'all', 'u32', 'match', 'u8', '0', '0', 'flowid', ':1'];
  run('tc', 'filter', 'add', 'dev', 'vm', 'parent', 'ffff:', ...limit);
  const shown = () => [
    run('tc', 'qdisc', 'show', 'dev', 'vm'),
    run('tc', 'filter', 'show', 'dev', 'vm', 'parent', 'ffff:', 'pref', '49152'),
  ];
  const before = shown();
  const { refused } = await datapath.apply(state);
  assert.deepEqual(
    refused.map(({ id, code }) => [id, code]),
    [['p/s/inbound', 'HOOK_OCCUPIED']],
  );
  assert.match(refused[0]!.message, /^vm has a qdisc "ingress".*"tc qdisc del dev vm ingress".*Linux 6\.6 or newer$/);
  await assertCopies();
  const count = countsOf(await datapath.counters(), 'outbound').copied.packets;
  assert.equal(count, 1);
  await datapath.uninstall();
  assert.deepEqual(shown(), before);
  run('tc', 'qdisc', 'del', 'dev', 'vm', 'ingress');
  datapath = make();
  await datapath.open();
  assert.deepEqual((await datapath.apply(state)).refused, [], 'both, without it');
});

test('beside a qdisc `ingress` a frame that the bridge knows the way of is copied, where it enters the bridge', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'ingress');
  const { vm, far } = world.devices;
  const bridge = link('lan').ifindex;
  const guest = link('vmp').address;
  const inbound = (source: string): DatapathState => ({
    ...state,
    captures: capturesOf(vm.ifindex, 'L', { source, arrivalBridge: bridge }).filter(
      ({ direction }) => direction === 'inbound',
    ),
    arrivalPorts: [
      { ifindex: far.ifindex, hook: 'ingress', bridge },
      { ifindex: bridge, hook: 'egress', bridge },
    ],
    arrivals: [{ bridge, mac: guest, ifindex: vm.ifindex }],
  });
  const { refused } = await datapath.apply(inbound('arriving'));
  assert.deepEqual(
    refused.map(({ id, code, arrives }) => [id, code, arrives]),
    [['p/arriving/inbound', 'HOOK_OCCUPIED', true]],
  );
  // The bridge has to know where the guest is, as the arrivals say.
  const mac = Buffer.from(guest.replaceAll(':', ''), 'hex');
  run('bridge', 'fdb', 'replace', guest, 'dev', 'vm', 'master', 'static');
  const towards = Buffer.concat([mac, frame.subarray(6)]);
  await sniffing(['vmp', 'dstp'], async (sniffers) => {
    world.far.send(towards);
    for (const sniffer of sniffers) {
      assert.equal((await sniffer.expect(1)).length, 1);
    }
  });
  const { matched, copied } = countsOf(await datapath.counters(), 'inbound', 'arriving');
  assert.deepEqual([matched.packets, copied.packets], [1, 1]);
  // Where the bridge tells nothing of the guest, nothing is captured there, and nothing else is
  // said.
  const without = await datapath.apply({ ...inbound('arriving'), arrivals: [] });
  assert.deepEqual(
    without.refused.map(({ id, arrives }) => [id, arrives]),
    [['p/arriving/inbound', undefined]],
  );
});

test('a qdisc with a block that devices share is left alone, and refused for that direction with what to do', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'vm', 'egress_block', '22', 'clsact');
  const shown = () => [run('tc', 'qdisc', 'show', 'dev', 'vm'), run('tc', 'filter', 'show', 'block', '22')];
  const before = shown();
  const { refused } = await datapath.apply(state);
  assert.deepEqual(
    refused.map(({ id, code }) => [id, code]),
    [['p/s/inbound', 'HOOK_OCCUPIED']],
  );
  assert.match(refused[0]!.message, /^the qdisc of vm has its filters of egress in a block .*without the block/);
  await assertCopies();
  await datapath.uninstall();
  assert.deepEqual(shown(), before);
});

test('a bridge device without room for `arrive` at egress is reported as ARRIVAL_UNSEEN, and the guest is captured', async () => {
  run('tc', 'qdisc', 'add', 'dev', 'lan', 'ingress');
  const bridge = link('lan').ifindex;
  try {
    const guarded: DatapathState = {
      ...state,
      captures: state.captures.map((capture) => ({ ...capture, arrivalBridge: bridge })),
      arrivalPorts: [
        { ifindex: world.devices.far.ifindex, hook: 'ingress', bridge },
        { ifindex: bridge, hook: 'egress', bridge },
      ],
      arrivals: [],
    };
    const { problems, refused } = await datapath.apply(guarded);
    assert.deepEqual(refused, []);
    assert.deepEqual([...new Set(problems.map(({ code }) => code))], ['ARRIVAL_UNSEEN']);
    await assertCopies();
  } finally {
    run('tc', 'qdisc', 'del', 'dev', 'lan', 'ingress');
  }
});

const BOTH = { skip: !hasTcx() && 'this kernel has no tcx' };

test('a program of someone else at tcx runs before clsact: HOOK_OCCUPIED, with what to do', BOTH, async () => {
  await datapath.apply(state);
  const theirs = attachForeign(foreignObject(), world.devices.vm.ifindex, 'ingress', 'go_on', false);
  try {
    const { problems } = await datapath.apply(state);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['HOOK_OCCUPIED'],
    );
    assert.match(problems[0]!.message, /at tcx runs before all of clsact; run the agent with --hook tcx/);
  } finally {
    theirs.close();
  }
  assert.deepEqual((await datapath.apply(state)).problems, []);
});

test(
  'an agent that is started with the other kind of hook takes off what the last one attached, and nothing comes twice',
  BOTH,
  async () => {
    const copies = await Sniffer.start('dstp', { longest: 256 });
    try {
      for (const hook of ['tcx', 'clsact', 'tcx'] as const) {
        await datapath.apply(state);
        datapath.close();
        datapath = createKernelDatapath({ bpffs, hook });
        await datapath.open();
        await datapath.apply(state);
        assert.equal(datapath.hookKind(), hook);
        assert.equal(names('ingress').length, hook === 'tcx' ? 0 : 1);
        const before = copies.frames().length;
        world.guest.send(frame);
        assert.equal((await copies.expect(before + 1)).length, before + 1);
      }
    } finally {
      copies.close();
    }
  },
);
