/** Another build of the data plane takes the place of the one that runs, while packets pass. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { CounterReport } from '@mirrorplane/contract';
import type { DatapathState } from '../../src/datapath/datapath.ts';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { MAPS, OBJECT_PATH } from '../../src/datapath/kernel/install.ts';
import { type Builds, otherBuilds } from './support/build.ts';
import { HOOK, places, programsAt } from './support/hook.ts';
import { run } from './support/namespace.ts';
import { assertEveryOne, padded, underLoad } from './support/pacer.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, erspanOver, localTo, useWorld } from './support/world.ts';

const world = await useWorld();
let frames: Map<string, Buffer>;
let builds: Builds;
let state: DatapathState;
let runs = 0;

before(() => {
  frames = scapy({ frames: true }).frames;
  builds = otherBuilds();
  world.datapath.close();
});
after(() => {
  builds?.close();
});

/** Kernel ids of the programs on the path of a copy. */
function programs(): number[] {
  const { vm, by } = world.devices;
  return [vm, by].flatMap(({ ifindex }) =>
    (['ingress', 'egress'] as const).flatMap((hook) => programsAt(ifindex, hook)),
  );
}

function isLoaded(program: number): boolean {
  try {
    execFileSync('bpftool', ['prog', 'show', 'id', String(program)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A new agent of this build, as far as the data path goes. */
async function start(object: string): Promise<CounterReport> {
  const datapath = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs, object });
  await datapath.open();
  try {
    assert.deepEqual((await datapath.apply(state)).refused, []);
    const again = await datapath.apply(state);
    assert.deepEqual([again.attached, again.detached, again.written], [0, 0, 0]);
    return await datapath.counters();
  } finally {
    datapath.close();
  }
}

/**
 * Runs one build after the other under traffic. Asserts that every frame is copied once, and that
 * each build replaced the programs of the one before in the same links, and left no map of it.
 * Returns the last counters and how much was sent.
 */
async function upgrade(
  ...objects: string[]
): Promise<{ report: CounterReport; sent: Record<string, number>; reports: CounterReport[] }> {
  const { vm, by, dst, und } = world.devices;
  runs++;
  const [local, erspan] = [`local-${runs}`, `erspan-${runs}`];
  state = {
    captures: [...capturesOf(vm.ifindex, 'L', { source: local }), ...capturesOf(by.ifindex, 'E', { source: erspan })],
    deliveries: [localTo(dst.ifindex), erspanOver(world)],
    terminations: [],
    mirrorDevice: und.ifindex,
  };
  await start(objects[0]!);
  const ids = places(world.bpffs);
  const sniffers = await Promise.all(['farp', 'dstp', 'undp'].map((device) => Sniffer.start(device, { longest: 256 })));
  const [originals, copies, outer] = sniffers as [Sniffer, Sniffer, Sniffer];
  const reports: CounterReport[] = [];
  try {
    const paced = [
      { device: 'vmp', frame: padded(frames.get('ipv4-udp')!) },
      { device: 'byp', frame: padded(frames.get('arp-request')!) },
    ];
    const sent = await underLoad(
      paced,
      async () => {
        for (const object of objects.slice(1)) {
          await copies.expect(copies.frames().length + 100);
          const old = programs();
          reports.push(await start(object));
          const fresh = programs();
          assert.equal(fresh.length, old.length);
          assert.deepEqual(
            fresh.filter((id) => old.includes(id)),
            [],
            'every program is of the new build',
          );
          assert.deepEqual(places(world.bpffs), ids, 'the links are the same');
          await until('the old programs to be unloaded', () => !old.some(isLoaded));
          assert.deepEqual(readdirSync(join(world.bpffs, 'maps')).sort(), [...MAPS].sort());
          assert.equal(readdirSync(world.bpffs).filter((name) => name.startsWith('programs')).length, 1);
        }
        await copies.expect(copies.frames().length + 100);
      },
      0.0005,
    );
    await Promise.all([originals.expect(sent.vmp!), copies.expect(sent.vmp!), outer.expect(sent.byp!)]);
    assertEveryOne(originals.frames(), sent.vmp!, 'originals');
    assertEveryOne(copies.frames(), sent.vmp!, 'copies to the device');
    assertEveryOne(outer.frames(), sent.byp!, 'copies in ERSPAN');
    const report = await start(objects.at(-1)!);
    assertSumsClose(report);
    return { report, sent, reports };
  } finally {
    for (const sniffer of sniffers) {
      sniffer.close();
    }
  }
}

test('a new build replaces the programs in their links, and the old one does again: no copy is missing or double, counters go on', async () => {
  const { report, sent, reports } = await upgrade(OBJECT_PATH, builds.same, OBJECT_PATH);
  assert.equal(countsOf(report, 'outbound', `local-${runs}`).copied.packets, sent.vmp);
  assert.equal(countsOf(report, 'outbound', `erspan-${runs}`).copied.packets, sent.byp);
  assert.deepEqual(new Set([report, ...reports].map(({ epoch }) => epoch)).size, 1);
});

test('a build with other tables fills them before it takes over: no copy is missing or double, counters continue', async () => {
  const { report, sent, reports } = await upgrade(OBJECT_PATH, builds.tables, OBJECT_PATH);
  const entries = (name: string) =>
    JSON.parse(run('bpftool', '-j', 'map', 'show', 'pinned', join(world.bpffs, 'maps', name))).max_entries as number;
  assert.equal(entries('captures'), 8192);
  await start(builds.tables);
  assert.equal(entries('captures'), 8193);
  assert.equal(countsOf(report, 'outbound', `local-${runs}`).copied.packets, sent.vmp);
  assert.equal(countsOf(report, 'outbound', `erspan-${runs}`).copied.packets, sent.byp);
  assert.deepEqual(new Set([report, ...reports].map(({ epoch }) => epoch)).size, 1);
});

test('a build with other counters counts from 0 in a new epoch: no copy is missing or double, and the sums close', async () => {
  const { report, sent, reports } = await upgrade(OBJECT_PATH, builds.counters, OBJECT_PATH);
  assert.equal(new Set(reports.map(({ epoch }) => epoch)).size, 2, 'each change of the counters is another epoch');
  const { copied } = countsOf(report, 'outbound', `local-${runs}`);
  assert.ok(copied.packets > 0 && copied.packets < sent.vmp!, `${copied.packets} of ${sent.vmp} since the last change`);
});
