/**
 * During a live migration the guest has a device on two nodes. Only the device on the guest's node
 * is captured.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { Program, VERDICT } from '../../../bpf/test/support/prog-run.ts';
import type { HookCapture } from '../../src/datapath/datapath.ts';
import { planArrivals } from '../../src/reconcile/arrivals.ts';
import { run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { sniffing } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, localTo, stateOf, useWorld } from './support/world.ts';

const GUEST = '020000000001';
const OTHER = '020000000002';
const BROADCAST = 'ffffffffffff';
/** An Ethernet frame of an experimental type (IEEE 802.1Q, local experimental EtherType 1). */
const frame = (to: string, from: string, text: string) =>
  Buffer.concat([Buffer.from(`${to}${from}88b5`, 'hex'), Buffer.from(text.padEnd(46, '.'))]);

const world = await useWorld();
let programs: { outbound: Program; inbound: Program };
let runs = 0;

before(() => {
  programs = {
    outbound: new Program(world.bpffs, 'capture_ingress'),
    inbound: new Program(world.bpffs, 'capture_egress'),
  };
});
after(() => {
  for (const program of Object.values(programs ?? {})) {
    program.close();
  }
});

/** Applies captures of the VM's device under a new source. */
async function apply(standby: boolean, pick: (all: HookCapture[]) => HookCapture[] = (all) => all): Promise<string> {
  const source = `run-${++runs}`;
  const captures = pick(capturesOf(world.devices.vm.ifindex, 'L', { source, standby }));
  await world.datapath.apply(stateOf({ captures, deliveries: [localTo(world.devices.dst.ifindex)] }));
  return source;
}

function pass(direction: 'outbound' | 'inbound', data: Buffer): void {
  const { verdict, packet } = programs[direction].run(data, { ifindex: world.devices.vm.ifindex });
  assert.deepEqual([verdict, packet.equals(data)], [VERDICT.next, true]);
}

/** Packets matched and skipped of a direction. */
async function counted(direction: 'outbound' | 'inbound', source: string) {
  const report = await world.datapath.counters();
  assertSumsClose(report);
  const { matched, skipped } = countsOf(report, direction, source);
  return { matched: matched.packets, guestAbsent: skipped.guestAbsent?.packets ?? 0 };
}

test('frames to a guest on another node are not copied until the guest sends a first frame here, which is copied too', async () => {
  const source = await apply(true);
  for (let i = 0; i < 3; i++) {
    pass('inbound', frame(BROADCAST, OTHER, 'before'));
  }
  assert.deepEqual(await counted('inbound', source), { matched: 0, guestAbsent: 3 });
  pass('outbound', frame(BROADCAST, GUEST, 'announcement'));
  pass('inbound', frame(GUEST, OTHER, 'after'));
  assert.deepEqual(await counted('outbound', source), { matched: 1, guestAbsent: 0 });
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 3 });
});

test('with inbound alone captured, the guest’s first frame is seen and not counted', async () => {
  await apply(false); // otherwise the data plane already knows that the guest is here
  const source = await apply(true, (all) => all.filter(({ direction }) => direction === 'inbound'));
  pass('inbound', frame(BROADCAST, OTHER, 'before'));
  pass('outbound', frame(BROADCAST, GUEST, 'announcement'));
  pass('inbound', frame(GUEST, OTHER, 'after'));
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 1 });
  const report = await world.datapath.counters();
  const own = report.captures.filter((capture) => capture.source === source);
  assert.deepEqual(
    own.map(({ direction }) => direction),
    ['inbound'],
  );
});

test('applying the same state again does not put a guest to sleep that has sent', async () => {
  const source = await apply(true);
  pass('outbound', frame(BROADCAST, GUEST, 'announcement'));
  const captures = capturesOf(world.devices.vm.ifindex, 'L', { source, standby: true });
  const { written } = await world.datapath.apply(
    stateOf({ captures, deliveries: [localTo(world.devices.dst.ifindex)] }),
  );
  assert.equal(written, 0);
  pass('inbound', frame(GUEST, OTHER, 'after'));
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 0 });
});

test('a guest that is about to leave, and sends from behind an uplink, is not captured here any more, from that very frame on', async () => {
  const { vm, far, by, dst } = world.devices;
  run('ip', 'link', 'set', 'by', 'master', 'lan');
  const bystander = new RawSocket('byp');
  const source = `run-${++runs}`;
  const bridge = Number(JSON.parse(run('ip', '-json', 'link', 'show', 'lan'))[0].ifindex);
  // The state of an agent with a forwarding table that is never read again.
  world.guest.send(frame(BROADCAST, GUEST, 'learn me'));
  const port = (device: string) => ({ name: device, master: bridge, forwarding: true });
  const links = [vm, far, by].map(({ name, ifindex, mac }) => ({ ...port(name), ifindex, mac }));
  const base = { permanentMac: '', mtu: 1500, up: true, linkType: 'veth', alias: '', ethernet: true };
  const all = [
    ...links.map((link) => ({ ...base, ...link })),
    { ...base, name: 'lan', ifindex: bridge, mac: '', master: 0, forwarding: true, linkType: 'bridge' },
  ];
  const guestMac = GUEST.match(/../g)!.join(':');
  const entries = [{ bridge, port: vm.ifindex, mac: guestMac }];
  const plan = planArrivals(capturesOf(vm.ifindex, 'L', { source, handingOver: true }), all, entries);
  await world.datapath.apply(stateOf({ ...plan, deliveries: [localTo(dst.ifindex)] }));
  const behind = () =>
    run('bridge', 'fdb', 'show', 'br', 'lan')
      .split('\n')
      .find((line) => line.startsWith(guestMac))
      ?.split(' ')[2];

  await sniffing(['dstp'], async ([copies]) => {
    bystander.send(frame(GUEST, OTHER, 'one'));
    assert.equal((await copies.expect(1)).length, 1);
    assert.equal(behind(), 'vm');
    // The guest moves: its announcement comes in at the other port, and is flooded to its old
    // device.
    world.far.send(frame(BROADCAST, GUEST, 'announcement'));
    await until('the bridge to learn', () => behind() === 'far');
    bystander.send(frame(GUEST, OTHER, 'two, for the other port'));
    bystander.send(frame(BROADCAST, OTHER, 'three, flooded'));
    // And back.
    world.guest.send(frame(BROADCAST, GUEST, 'four, back'));
    await until('the bridge to learn', () => behind() === 'vm');
    bystander.send(frame(GUEST, OTHER, 'five'));
    const texts = (await copies.expect(3)).map((copy) => copy.subarray(14, 60).toString().replace(/\.+$/, ''));
    assert.deepEqual(texts, ['one', 'four, back', 'five']);
  });
  bystander.close();
  assert.deepEqual(await counted('inbound', source), { matched: 2, guestAbsent: 2 });
});

test('state that the data plane has learned itself is no interference: the agent leaves it unchanged', async () => {
  const source = `run-${++runs}`;
  const captures = capturesOf(world.devices.vm.ifindex, 'L', { source, standby: true });
  const state = stateOf({ captures, deliveries: [localTo(world.devices.dst.ifindex)] });
  await world.datapath.apply(state);
  pass('outbound', frame(BROADCAST, GUEST, 'announcement'));
  // Longer than the agent's interval between two looks at its maps.
  const end = performance.now() + 2000;
  while (performance.now() < end) {
    const { written, repaired } = await world.datapath.apply(state);
    assert.deepEqual([written, repaired], [0, []]);
  }
  pass('inbound', frame(GUEST, OTHER, 'after'));
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 0 });
});

test('what the data plane has seen of a guest stays when the agent rewrites its captures for another reason', async () => {
  const { vm, dst, by } = world.devices;
  const source = `run-${++runs}`;
  const apply = (standby: boolean, device: number) =>
    world.datapath.apply(
      stateOf({ captures: capturesOf(vm.ifindex, 'L', { source, standby }), deliveries: [localTo(device)] }),
    );
  await apply(true, dst.ifindex);
  pass('outbound', frame(BROADCAST, GUEST, 'announcement'));
  assert.ok((await apply(true, by.ifindex)).written > 0);
  pass('inbound', frame(GUEST, OTHER, 'after'));
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 0 });
  // The agent now decides differently, and its decision counts.
  await apply(false, by.ifindex);
  await apply(true, by.ifindex);
  pass('inbound', frame(GUEST, OTHER, 'after it has left'));
  assert.deepEqual(await counted('inbound', source), { matched: 1, guestAbsent: 1 });
});
