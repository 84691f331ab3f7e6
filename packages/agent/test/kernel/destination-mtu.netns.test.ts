/**
 * Copies to a destination with a smaller MTU than their source: TCP is cut to it, all else is
 * counted.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { CounterReport } from '@mirrorplane/contract';
import type { DeliveryEntry } from '../../src/datapath/datapath.ts';
import { link, run, segmentInSoftware } from './support/namespace.ts';
import { RawSocket, type SuperPacket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { assertInnerChecksums, streamOf } from './support/segments.ts';
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
  OTHER_ADDRESS,
  OWN_ADDRESS,
  stateOf,
  useWorld,
} from './support/world.ts';

/** The source's MTU. */
const JUMBO = 9000;
const OUTER = 14 + 20 + 8 + 8;
/** 40,000 bytes, none of whose parts looks like another. */
const PAYLOAD = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff));

const world = await useWorld({ underlayMtu: 9100 });
let runs = 0;
/**
 * By name: headers of a super-packet of PAYLOAD, how it is to be cut, length of its headers without
 * a tag.
 */
let supers: Map<string, { packet: Buffer; gso: SuperPacket; headers: number }>;
/** Frames with their checksums, by length of their payload. */
let singles: { name: string; payload: Buffer; frame: Buffer }[];
let datagrams: Map<number, Buffer>;

before(() => {
  const one = { payload: PAYLOAD };
  const lengths = [1448, 1449, 2896, 2897, 5000, 8900];
  const parts = lengths.map((length) => PAYLOAD.subarray(0, length));
  const built = scapy({
    tcp: [one, { ...one, six: true }, { ...one, vlan: 77 }],
    udp: [one],
    segments: parts.flatMap((payload) => [{ payload }, { payload, six: true }, { payload, vlan: 77 }]),
    datagrams: [1472, 1476, 1477, 5000].map((length) => ({ payload: PAYLOAD.subarray(0, length) })),
  });
  const [four, six, tagged] = built.tcp as [Buffer, Buffer, Buffer];
  supers = new Map([
    ['IPv4', { packet: four, gso: { kind: 'tcp4', segment: 8948, transport: 34 }, headers: 66 }],
    ['IPv6', { packet: six, gso: { kind: 'tcp6', segment: 8928, transport: 54 }, headers: 86 }],
    ['VLAN-tagged', { packet: tagged, gso: { kind: 'tcp4', segment: 8948, transport: 38 }, headers: 66 }],
    ['UDP', { packet: built.udp[0]!, gso: { kind: 'udp', segment: 4000, transport: 34 }, headers: 42 }],
  ]);
  singles = built.segments.map((frame, i) => ({
    name: ['IPv4', 'IPv6', 'VLAN-tagged'][i % 3]!,
    payload: parts[Math.floor(i / 3)]!,
    frame,
  }));
  datagrams = new Map(built.datagrams.map((frame) => [frame.length, frame]));
  for (const device of ['vm', 'vmp', 'far', 'farp', 'lan']) {
    run('ip', 'link', 'set', device, 'mtu', String(JUMBO));
  }
  // What leaves these devices is seen at their other ends as it would be on a wire.
  segmentInSoftware('far', 'dst', 'und');
});

/**
 * Applies one delivery under the name of a new source, so that all counters begin at 0. Returns
 * that name.
 */
async function capture(delivery: DeliveryEntry): Promise<string> {
  const source = `run-${++runs}`;
  const captures = capturesOf(world.devices.vm.ifindex, source, { source, mtu: JUMBO });
  await world.datapath.apply(stateOf({ captures, deliveries: [{ ...delivery, id: source }] }));
  return source;
}

const sentBy = (report: CounterReport, delivery: string) =>
  report.deliveries.find((entry) => entry.delivery === delivery)!.sent;

/**
 * How a copy leaves: what is in front of it at the other end, the tag that is pushed, and how the
 * delivery is made.
 */
const WAYS = [
  { way: 'by ERSPAN over jumbo frames', to: 'undp', outer: OUTER, mtu: 9100 },
  { way: 'by ERSPAN over an underlay of MTU 1600', to: 'undp', outer: OUTER, mtu: 1600 },
  { way: 'by ERSPAN over an underlay of MTU 1500', to: 'undp', outer: OUTER, mtu: 1500 },
  { way: 'to a local device', to: 'dstp', outer: 0, kind: 'local' },
  { way: 'out of an edge device', to: 'dstp', outer: 0, kind: 'edge' },
] as const;

function deliveryOf(way: (typeof WAYS)[number], destinationMtu: number): DeliveryEntry {
  const { ifindex } = world.devices.dst;
  if ('mtu' in way) {
    return erspanOver(world, { mtu: way.mtu, destinationMtu });
  }
  return way.kind === 'local' ? localTo(ifindex, { mtu: destinationMtu }) : edgeTo(ifindex, { mtu: destinationMtu });
}

/** The copy as the destination would have it: without outer headers and the tag of the policy. */
function copyOf(way: (typeof WAYS)[number], frame: Buffer): Buffer {
  const inner = frame.subarray(way.outer);
  return 'kind' in way && way.kind === 'edge' ? Buffer.concat([inner.subarray(0, 12), inner.subarray(16)]) : inner;
}

/** Length of a frame without its tag. */
const untagged = (frame: Buffer) => frame.length - ([0x8100, 0x88a8].includes(frame.readUInt16BE(12)) ? 4 : 0);

for (const way of WAYS) {
  const room = 'mtu' in way ? way.mtu - OUTER : 1500; // of an IP packet of the source, without a tag
  for (const name of ['IPv4', 'IPv6', 'VLAN-tagged'] as const) {
    test(`${name}: a jumbo super-packet is cut to a destination of MTU 1500 ${way.way}`, async () => {
      const { packet, gso, headers } = supers.get(name)!;
      const source = await capture(deliveryOf(way, 1500));
      const tag = name === 'VLAN-tagged' && 'mtu' in way && way.mtu === 1500 ? 4 : 0;
      const segment = Math.min(1500, room) + 14 - headers - tag;
      await sniffing([way.to], async ([at]) => {
        world.guest.send(packet, gso);
        const outers = await at.expect(Math.ceil(PAYLOAD.length / segment));
        const copies = outers.map((frame) => copyOf(way, frame));
        assert.ok(streamOf(copies).equals(PAYLOAD), 'byte stream');
        assert.ok(copies.every((frame) => untagged(frame) <= 1514));
        assertInnerChecksums(at, 'tcp');
        const report = await world.datapath.counters();
        const { matched, copied, truncated, dropped } = countsOf(report, 'outbound', source);
        assert.deepEqual([copied, truncated, dropped], [matched, { packets: 0, bytes: 0 }, {}]);
        assert.equal(matched.packets, Math.ceil(PAYLOAD.length / gso.segment));
        assert.deepEqual(sentBy(report, source), countOf(outers));
        assertSumsClose(report);
      });
    });
  }

  test(`a single TCP segment of any length is cut to a destination of MTU 1500 ${way.way}`, async () => {
    await sniffing([way.to], async ([at]) => {
      let before = 0;
      for (const { name, payload, frame } of singles) {
        const source = await capture(deliveryOf(way, 1500));
        world.guest.send(frame);
        const report = await until('the copy', async () => {
          const counters = await world.datapath.counters();
          return countsOf(counters, 'outbound', source).matched.packets === 1 && counters;
        });
        const sent = sentBy(report, source);
        const outers = (await at.expect(before + sent.packets)).slice(before);
        before += outers.length;
        const copies = outers.map((outer) => copyOf(way, outer));
        assert.ok(streamOf(copies).equals(payload), `byte stream of ${name} ${payload.length}`);
        // A frame that is too long by no more than a tag is taken as it is.
        assert.ok(copies.every((copy) => copy.length <= 1518));
        assert.ok(copies.length === 1 || copies.every((copy) => untagged(copy) <= 1514));
        const headers = frame.length - payload.length;
        const least = Math.min(1514 + (name === 'VLAN-tagged' ? 4 : 0), room + 14) - headers - 3;
        assert.ok(copies.length <= Math.ceil(payload.length / least), 'no more parts than have to be');
        const { copied, truncated, dropped } = countsOf(report, 'outbound', source);
        assert.deepEqual([copied, truncated, dropped], [countOf([frame]), { packets: 0, bytes: 0 }, {}]);
        assert.deepEqual(sent, countOf(outers));
        assertSumsClose(report);
      }
      assertInnerChecksums(at, 'tcp');
    });
  });
}

/**
 * As `capture`, and what arrives at the other end of the underlay is terminated there, for a
 * destination of MTU 1500.
 */
async function loop(mtu: number): Promise<string> {
  const source = `run-${++runs}`;
  const local = localTo(world.devices.dst.ifindex);
  await world.datapath.apply(stateOf({}));
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(world.devices.vm.ifindex, source, { source, mtu: JUMBO }),
      deliveries: [erspanOver(world, { id: source, mtu, destinationMtu: 1500 }), local],
      terminations: [
        erspanFrom(local.id, { id: source, node: 'self', address: OWN_ADDRESS, ownAddress: OTHER_ADDRESS }),
      ],
      mirrorDevice: link('undp').ifindex,
    }),
  );
  return source;
}

for (const mtu of [1600, 9100]) {
  test(`jumbo super-packets come out at a destination of MTU 1500 on another node, underlay ${mtu}`, async () => {
    const id = await loop(mtu);
    await sniffing(['dstp'], async ([copies]) => {
      const { packet, gso } = supers.get('IPv4')!;
      world.guest.send(packet, gso);
      const seen = await copies.expect(Math.ceil(PAYLOAD.length / 1448));
      assert.ok(streamOf(seen).equals(PAYLOAD), 'byte stream');
      const report = await world.datapath.counters();
      assertSumsClose(report);
      const { received, delivered } = report.terminations.find(({ termination }) => termination === id)!;
      assert.deepEqual([received, delivered], [countOf(seen), countOf(seen)]);
    });
  });
}

test('a copy other than TCP that is too long for the destination is dropped there as tooBigForDestination', async () => {
  const id = await loop(9100);
  const whole = [...datagrams].filter(([length]) => length <= 1518).map(([, frame]) => frame);
  const long = [...datagrams].filter(([length]) => length > 1518).map(([, frame]) => frame);
  assert.deepEqual([whole.length, long.length], [2, 2]);
  await sniffing(['dstp'], async ([copies]) => {
    for (const frame of [...long, ...whole]) {
      world.guest.send(frame);
    }
    assertSameFrames(await copies.expect(2), whole, 'copies');
    const report = await world.datapath.counters();
    const { dropped } = report.terminations.find(({ termination }) => termination === id)!;
    assert.deepEqual(dropped, { tooBigForDestination: countOf(long) });
  });
});

test('a UDP super-packet is dropped as tooBigForDestination if its datagrams are too large for the destination', async (t) => {
  const { packet, gso } = supers.get('UDP')!;
  const noUdp = RawSocket.noUdpSuperPackets('vmp', packet, gso);
  if (noUdp !== undefined) {
    return t.skip(noUdp);
  }
  for (const way of WAYS.filter((candidate) => 'kind' in candidate)) {
    const source = await capture(deliveryOf(way, 1500));
    await sniffing(['farp', 'dstp'], async ([originals, copies]) => {
      world.guest.send(packet, gso);
      const segments = await originals.expect(Math.ceil(PAYLOAD.length / gso.segment));
      assert.deepEqual(copies.frames(), []);
      const report = await world.datapath.counters();
      assert.deepEqual(countsOf(report, 'outbound', source).dropped, { tooBigForDestination: countOf(segments) });
      assertSumsClose(report);
    });
  }
});
