/** Streams at two places: what was lost is found, however the packets were cut and joined. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ByteCoverage } from '../src/findings/byte-ranges.ts';
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

test('counts segments of a super-packet that says it is 4 GiB of segments of one byte', () => {
  const world = new World();
  world.see('there', 'arrived', tcpFrame(WEB, DB, { ...PORTS, sequence: 100, data: MSS }));
  const whole = tcpFrame(WEB, DB, { ...PORTS, sequence: 1, data: 100 });
  // The length of a super-packet is where IP does not say one.
  whole.writeUInt16BE(0, 16);
  world.see('there', 'sent', whole, { gsoSize: 1, packets: 7, length: 0xffff_ffff });
  assert.equal(world.answer().there.lostBefore, 7);
});

test('takes ranges away as a plain count of each byte does', () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 20 }))
    .map(([start, length]) => ({ start, end: start + length }));
  const ranges = fc.array(range, { maxLength: 30 });
  fc.assert(
    fc.property(ranges, ranges, (seen, asked) => {
      const coverage = new ByteCoverage(seen, asked);
      const counts = new Array<number>(64).fill(0);
      const bytesOf = (one: { start: number; end: number }) => counts.keys().toArray().slice(one.start, one.end);
      for (const byte of seen.flatMap(bytesOf)) {
        counts[byte]!++;
      }
      for (const one of asked) {
        const missing = bytesOf(one).filter((byte) => counts[byte] === 0);
        for (const byte of bytesOf(one)) {
          counts[byte] = Math.max(0, counts[byte]! - 1);
        }
        const taken = coverage.take(one);
        assert.deepEqual(taken.flatMap(bytesOf), missing);
        assert.ok(
          taken.every(({ start }, i) => i === 0 || start > taken[i - 1]!.end),
          'joined and ascending',
        );
      }
    }),
  );
});

// Byte range by byte range, this takes longer than a test may.
test('takes 400,000 ranges away that all overlap', () => {
  const ranges = Array.from({ length: 400_000 }, (_, i) => ({ start: i, end: i + 1_000_000 }));
  const coverage = new ByteCoverage(ranges.slice(1), ranges);
  const missing = ranges.toReversed().flatMap((range) => coverage.take(range));
  assert.equal(
    missing.reduce((sum, { start, end }) => sum + end - start, 0),
    1_000_000,
  );
});
