/**
 * The process of a data path is killed in the middle of a change. The next process completes the
 * change, and no packet is affected.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { DatapathState, HookCapture } from '../../src/datapath/datapath.ts';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { MAPS, OBJECT_PATH } from '../../src/datapath/kernel/install.ts';
import { type Builds, otherBuilds } from './support/build.ts';
import { BY_CLSACT, HOOK, places, programsAt } from './support/hook.ts';
import { addVeth, link, links, run } from './support/namespace.ts';
import { assertEveryOne, type Paced, padded, underLoad } from './support/pacer.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import {
  assertSumsClose,
  capturesOf,
  countsOf,
  edgeTo,
  erspanFrom,
  erspanOver,
  localTo,
  useWorld,
} from './support/world.ts';

/** Number of kills. `make soak` sets a higher one. */
const KILLS = Number(process.env.KILLS ?? 5);
/** Seed of the random numbers. It is printed, and can be set to repeat a run. */
const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e6));

const world = await useWorld();
let frames: Map<string, Buffer>;
let states: DatapathState[];
let file: string;
let builds: Builds;
/** Builds with the same counter maps. */
let objects: string[];
/** Devices of sources that come and go. */
const EXTRA = ['x0', 'x1', 'x2'];

/** Numbers from 0 to 1, always the same for one seed (Park and Miller). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** The entries that the traffic of the test needs. Every state has them. */
function steady(): DatapathState {
  const { vm, dst, by, und } = world.devices;
  return {
    captures: [
      ...capturesOf(vm.ifindex, 'L', { source: 'local' }),
      ...capturesOf(by.ifindex, 'E', { source: 'erspan' }),
    ],
    deliveries: [localTo(dst.ifindex), erspanOver(world)],
    terminations: [],
    mirrorDevice: und.ifindex,
  };
}

/**
 * States with different policies, sources, deliveries, terminations and all other entries, in
 * addition to the steady ones.
 */
function makeStates(): DatapathState[] {
  const { far } = world.devices;
  const base = steady();
  const extra = (n: number, delivery: string, more: Partial<HookCapture> = {}) =>
    capturesOf(link(EXTRA[n]!).ifindex, delivery, { source: `s${n}`, policy: `p${n}`, ...more });
  const edge = edgeTo(far.ifindex);
  return [
    base,
    {
      ...base,
      captures: [...base.captures, ...extra(0, 'V'), ...extra(1, 'V', { threshold: 2 ** 31 })],
      deliveries: [...base.deliveries, edge],
      copyVlans: [100],
    },
    {
      ...base,
      captures: [...base.captures, ...extra(1, 'M'), ...extra(2, 'M', { policy: 'other' })],
      deliveries: [...base.deliveries, { ...edge, id: 'M', maxRate: 1_000_000 }, { ...localTo(far.ifindex), id: 'F' }],
      terminations: [erspanFrom('F', { id: 'T3', session: 3 })],
      hostAddresses: ['10.98.0.1', 'fe80::1'],
    },
    {
      ...base,
      captures: [...base.captures, ...extra(0, 'N'), ...extra(2, 'N')],
      deliveries: [
        ...base.deliveries,
        { ...erspanOver(world), id: 'N', session: 9 },
        { ...localTo(far.ifindex), id: 'F' },
      ],
      terminations: [3, 4, 5].map((session) => erspanFrom('F', { id: `T${session}`, session })),
      physicalDevices: [far.ifindex],
      arrivalPorts: [{ ifindex: far.ifindex, hook: 'ingress', bridge: link('lan').ifindex }],
    },
  ];
}

before(() => {
  frames = scapy({ frames: true }).frames;
  for (const name of EXTRA) {
    addVeth(name);
  }
  builds = otherBuilds();
  objects = [OBJECT_PATH, OBJECT_PATH, builds.same, builds.tables];
  states = makeStates();
  file = join(tmpdir(), `mirrorplane-states-${process.pid}.json`);
  writeFileSync(file, JSON.stringify(states));
});
after(() => {
  for (const name of EXTRA) {
    if (links().some(({ ifname }) => ifname === name)) {
      run('ip', 'link', 'del', name);
    }
  }
  builds?.close();
  if (file) {
    rmSync(file, { force: true });
  }
});

/** Every hook that a state uses, with the number of programs that must hang there. */
function expectedPrograms(state: DatapathState): Record<string, number> {
  const destinations = new Set(state.deliveries.flatMap(({ kind, ifindex }) => (kind === 'local' ? [ifindex] : [])));
  const hooks = [
    ...state.captures,
    ...[...destinations].map((ifindex) => ({ ifindex, hook: 'ingress' })),
    ...(state.arrivalPorts ?? []),
    { ifindex: state.mirrorDevice, hook: 'ingress' },
    { ifindex: link('mirror0').ifindex, hook: 'egress' },
  ];
  return Object.fromEntries(
    [...Map.groupBy(hooks, ({ ifindex, hook }) => `${hook}-${ifindex}`)].map(([key, at]) => [key, at.length]),
  );
}

/** Every hook of this namespace where programs hang. */
function foundPrograms(): Record<string, number> {
  const all = links().flatMap(({ ifindex }) =>
    (['ingress', 'egress'] as const).map((hook) => [`${hook}-${ifindex}`, programsAt(ifindex, hook).length] as const),
  );
  return Object.fromEntries(all.filter(([, count]) => count > 0));
}

const sorted = (record: Record<string, number>) => Object.fromEntries(Object.entries(record).sort());

/**
 * Takes over the state of a killed process, applies `state`, and asserts that no entry is missing
 * or double.
 */
async function assertConverges(state: DatapathState, object: string): Promise<void> {
  const datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs, object });
  await datapath.open();
  try {
    assert.deepEqual((await datapath.apply(state)).refused, []);
    const again = await datapath.apply(state);
    assert.deepEqual([again.attached, again.detached, again.written], [0, 0, 0]);
    assert.deepEqual(sorted(foundPrograms()), sorted(expectedPrograms(state)));
    assert.deepEqual(readdirSync(join(world.bpffs, 'maps')).sort(), [...MAPS].sort());
    const pins = Object.keys(places(world.bpffs)).map((key) => key.split('-').slice(0, 2).join('-'));
    const perHook = Object.fromEntries([...Map.groupBy(pins, (key) => key)].map(([key, at]) => [key, at.length]));
    assert.deepEqual(sorted(perHook), sorted(expectedPrograms(state)), 'a place for each program, and no other');
    const folders = readdirSync(world.bpffs).map((name) => name.replace(/^programs-[0-9a-f]{12}$/, 'programs'));
    assert.deepEqual(folders.sort(), [...(BY_CLSACT ? [] : ['links']), 'maps', 'programs']);
    assertSumsClose(await datapath.counters());
  } finally {
    datapath.close();
  }
}

/**
 * Runs the process and kills it: with strace at its `nth` call of a kind, or after some
 * milliseconds.
 */
async function runAndKill(object: string, at: { call: string; nth: number } | { ms: number }): Promise<string> {
  const script = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'support/applier.ts'),
    world.bpffs,
    file,
    object,
  ];
  const trace =
    'call' in at
      ? [
          'strace',
          '-qq',
          '-o',
          '/dev/null',
          '-e',
          `trace=${at.call}`,
          '-e',
          `inject=${at.call}:signal=SIGKILL:when=${at.nth}`,
        ]
      : [];
  const [program, ...args] = [...trace, ...script];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const closed = once(child, 'close');
  if ('ms' in at) {
    while (!text.includes('starting') && child.exitCode === null) {
      await delay(1);
    }
    await delay(at.ms);
    child.kill('SIGKILL');
  }
  await closed;
  return text;
}

test(`after each of ${KILLS} kills in the middle of changes the data path is made whole, and no frame or copy is missing or double`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = seeded(SEED);
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)]!;
  // Each state once before the traffic begins: while a device gets its qdisc for filters, the
  // kernel drops packets.
  for (const state of states.toReversed()) {
    await world.datapath.apply(state);
  }
  const before = Object.keys(places(world.bpffs));
  world.datapath.close();
  const paced: Paced[] = [
    { device: 'vmp', frame: padded(frames.get('ipv4-udp')!) },
    { device: 'byp', frame: padded(frames.get('arp-request')!) },
  ];
  const sniffers = await Promise.all(['farp', 'dstp', 'undp'].map((device) => Sniffer.start(device, { longest: 256 })));
  const [originals, copies, erspan] = sniffers as [Sniffer, Sniffer, Sniffer];
  const where: Record<string, number> = {};
  try {
    const sent = await underLoad(paced, async () => {
      for (let kill = 0; kill < KILLS; kill++) {
        const gone = random() < 0.3 ? pick(EXTRA) : undefined;
        if (gone) {
          run('ip', 'link', 'del', gone);
        }
        const call = ['bpf', 'bpf', BY_CLSACT ? 'sendto' : 'bpf', 'unlink', 'rename', 'rmdir'][
          Math.floor(random() * 9)
        ];
        const at = call ? { call, nth: 1 + Math.floor(random() * (call === 'bpf' ? 700 : 5)) } : { ms: random() * 400 };
        const said = await runAndKill(pick(objects), at);
        const key = `${call ?? 'time'}: ${said.includes('applied') ? 'in an apply' : said.includes('starting') ? 'in open' : 'before'}`;
        where[key] = (where[key] ?? 0) + 1;
        if (gone) {
          addVeth(gone);
          states = makeStates();
          writeFileSync(file, JSON.stringify(states));
        }
        await assertConverges(pick(states), pick(objects));
      }
    });
    t.diagnostic(`killed ${JSON.stringify(where)}, sent ${JSON.stringify(sent)}`);
    await Promise.all([originals.expect(sent.vmp!), copies.expect(sent.vmp!), erspan.expect(sent.byp!)]);
    assertEveryOne(originals.frames(), sent.vmp!, 'originals');
    assertEveryOne(copies.frames(), sent.vmp!, 'copies to the device');
    assertEveryOne(erspan.frames(), sent.byp!, 'copies in ERSPAN');
    await world.datapath.open();
    await world.datapath.apply(states[0]!);
    assert.deepEqual(Object.keys(places(world.bpffs)).sort(), before.sort());
    const report = await world.datapath.counters();
    assertSumsClose(report);
    assert.equal(countsOf(report, 'outbound', 'local').copied.packets, sent.vmp, 'counters have gone on');
    assert.equal(countsOf(report, 'outbound', 'erspan').copied.packets, sent.byp);
  } finally {
    for (const sniffer of sniffers) {
      sniffer.close();
    }
  }
});
