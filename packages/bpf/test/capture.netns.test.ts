/** The program `capture` alone, by BPF_PROG_RUN: a packet in, verdict, packet and counters out. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { scapy } from '../../agent/test/kernel/support/scapy.ts';
import {
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  localTo,
  stateOf,
  useWorld,
} from '../../agent/test/kernel/support/world.ts';
import { Program, VERDICT } from './support/prog-run.ts';

/** COPY_MARK of capture.h. */

const world = await useWorld();
let frames: Map<string, Buffer>;
let programs: { outbound: Program; inbound: Program; transform: Program };
let runs = 0;

before(() => {
  frames = scapy({ frames: true }).frames;
  frames.delete('ipv4-broken'); // BPF_PROG_RUN wants whole IP headers
  programs = {
    outbound: new Program(world.bpffs, 'capture_ingress'),
    inbound: new Program(world.bpffs, 'capture_egress'),
    transform: new Program(world.bpffs, 'transform_copy'),
  };
});
after(() => {
  for (const program of Object.values(programs ?? {})) {
    program.close();
  }
});

/** Captures the VM's device under a new source, so that counters begin at 0. Returns its name. */
async function capture(more: { threshold?: number; skipVlanId?: number } = {}): Promise<string> {
  const source = `run-${++runs}`;
  const { vm, dst } = world.devices;
  const captures = capturesOf(vm.ifindex, 'L', { source, ...more });
  await world.datapath.apply(stateOf({ captures, deliveries: [localTo(dst.ifindex)] }));
  return source;
}

for (const direction of ['outbound', 'inbound'] as const) {
  test(`${direction}: every kind of packet passes unchanged and is counted as copied`, async () => {
    const source = await capture();
    const { ifindex } = world.devices.vm;
    for (const [name, frame] of frames) {
      const { verdict, packet, mark } = programs[direction].run(frame, { ifindex, mark: 0x1234 });
      assert.deepEqual([verdict, packet.equals(frame), mark], [VERDICT.next, true, 0x1234], name);
    }
    const report = await world.datapath.counters();
    const all = countOf([...frames.values()]);
    const { matched, copied } = countsOf(report, direction, source);
    assert.deepEqual([matched, copied], [all, all]);
    assertSumsClose(report);
  });

  test(`${direction}: a device that is not mirrored is not counted`, async () => {
    const source = await capture();
    const frame = frames.get('ipv4-udp')!;
    const { verdict, packet } = programs[direction].run(frame, { ifindex: world.devices.by.ifindex });
    assert.deepEqual([verdict, packet], [VERDICT.next, frame]);
    assert.equal(countsOf(await world.datapath.counters(), direction, source).matched.packets, 0);
  });

  test(`${direction}: the VLAN ID that the policy pushes is skipped as sameVlan, be it the outermost`, async () => {
    const source = await capture({ skipVlanId: 44 });
    const { ifindex } = world.devices.vm;
    const same = Buffer.from(frames.get('vlan-ipv4')!);
    same.writeUInt16BE(0xe000 | 44, 14);
    const others = ['qinq-ipv4', 'vlan-ipv4', 'vlan-priority', 'ipv4-udp'].map((name) => frames.get(name)!);
    for (const frame of [same, ...others]) {
      const { verdict, packet } = programs[direction].run(frame, { ifindex });
      assert.deepEqual([verdict, packet], [VERDICT.next, frame]);
    }
    const counts = countsOf(await world.datapath.counters(), direction, source);
    assert.deepEqual([counts.skipped, counts.matched], [{ sameVlan: countOf([same]) }, countOf(others)]);
  });
}

const RUNS = 20_000;
for (const percent of [0, 0.01, 25, 50, 99.99, 100]) {
  test(`${percent} % of ${RUNS} packets are copied, within five standard deviations`, async () => {
    const share = percent / 100;
    const source = await capture({ threshold: Math.round(share * 2 ** 32) });
    const frame = frames.get('ipv4-udp')!;
    // One call for each packet: a call with repetitions ends early if a signal is pending, after an
    // unknown number of packets.
    for (let i = 0; i < RUNS; i++) {
      assert.equal(programs.outbound.run(frame, { ifindex: world.devices.vm.ifindex }).verdict, VERDICT.next);
    }
    const report = await world.datapath.counters();
    const { matched, sampledOut, copied, dropped } = countsOf(report, 'outbound', source);
    assert.equal(matched.packets, RUNS);
    // The kernel drops copies if the other end of the veth has no room. These packets were selected
    // too.
    const chosen = copied.packets + (dropped.destinationDown?.packets ?? 0);
    const bound = 5 * Math.sqrt(RUNS * share * (1 - share));
    assert.ok(Math.abs(chosen - RUNS * share) <= bound, `${chosen} of ${RUNS}, bound ${bound}`);
    assert.equal(sampledOut.packets, RUNS - chosen);
    assertSumsClose(report);
  });
}

test('transform drops what the host sends into the helper device, and counts nothing', async () => {
  await capture();
  const before = await world.datapath.counters();
  for (const frame of frames.values()) {
    assert.equal(programs.transform.run(frame).verdict, VERDICT.shot);
  }
  assert.deepEqual(await world.datapath.counters(), before);
});
