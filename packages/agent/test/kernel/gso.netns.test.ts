/** Super-packets: segments of copies are those of the original, where the underlay has room. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { CounterReport } from '@mirrorplane/contract';
import type { DeliveryEntry } from '../../src/datapath/datapath.ts';
import { run, segmentInSoftware } from './support/namespace.ts';
import { RawSocket, type SuperPacket } from './support/raw-socket.ts';
import { type BigRequest, scapy } from './support/scapy.ts';
import { assertInnerChecksums, streamOf } from './support/segments.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  edgeTo,
  erspanOver,
  localTo,
  stateOf,
  useWorld,
} from './support/world.ts';

const OUTER = 14 + 20 + 8 + 8;

const world = await useWorld({ underlayMtu: 1600 });
let super4: Buffer;
let super6: Buffer;
let superTagged: Buffer;
let superUdp: Buffer;
let noUdp: string | undefined;
let runs = 0;

/** 40,000 bytes in which no two parts are equal. */
const PAYLOAD = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff));
const TCP4: SuperPacket = { kind: 'tcp4', segment: 1448, transport: 34 };
const TCP6: SuperPacket = { kind: 'tcp6', segment: 1428, transport: 54 };
const TAGGED: SuperPacket = { kind: 'tcp4', segment: 1448, transport: 38 };
const UDP: SuperPacket = { kind: 'udp', segment: 1400, transport: 34 };

before(() => {
  const one: BigRequest = { payload: PAYLOAD };
  const built = scapy({ tcp: [one, { ...one, six: true }, { ...one, vlan: 77 }], udp: [one] });
  [super4, super6, superTagged] = built.tcp as [Buffer, Buffer, Buffer];
  [superUdp] = built.udp as [Buffer];
  // The other ends of these devices see packets as they would be on a wire.
  segmentInSoftware('far', 'vm', 'dst', 'und');
  noUdp = RawSocket.noUdpSuperPackets('vmp', superUdp, UDP);
});

/**
 * Applies one delivery under the name of a new source, so that all counters begin at 0. Returns
 * that name.
 */
async function capture(delivery: DeliveryEntry): Promise<string> {
  const source = `run-${++runs}`;
  const captures = capturesOf(world.devices.vm.ifindex, source, { source });
  await world.datapath.apply(stateOf({ captures, deliveries: [{ ...delivery, id: source }] }));
  return source;
}

function sentBy(report: CounterReport, delivery: string) {
  return report.deliveries.find((entry) => entry.delivery === delivery)!.sent;
}

const cases = [
  ['IPv4', () => super4, TCP4],
  ['IPv6', () => super6, TCP6],
  ['VLAN-tagged', () => superTagged, TAGGED],
] as const;

for (const [direction, from, to] of [
  ['outbound', 'guest', 'farp'],
  ['inbound', 'host', 'vmp'],
] as const) {
  describe(`${direction} super-packets`, () => {
    for (const [name, packet, gso] of cases) {
      test(`${name}: a super-packet leaves at underlay MTU 1600 in the segments of its original`, async () => {
        const source = await capture(erspanOver(world, { mtu: 1600 }));
        const count = Math.ceil(PAYLOAD.length / gso.segment);
        await sniffing([to, 'undp'], async ([originals, outer]) => {
          world[from].send(packet(), gso);
          const segments = await originals.expect(count);
          const outers = await outer.expect(count);
          assertSameFrames(
            outers.map((frame) => frame.subarray(OUTER)),
            segments,
            'inner segments',
          );
          assert.ok(outers.every((frame) => frame.length <= 1614));
          assertInnerChecksums(outer, 'tcp');
          const report = await world.datapath.counters();
          const counts = countsOf(report, direction, source);
          assert.deepEqual(counts.matched, countOf(segments), 'a super-packet counts as its segments');
          assert.deepEqual(counts.copied, countOf(segments));
          assert.deepEqual(sentBy(report, source), countOf(outers));
          assertSumsClose(report);
        });
      });

      test(`${name}: a super-packet is cut smaller at underlay MTU 1500, with the same byte stream`, async () => {
        const source = await capture(erspanOver(world, { mtu: 1500 }));
        await sniffing([to, 'undp'], async ([originals, outer]) => {
          world[from].send(packet(), gso);
          const segments = await originals.expect(Math.ceil(PAYLOAD.length / gso.segment));
          const room = gso.transport === 38 ? 54 : 50;
          const outers = await outer.expect(Math.ceil(PAYLOAD.length / (gso.segment - room)));
          assert.ok(outers.every((frame) => frame.length <= 1514));
          const inner = outers.map((frame) => frame.subarray(OUTER));
          assert.ok(streamOf(inner).equals(PAYLOAD), 'byte stream');
          assert.ok(streamOf(segments).equals(PAYLOAD), 'byte stream of the original');
          assertInnerChecksums(outer, 'tcp');
          const report = await world.datapath.counters();
          assert.deepEqual(countsOf(report, direction, source).copied, countOf(segments));
          assert.deepEqual(sentBy(report, source), countOf(outers));
          assertSumsClose(report);
        });
      });
    }

    test('a super-packet is copied to a local device in the segments of its original', async () => {
      const source = await capture(localTo(world.devices.dst.ifindex));
      const count = Math.ceil(PAYLOAD.length / TCP4.segment);
      await sniffing([to, 'dstp'], async ([originals, copies]) => {
        world[from].send(super4, TCP4);
        const segments = await originals.expect(count);
        assertSameFrames(await copies.expect(count), segments, 'copies');
        assert.deepEqual(countsOf(await world.datapath.counters(), direction, source).copied, countOf(segments));
      });
    });

    test('a super-packet leaves an edge device with a tag on each segment', async () => {
      const source = await capture(edgeTo(world.devices.dst.ifindex));
      const count = Math.ceil(PAYLOAD.length / TCP4.segment);
      await sniffing([to, 'dstp'], async ([originals, copies]) => {
        world[from].send(super4, TCP4);
        const segments = await originals.expect(count);
        const tag = Buffer.from('81000064', 'hex');
        const tagged = segments.map((frame) => Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]));
        const seen = await copies.expect(count);
        assertSameFrames(seen, tagged, 'copies');
        const report = await world.datapath.counters();
        assert.deepEqual(countsOf(report, direction, source).copied, countOf(segments));
        assert.deepEqual(sentBy(report, source), countOf(seen));
      });
    });

    test('a UDP super-packet keeps its datagrams where they fit', async (t) => {
      if (noUdp !== undefined) {
        return t.skip(noUdp);
      }
      const source = await capture(erspanOver(world, { mtu: 1500 }));
      const count = Math.ceil(PAYLOAD.length / UDP.segment);
      await sniffing([to, 'undp'], async ([originals, outer]) => {
        world[from].send(superUdp, UDP);
        const segments = await originals.expect(count);
        const outers = await outer.expect(count);
        assertSameFrames(
          outers.map((frame) => frame.subarray(OUTER)),
          segments,
          'inner datagrams',
        );
        assertInnerChecksums(outer, 'udp');
        assert.deepEqual(countsOf(await world.datapath.counters(), direction, source).copied, countOf(segments));
      });
    });

    test('a UDP super-packet with datagrams that do not fit leaves in truncated datagrams', async (t) => {
      if (noUdp !== undefined) {
        return t.skip(noUdp);
      }
      const source = await capture(erspanOver(world, { mtu: 1400 }));
      await sniffing([to, 'undp'], async ([originals, outer]) => {
        world[from].send(superUdp, UDP);
        const count = Math.ceil(PAYLOAD.length / UDP.segment);
        const segments = await originals.expect(count);
        const outers = await outer.expect(count);
        assertSameFrames(
          outers.map((frame) => frame.subarray(OUTER)),
          segments.map((frame) => frame.subarray(0, 1400 + 14 - OUTER)),
          'inner datagrams',
        );
        const truncated = countOf(segments.filter(({ length }) => length > 1400 + 14 - OUTER));
        assert.ok(truncated.packets >= count - 1);
        const report = await world.datapath.counters();
        const counts = countsOf(report, direction, source);
        assert.deepEqual(counts.copied, countOf(segments));
        assert.deepEqual(counts.truncated, truncated);
        assert.deepEqual(sentBy(report, source), countOf(outers));
        assertSumsClose(report);
      });
    });

    test('a TCP super-packet leaves in parts of its segments if its segments would become tiny', async () => {
      const source = await capture(erspanOver(world, { mtu: 220 }));
      await sniffing([to, 'undp'], async ([originals, outer]) => {
        const payload = PAYLOAD.subarray(0, 10_000);
        world[from].send(shortened(super4, payload.length), TCP4);
        const segments = await originals.expect(Math.ceil(payload.length / TCP4.segment));
        await outer.expect(Math.ceil(payload.length / (220 + 14 - OUTER - 66)));
        const report = await world.datapath.counters();
        const outers = await outer.expect(sentBy(report, source).packets);
        assert.ok(streamOf(outers.map((frame) => frame.subarray(OUTER))).equals(payload), 'byte stream');
        assert.ok(outers.every((frame) => frame.length <= 220 + 14));
        assert.deepEqual(countsOf(report, direction, source).copied, countOf(segments));
        assert.deepEqual(sentBy(report, source), countOf(outers));
        assertSumsClose(report);
      });
    });
  });
}

test('segments of any size and remainder are counted as many as leave', async () => {
  const source = await capture(erspanOver(world, { mtu: 1500 }));
  const headers = 14 + 20 + 32;
  const plans = [
    [500, 501],
    [1200, 1201],
    [1398, 1398 * 3],
    [1399, 1399 * 3],
    [1448, 1449],
    [1448, 1448 * 2 + 1],
    [1448, 1398 * 4],
  ] as const;
  await sniffing(['farp', 'undp'], async ([originals, outer]) => {
    let originalCount = 0;
    let outerCount = 0;
    for (const [segment, length] of plans) {
      world.guest.send(shortened(super4, length), { ...TCP4, segment });
      originalCount += Math.ceil(length / segment);
      outerCount += Math.ceil(length / (segment + headers + 36 <= 1500 ? segment : segment - 50));
    }
    const seen = await originals.expect(originalCount);
    const outers = await outer.expect(outerCount);
    assert.ok(outers.every((frame) => frame.length <= 1514));
    const report = await world.datapath.counters();
    assert.deepEqual(countsOf(report, 'outbound', source).copied, countOf(seen));
    assert.deepEqual(sentBy(report, source), countOf(outers));
    assertSumsClose(report);
  });
});

/**
 * A super-packet of IPv4 with less payload. The kernel sets length and checksum of each segment
 * again.
 */
function shortened(packet: Buffer, payload: number): Buffer {
  const frame = Buffer.from(packet.subarray(0, 14 + 20 + 32 + payload));
  frame.writeUInt16BE(frame.length - 14, 16);
  return setIpChecksum(frame);
}

function setIpChecksum(frame: Buffer): Buffer {
  frame.writeUInt16BE(0, 24);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) {
    sum += frame.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  frame.writeUInt16BE(~sum & 0xffff, 24);
  return frame;
}

test('where the underlay segments later, a super-packet stays whole', async () => {
  run('ethtool', '-K', 'und', 'tx', 'on', 'tso', 'on', 'gso', 'on');
  try {
    await capture(erspanOver(world, { mtu: 1600 }));
    await sniffing(['undp'], async ([outer]) => {
      world.guest.send(super4, TCP4);
      const [whole] = await outer.expect(1);
      assert.equal(whole!.length, super4.length + OUTER);
    });
  } finally {
    segmentInSoftware('und');
  }
});
