/** ERSPAN for a destination that has moved on goes on to the node where it is. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { TerminationReport } from '@mirrorplane/contract';
import type { ErspanDeliveryEntry } from '../../src/datapath/datapath.ts';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  countOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useWorld,
} from './support/world.ts';

/** The node where the destination is now, and the session of the policy there. */
const NEXT_ADDRESS = '10.98.0.3';
const NEXT_SESSION = 1023;
/** IPv4 20, GRE 8, ERSPAN 8 behind the outer Ethernet header of 14. */
const OUTER = 50;

const world = await useWorld({ underlayMtu: 1600 });
let inner: Buffer[];
let packets: Buffer[];
let runs = 0;

before(() => {
  inner = [...scapy({ frames: true }).frames.values()];
  run('ip', 'neigh', 'replace', NEXT_ADDRESS, 'lladdr', world.nextHop.destinationMac, 'dev', 'und', 'nud', 'permanent');
  const { sourceMac, destinationMac } = world.nextHop;
  packets = scapy({
    erspan: inner.map((frame, sequence) => ({
      ...{ inner: frame, source: OTHER_ADDRESS, address: OWN_ADDRESS, session: SESSION, sequence: 1000 + sequence },
      ...{ sourceMac: destinationMac, destinationMac: sourceMac },
    })),
  }).erspan;
});

const towards = (more: Partial<ErspanDeliveryEntry> = {}) =>
  erspanOver(world, { id: 'N', address: NEXT_ADDRESS, session: NEXT_SESSION, mtu: 1600, ...more });

async function apply(
  delivery: 'L' | 'N',
  more: Partial<ErspanDeliveryEntry> = {},
  id = `T-${++runs}`,
): Promise<string> {
  await world.datapath.apply(
    stateOf({
      deliveries: [localTo(world.devices.dst.ifindex), towards(more)],
      terminations: [erspanFrom(delivery, { id })],
      mirrorDevice: world.devices.und.ifindex,
    }),
  );
  return id;
}

async function reportOf(id: string): Promise<TerminationReport & { sent: { packets: number } }> {
  const report = await world.datapath.counters();
  assertSumsClose(report);
  const { sent } = report.deliveries.find(({ delivery }) => delivery === 'N')!;
  return { ...report.terminations.find(({ termination }) => termination === id)!, sent };
}

test('every kind of copy is relayed with new addresses, session and sequence, and is not delivered here', async () => {
  const id = await apply('N');
  const before = (await reportOf(id)).sent.packets;
  await sniffing(['undp', 'dstp', 'byp'], async ([wire, copies, bystander]) => {
    for (const packet of packets) {
      world.wire.send(packet);
    }
    const out = await wire.expect(packets.length);
    assertSameFrames(
      out.map((packet) => packet.subarray(OUTER)),
      inner,
      'the copies inside',
    );
    const fields = ['ip.src', 'ip.dst', 'ip.checksum.status', 'erspan.spanid', 'gre.sequence_number'];
    const rows = wire.decode(fields, 'first', ['-o', 'ip.check_checksum:TRUE']);
    const outer = rows.map(([source, destination, checksum, session]) => [source, destination, checksum, session]);
    assert.deepEqual(outer, Array(packets.length).fill([OWN_ADDRESS, NEXT_ADDRESS, '1', String(NEXT_SESSION)]));
    const sequence = rows.map((row) => Number(row[4]));
    assert.deepEqual(
      sequence,
      sequence.map((_, i) => sequence[0]! + i),
    );
    // What the sender said of the frame is handed on: all but the session of the first word, and
    // the index.
    for (const [i, packet] of out.entries()) {
      const [was, is] = [packets[i]!, packet].map((data) => data.subarray(OUTER - 8, OUTER).toString('hex'));
      assert.equal(parseInt(is!.slice(0, 8), 16) >>> 10, parseInt(was!.slice(0, 8), 16) >>> 10);
      assert.equal(is!.slice(8), was!.slice(8));
    }
    assert.deepEqual([copies.frames(), bystander.frames()], [[], []]);
  });
  const { received, relayed, delivered, dropped, sent } = await reportOf(id);
  assert.deepEqual([received, relayed], [countOf(inner), countOf(inner)]);
  assert.deepEqual([delivered.packets, dropped], [0, {}]);
  assert.equal(sent.packets - before, packets.length);
});

test('from one delivery to the other is one write: no copy is lost or duplicated in between', async () => {
  const id = await apply('L');
  const times = 40;
  await sniffing(['undp', 'dstp'], async ([wire, copies]) => {
    for (let i = 0; i < times; i++) {
      world.wire.send(packets[0]!);
      await apply(i % 2 ? 'L' : 'N', {}, id);
    }
    await copies.expect(times / 2);
    await wire.expect(times / 2);
    assert.deepEqual([copies.frames().length, wire.frames().length], [times / 2, times / 2]);
  });
  const { received, relayed, delivered } = await reportOf(id);
  assert.deepEqual([received.packets, relayed.packets, delivered.packets], [times, times / 2, times / 2]);
});

test('a copy waits until the next node has answered', async () => {
  const known = ['lladdr', world.nextHop.destinationMac, 'nud', 'permanent'];
  const neigh = (what: string, ...words: string[]) => run('ip', 'neigh', what, NEXT_ADDRESS, 'dev', 'und', ...words);
  const id = await apply('N');
  neigh('del');
  try {
    await sniffing(['undp'], async ([wire]) => {
      world.wire.send(packets[0]!);
      const [question] = await wire.expect(1);
      assert.equal(question!.readUInt16BE(12), 0x0806, 'an ARP request');
      neigh('replace', ...known);
      const isIpv4 = (frame: Buffer) => frame.readUInt16BE(12) === 0x0800;
      const [copy] = await until('the copy', () => {
        const copies = wire.frames().filter(isIpv4);
        return copies.length > 0 && copies;
      });
      assertSameFrames([copy!.subarray(OUTER)], [inner[0]!], 'the copy inside');
    });
  } finally {
    neigh('replace', ...known);
  }
  assert.deepEqual((await reportOf(id)).relayed, countOf([inner[0]!]));
});

test('where the next node cannot be reached, or its MTU is too small, copies are dropped and counted', async () => {
  const gone = await apply('N', { ifindex: 0 });
  world.wire.send(packets[0]!);
  assert.deepEqual((await reportOf(gone)).dropped, { destinationDown: countOf([inner[0]!]) });
  const small = await apply('N', { mtu: packets[0]!.length - 15 });
  world.wire.send(packets[0]!);
  assert.deepEqual((await reportOf(small)).dropped, { tooBigForDestination: countOf([inner[0]!]) });
});
