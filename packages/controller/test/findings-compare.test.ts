/** Streams at two places: what was lost is found, however the packets were cut and joined. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { tcpFrame } from './findings/frames.ts';
import { DB, WEB, World } from './findings/world.ts';

const MSS = 500;
const PORTS = { sourcePort: 40_000, targetPort: 5432, acknowledged: 1 };

/** Sends `count` segments as super-packets of these sizes, beginning at a segment. */
function see(
  world: World,
  place: 'sent' | 'arrived' | 'delivered',
  segments: readonly number[],
  sizes: readonly number[],
  start: number,
) {
  for (let i = 0, turn = 0; i < segments.length; turn++) {
    const most = sizes[turn % sizes.length]!;
    let length = 1;
    // Only neighbours in the stream can be one packet.
    while (length < most && segments[i + length] === segments[i]! + length) {
      length++;
    }
    const sequence = (start + segments[i]! * MSS) >>> 0;
    const frame = tcpFrame(WEB, DB, { ...PORTS, sequence, data: length * MSS }, turn);
    world.see('there', place, frame, length > 1 ? { gsoSize: MSS, packets: length } : {});
    i += length;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 45 }), { minLength: 1, maxLength: 5 });
const stream = fc.record({
  count: fc.integer({ min: 1, max: 200 }),
  lost: fc.uniqueArray(fc.integer({ min: 0, max: 199 }), { maxLength: 40 }),
  start: fc.oneof(fc.constant(2 ** 32 - 5000), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  sent: sizes,
  arrived: sizes,
  delivered: sizes,
});

/** Numbers of all segments, of those that are lost, and of the others, in order. */
function segmentsOf(count: number, lost: readonly number[]) {
  const all = Array.from({ length: count }, (_, i) => i);
  const [gone, rest] = [true, false].map((isLost) => all.filter((i) => lost.includes(i) === isLost)) as [
    number[],
    number[],
  ];
  return { all, gone, rest };
}

test('finds the segments that are lost, however they are cut and joined', () => {
  fc.assert(
    fc.property(stream, ({ count, lost, start, ...cut }) => {
      const { all, gone, rest } = segmentsOf(count, lost);
      const world = new World();
      see(world, 'sent', all, cut.sent, start);
      see(world, 'arrived', all, cut.arrived, start);
      see(world, 'delivered', rest, cut.delivered, start);
      const { there } = world.answer();
      assert.deepEqual([there.sent, there.lostBefore, there.lostBehind], [count, 0, gone.length]);
    }),
  );
});

test('counts each loss where a segment is lost again when it is sent again', () => {
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 4 }), ({ count, lost, start, ...cut }, times) => {
      const { all, gone, rest } = segmentsOf(count, lost);
      const world = new World();
      see(world, 'sent', all, cut.sent, start);
      see(world, 'arrived', rest, cut.arrived, start);
      see(world, 'delivered', rest, cut.delivered, start);
      for (let time = 0; time < times; time++) {
        see(world, 'sent', gone, [1], start);
      }
      see(world, 'arrived', gone, [1], start);
      see(world, 'delivered', gone, cut.delivered, start);
      const { there } = world.answer();
      assert.deepEqual([there.lostBefore, there.lostBehind], [gone.length * times, 0]);
      assert.equal(there.retransmissions, gone.length * times);
    }),
  );
});

test('finds what is lost of packets without a stream, in any order', () => {
  const one = fc.record({
    flags: fc.constantFrom('A', 'RA'),
    acknowledged: fc.integer({ min: 0, max: 5 }),
    lost: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (packets) => {
      const world = new World();
      const frames = packets.map(({ flags, acknowledged }) => tcpFrame(WEB, DB, { ...PORTS, flags, acknowledged }));
      for (const frame of frames) {
        world.see('there', 'sent', frame);
      }
      for (const [i, frame] of [...frames.entries()].reverse()) {
        if (!packets[i]!.lost) {
          world.see('there', 'arrived', frame);
          world.see('there', 'delivered', frame);
        }
      }
      assert.equal(world.answer().there.lostBefore, packets.filter(({ lost }) => lost).length);
    }),
  );
});
