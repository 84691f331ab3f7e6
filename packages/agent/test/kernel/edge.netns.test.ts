/** Copies out of an edge device, with a VLAN tag. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  edgeTo,
  stateOf,
  useWorld,
} from './support/world.ts';

const world = await useWorld();
let frames: Map<string, Buffer>;
let runs = 0;

before(() => {
  frames = scapy({ frames: true }).frames;
  frames.delete('stp'); // kept back by the bridge
});

/**
 * Copies to the edge device under a new name, so that all counters begin at 0. Returns the name.
 */
async function capture(more: { skipVlanId?: number } = {}, edge: { mtu?: number; ifindex?: number } = {}) {
  const source = `run-${++runs}`;
  const captures = capturesOf(world.devices.vm.ifindex, source, { source, ...more });
  const delivery = edgeTo(world.devices.dst.ifindex, { id: source, vlanId: 100, ...edge });
  await world.datapath.apply(stateOf({ captures, deliveries: [delivery] }));
  return source;
}

const tagged = (frame: Buffer) =>
  Buffer.concat([frame.subarray(0, 12), Buffer.from('81000064', 'hex'), frame.subarray(12)]);

for (const [direction, from, to] of [
  ['outbound', 'guest', 'farp'],
  ['inbound', 'far', 'vmp'],
  ['inbound', 'host', 'vmp'],
] as const) {
  test(`pushes the VLAN tag on copies of every kind of ${direction} frame from the ${from}, an earlier tag stays inside`, async () => {
    const source = await capture();
    const sent = [...frames.values()];
    await sniffing([to, 'dstp', 'byp'], async ([originals, copies, bystander]) => {
      for (const frame of sent) {
        world[from].send(frame);
      }
      assertSameFrames(await originals.expect(sent.length), sent, 'originals');
      assertSameFrames(await copies.expect(sent.length), sent.map(tagged), 'copies');
      assert.deepEqual(bystander.frames(), []);
    });
    const report = await world.datapath.counters();
    const counts = countsOf(report, direction, source);
    assert.deepEqual([counts.matched, counts.copied], [countOf(sent), countOf(sent)]);
    const { sent: left } = report.deliveries.find(({ delivery }) => delivery === source)!;
    assert.deepEqual(left, countOf(sent.map(tagged)));
    assertSumsClose(report);
  });

  test(`tshark reads the tag of copies of ${direction} frames from the ${from}`, async () => {
    await capture();
    await sniffing(['dstp'], async ([copies]) => {
      world[from].send(frames.get('vlan-ipv4')!);
      await copies.expect(1);
      const fields = ['vlan.id', 'vlan.priority', 'ip.dst'];
      assert.deepEqual(copies.decode(fields, 'first'), [['100', '0', '10.0.0.2']]);
      assert.deepEqual(copies.decode(fields, 'last'), [['33', '5', '10.0.0.2']]);
    });
  });

  test(`leaves out ${direction} frames from the ${from} that carry the VLAN ID that the policy pushes`, async () => {
    const source = await capture({ skipVlanId: 33 });
    const same = [frames.get('vlan-ipv4')!, frames.get('vlan-full')!];
    const other = ['vlan-dei', 'qinq-ipv4', 'ipv4-udp', 'vlan-priority'].map((name) => frames.get(name)!);
    await sniffing([to, 'dstp'], async ([originals, copies]) => {
      for (const frame of [...same, ...other]) {
        world[from].send(frame);
      }
      assertSameFrames(await originals.expect(6), [...same, ...other], 'originals');
      assertSameFrames(await copies.expect(4), other.map(tagged), 'copies');
    });
    const report = await world.datapath.counters();
    const counts = countsOf(report, direction, source);
    assert.deepEqual(counts.skipped, { sameVlan: countOf(same) });
    assert.deepEqual([counts.matched, counts.copied], [countOf(other), countOf(other)]);
  });
}

test('drops copies that are too large for the edge device as tooBigForDestination', async () => {
  const source = await capture({}, { mtu: 1400 });
  const [small, large] = [1418, 1419].map((size) =>
    Buffer.concat([frames.get('ipv4-udp')!, Buffer.alloc(size)]).subarray(0, size),
  );
  await sniffing(['dstp'], async ([copies]) => {
    world.guest.send(large!);
    world.guest.send(small!);
    assertSameFrames(await copies.expect(1), [tagged(small!)], 'copies');
  });
  const report = await world.datapath.counters();
  assert.deepEqual(countsOf(report, 'outbound', source).dropped, { tooBigForDestination: countOf([large!]) });
  assertSumsClose(report);
});

test('drops as destinationDown when there is no edge device', async () => {
  for (const ifindex of [0, 99_999]) {
    const source = await capture({}, { ifindex });
    const frame = frames.get('arp-request')!;
    world.guest.send(frame);
    const counts = countsOf(await world.datapath.counters(), 'outbound', source);
    assert.deepEqual(counts.dropped, { destinationDown: countOf([frame]) });
  }
});
