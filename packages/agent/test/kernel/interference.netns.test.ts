/** Interference with hooks, pins, maps and devices, and its repair. */
import assert from 'node:assert/strict';
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { ApplyResult, DatapathState } from '../../src/datapath/datapath.ts';
import { LAYOUT } from '../../src/datapath/kernel/layout.ts';
import { attachForeign, type Foreign, foreignObject } from './support/foreign.ts';
import { BY_CLSACT, programsAt, takeOff } from './support/hook.ts';
import { addNamespace, link, run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, erspanOver, localTo, stateOf, useWorld } from './support/world.ts';

const NO_PINS = { skip: BY_CLSACT && 'a filter of clsact is not pinned' };
const NEVER_FULL = { skip: BY_CLSACT && 'clsact has room for any number of filters; see clsact.netns.test.ts' };

const world = await useWorld();
let frame: Buffer;
let state: DatapathState;

before(async () => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  const { vm, dst, by, und } = world.devices;
  state = stateOf({
    captures: [
      ...capturesOf(vm.ifindex, 'L', { source: 'local' }),
      ...capturesOf(by.ifindex, 'E', { source: 'erspan' }),
    ],
    deliveries: [localTo(dst.ifindex), erspanOver(world)],
    mirrorDevice: und.ifindex,
  });
  await world.datapath.apply(state);
});

/** Applies the same state, as an agent does every second, until something was repaired. */
function repaired(): Promise<ApplyResult> {
  return until('repair', async () => {
    const result = await world.datapath.apply(state);
    return result.repaired.length > 0 ? result : undefined;
  });
}

async function copied(source: string): Promise<number> {
  const report = await world.datapath.counters();
  assertSumsClose(report);
  return countsOf(report, 'outbound', source).copied.packets;
}

/** A frame from the VM is copied to the local destination. */
async function assertCopies(): Promise<void> {
  const before = await copied('local');
  await sniffing(['farp', 'dstp'], async (sniffers) => {
    world.guest.send(frame);
    for (const sniffer of sniffers) {
      assert.equal((await sniffer.expect(1)).length, 1);
    }
  });
  assert.equal(await copied('local'), before + 1);
}

const links = () => join(world.bpffs, 'links');
const keyOf = (program: string) => readdirSync(links()).find((key) => key.endsWith(program))!;

test('nothing is repaired without interference', async () => {
  const end = performance.now() + 1500;
  while (performance.now() < end) {
    const { attached, detached, written, repaired: repairs } = await world.datapath.apply(state);
    assert.deepEqual([attached, detached, written, repairs], [0, 0, 0, []]);
  }
  await assertCopies();
});

/** Applies until nothing is left to repair. */
async function settled(): Promise<void> {
  await until('all in place', async () => {
    await world.datapath.apply(state);
    return world.datapath.isIntact();
  });
}

/** Bytes as bpftool takes them. */
const hex = (bytes: readonly string[]) => ['hex', ...bytes.map((byte) => byte.slice(2))];

/** A row of the captures, and a change of it. */
function changeRow(change: (map: string, row: { key: string[]; value: string[] }) => string[]): void {
  const map = join(world.bpffs, 'maps', 'captures');
  const [row] = JSON.parse(run('bpftool', '-j', 'map', 'dump', 'pinned', map));
  run('bpftool', 'map', ...change(map, row));
}

const unpin = (...path: string[]) => unlinkSync(join(world.bpffs, ...path));
/** What others do, and how they undo it where a repair does not. */
const INTERFERENCE: [what: string, pins: boolean, interfere: () => (() => void) | undefined][] = [
  [
    'a program is detached',
    false,
    () => void takeOff(world.bpffs, world.devices.vm.ifindex, 'egress', 'capture_egress'),
  ],
  [
    'a program comes in front',
    false,
    () => {
      const theirs = attachForeign(foreignObject(), world.devices.vm.ifindex, 'ingress', 'go_on');
      return () => theirs.close();
    },
  ],
  ['the pin of a link is removed', true, () => void unpin('links', keyOf('capture_ingress'))],
  ['the pin of a map is removed', false, () => void unpin('maps', 'captures')],
  ['a row is removed', false, () => void changeRow((map, { key }) => ['delete', 'pinned', map, 'key', ...hex(key)])],
  [
    'a row is changed',
    false,
    () =>
      void changeRow((map, { key, value }) => {
        const other = value.map((byte, at) => (at === LAYOUT.capture.fields.threshold ? '0x07' : byte));
        return ['update', 'pinned', map, 'key', ...hex(key), 'value', ...hex(other)];
      }),
  ],
  [
    'a row is added',
    false,
    () =>
      void changeRow((map, { key, value }) => {
        const other = key.map((byte, at) => (at === LAYOUT.capture_key.fields.ifindex ? '0xee' : byte));
        return ['update', 'pinned', map, 'key', ...hex(other), 'value', ...hex(value)];
      }),
  ],
];

/** What a check of each half of the hooks says. */
const halves = () => ([0, 1] as const).map((half) => world.datapath.isIntact(half));

for (const [what, pins, interfere] of INTERFERENCE) {
  test(
    `the check between looks sees that ${what}, and nothing before and after the repair`,
    pins ? NO_PINS : {},
    async () => {
      await settled();
      assert.equal(world.datapath.isIntact(), true);
      assert.deepEqual(halves(), [true, true]);
      const undo = interfere();
      assert.ok(halves().includes(false), 'one of two halves has it');
      assert.equal(world.datapath.isIntact(), false);
      assert.equal(world.datapath.isIntact(), false, 'it is no news, but not repaired');
      await repaired();
      await settled();
      undo?.();
      await settled();
      await assertCopies();
    },
  );
}

test('a program is attached again after someone else has detached it', async () => {
  takeOff(world.bpffs, world.devices.vm.ifindex, 'ingress', 'capture_ingress');
  assert.deepEqual(programsAt(world.devices.vm.ifindex, 'ingress'), []);
  const { repaired: repairs, attached } = await repaired();
  const { ifindex } = world.devices.vm;
  assert.deepEqual(repairs, [{ kind: 'takenOff', program: 'capture_ingress', ifindex, count: 1 }]);
  assert.equal(attached, 1);
  await assertCopies();
});

test('a link stays when someone else removes its pin, and is pinned again', NO_PINS, async () => {
  unlinkSync(join(links(), keyOf('capture_ingress')));
  await assertCopies();
  assert.equal((await repaired()).attached, 0);
  assert.ok(keyOf('capture_ingress'));
});

test('pins of maps and programs come back after someone else has removed them', async () => {
  const before = readdirSync(world.bpffs);
  const programs = join(world.bpffs, before.find((name) => name.startsWith('programs-'))!);
  const names = readdirSync(programs);
  unlinkSync(join(world.bpffs, 'maps', 'captures'));
  for (const name of names) {
    unlinkSync(join(programs, name));
  }
  rmdirSync(programs);
  assert.deepEqual((await repaired()).repaired, [{ kind: 'unpinned', count: 1 + names.length }]);
  assert.deepEqual(readdirSync(programs).sort(), names.sort());
  assert.ok(readdirSync(join(world.bpffs, 'maps')).includes('captures'));
  await assertCopies();
});

/** A frame of the bystander leaves in ERSPAN. */
async function assertSends(): Promise<void> {
  const before = await copied('erspan');
  const bystander = new RawSocket('byp');
  await sniffing(['undp'], async ([outer]) => {
    bystander.send(frame);
    bystander.close();
    assert.equal((await outer.expect(1)).length, 1);
  });
  assert.equal(await copied('erspan'), before + 1);
}

test('a helper device is created again after someone else has deleted it, and ERSPAN continues', async () => {
  run('ip', 'link', 'del', 'mirror0');
  assert.deepEqual((await repaired()).repaired[0], { kind: 'helperGone', count: 1 });
  assert.ok(link('mirror0').ifindex > 0);
  await assertSends();
});

test('a helper device that someone else sets down, renames or strips of its alias is repaired, not replaced', async () => {
  const { ifindex } = link('mirror0');
  const changes: [device: string, ...change: string[]][] = [
    ['mirror0', 'down'],
    ['mirror1', 'down'],
    ['mirror0', 'name', 'foo'],
    ['mirror1', 'name', 'mirror9'],
    ['mirror1', 'alias', ''],
  ];
  for (const change of changes) {
    run('ip', 'link', 'set', ...change);
    const { repaired: repairs } = await world.datapath.apply(state);
    assert.deepEqual(repairs, [{ kind: 'helperChanged', count: 1 }], change.join(' '));
    await assertSends();
  }
  assert.equal(link('mirror0').ifindex, ifindex);
  const ends: { flags: string[]; ifalias: string }[] = ['mirror0', 'mirror1'].map(
    (name) => JSON.parse(run('ip', '-json', 'link', 'show', name))[0],
  );
  for (const { flags, ifalias } of ends) {
    assert.ok(flags.includes('UP') && flags.includes('LOWER_UP'));
    assert.equal(ifalias, 'mirrorplane:helper');
  }
});

test('a new MTU of the helper device changes nothing', async () => {
  run('ip', 'link', 'set', 'mirror0', 'mtu', '68');
  await assertSends();
  assert.deepEqual((await world.datapath.apply(state)).repaired, []);
});

test('a helper device is created again after someone else has moved it to another network namespace', async () => {
  const elsewhere = await addNamespace();
  try {
    for (const device of ['mirror0', 'mirror1']) {
      elsewhere.adopt(device);
      assert.deepEqual((await world.datapath.apply(state)).repaired[0], { kind: 'helperGone', count: 1 });
      await assertSends();
      assert.doesNotMatch(elsewhere.run('ip', 'link'), /mirror/, 'nothing of ours is left there');
    }
  } finally {
    elsewhere.close();
  }
});

test("if another device has the helper's name, local copies continue, and others are dropped and reported", async () => {
  run('ip', 'link', 'del', 'mirror0');
  run('ip', 'link', 'add', 'mirror0', 'type', 'bridge');
  const { problems } = await world.datapath.apply(state);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['ATTACH_FAILED'],
  );
  assert.match(problems[0]!.message, /a device mirror0 exists that Mirrorplane did not make/);
  await assertCopies();
  const before = countsOf(await world.datapath.counters(), 'outbound', 'erspan').dropped.destinationDown?.packets ?? 0;
  const bystander = new RawSocket('byp');
  bystander.send(frame);
  bystander.close();
  const after = countsOf(await world.datapath.counters(), 'outbound', 'erspan').dropped.destinationDown?.packets;
  assert.equal(after, before + 1);
  run('ip', 'link', 'del', 'mirror0');
  assert.deepEqual((await world.datapath.apply(state)).problems, []);
  await assertSends();
});

test('rows that someone else writes into our maps are repaired', async () => {
  const map = join(world.bpffs, 'maps', 'captures');
  const entries: { key: string[] }[] = JSON.parse(run('bpftool', '-j', 'map', 'dump', 'pinned', map));
  run('bpftool', 'map', 'delete', 'pinned', map, 'key', 'hex', ...entries[0]!.key.map((byte) => byte.slice(2)));
  const { repaired: repairs, written } = await repaired();
  assert.deepEqual([repairs, written], [[{ kind: 'mapWritten', count: 1 }], 1]);
  assert.deepEqual(JSON.parse(run('bpftool', '-j', 'map', 'dump', 'pinned', map)).length, entries.length);
});

test('if another program attaches in front and ends the chain, ours comes first again, and the other one stays', async () => {
  const { ifindex } = world.devices.vm;
  const theirs = attachForeign(foreignObject(), ifindex, 'ingress', 'end_chain');
  try {
    assert.equal(programsAt(ifindex, 'ingress')[0], theirs.id);
    const { repaired: repairs } = await repaired();
    assert.deepEqual(repairs, [{ kind: 'pushedBack', program: 'capture_ingress', ifindex, count: 1 }]);
    const order = programsAt(ifindex, 'ingress');
    assert.equal(order.length, 2);
    assert.equal(order[1], theirs.id);
    await assertCopies();
  } finally {
    theirs.close();
  }
});

test(
  'where `arrive` finds no place at a port, unicast is captured at the guest, once, and all else goes on',
  NEVER_FULL,
  async () => {
    const { vm, far } = world.devices;
    const bridge = link('lan').ifindex;
    const guarded: DatapathState = {
      ...state,
      captures: state.captures.map((capture) =>
        capture.source === 'local' && capture.hook === 'egress' ? { ...capture, arrivalBridge: bridge } : capture,
      ),
      arrivalPorts: [
        { ifindex: vm.ifindex, hook: 'ingress', bridge },
        { ifindex: far.ifindex, hook: 'ingress', bridge },
        { ifindex: bridge, hook: 'egress', bridge },
      ],
      arrivals: [
        {
          bridge,
          mac: [...frame.subarray(0, 6)].map((b) => b.toString(16).padStart(2, '0')).join(':'),
          ifindex: vm.ifindex,
        },
      ],
    };
    const inbound = async () => countsOf(await world.datapath.counters(), 'inbound', 'local').copied.packets;
    const once = async () => {
      const before = await inbound();
      await sniffing(['vmp', 'dstp'], async (sniffers) => {
        world.far.send(frame);
        for (const sniffer of sniffers) {
          assert.equal((await sniffer.expect(1)).length, 1);
        }
      });
      assert.equal(await inbound(), before + 1);
    };
    const object = foreignObject();
    const foreign: Foreign[] = [];
    const crowd = () => {
      for (;;) {
        foreign.push(attachForeign(object, far.ifindex, 'ingress', 'go_on'));
      }
    };
    try {
      assert.throws(crowd, { code: 'ERANGE' }, 'the hook is full');
      const { problems, refused, attached } = await world.datapath.apply(guarded);
      assert.deepEqual(refused, []);
      assert.equal(attached, 2);
      assert.deepEqual(
        problems.map(({ code, policy, interface: source }) => [code, policy, source]),
        [['ARRIVAL_UNSEEN', 'p', 'local']],
      );
      assert.match(
        problems[0]!.message,
        /^attach to ingress of far: \w+: packets that a firewall on lan drops are not captured$/,
      );
      await once();
    } finally {
      for (const one of foreign) {
        one.close();
      }
    }
    const { problems, attached } = await world.datapath.apply(guarded);
    assert.deepEqual([problems, attached], [[], 1]);
    await once();
    // A port that has been deleted in the meantime causes no wait.
    const gone = { ifindex: 99_999, hook: 'ingress', bridge } as const;
    const late = await world.datapath.apply({ ...guarded, arrivalPorts: [gone, ...guarded.arrivalPorts!] });
    assert.deepEqual([late.problems, late.refused], [[], []]);
    await once();
  },
);

test('if another program attaches in front again each time, ours backs off and reports that the hook is taken', async () => {
  const { ifindex } = world.devices.vm;
  const theirs = attachForeign(foreignObject(), ifindex, 'ingress', 'go_on');
  try {
    let moves = 0;
    const first = () => programsAt(ifindex, 'ingress')[0] !== theirs.id;
    const { problems } = await until('dispute', async () => {
      const result = await world.datapath.apply(state);
      if (first()) {
        moves++;
        theirs.goFirst();
      }
      return result.problems.length > 0 ? result : undefined;
    });
    assert.deepEqual(problems, [
      {
        code: 'HOOK_OCCUPIED',
        message:
          'at ingress of vm another program repeatedly attaches before ours: packets that it does not pass on are not seen',
        policy: 'p',
        interface: 'local',
      },
    ]);
    assert.ok(moves <= 3, `${moves} turns`);
    const end = performance.now() + 1500;
    while (performance.now() < end) {
      assert.deepEqual((await world.datapath.apply(state)).repaired, [], 'it stays behind for 2 s');
      assert.ok(!first());
    }
    await assertCopies();
    await until('ours in front again', async () => (await world.datapath.apply(state)).repaired.length > 0 && first());
    assert.equal(programsAt(ifindex, 'ingress')[1], theirs.id);
  } finally {
    theirs.close();
  }
});
