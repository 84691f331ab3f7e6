/** Reads counters while a CPU counts packets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CounterReader } from '../src/datapath/kernel/counters.ts';
import { LAYOUT } from '../src/datapath/kernel/layout.ts';
import type { Slots } from '../src/datapath/kernel/slots.ts';

type Maps = ConstructorParameters<typeof CounterReader>[0];

const SLOTS = { texts: () => [], find: () => 0, life: () => undefined } as unknown as Slots;
const OTHER_MAP = { lookup: () => false, keys: () => [] };

/**
 * Reads a capture whose packets have 100 bytes.
 * @param readings packets that the first CPU has matched and copied, of one look-up after the other.
 * The last one stays
 */
function countsOf(readings: readonly (readonly [matched: number, copied: number])[]) {
  const { matched, copied } = LAYOUT.capture_counters.fields;
  let lookups = 0;
  const lookup = (_key: Buffer, values: Buffer) => {
    const reading = readings[Math.min(lookups++, readings.length - 1)]!;
    for (const [i, at] of [matched, copied].entries()) {
      values.writeBigUInt64LE(BigInt(reading[i]!), at);
      values.writeBigUInt64LE(BigInt(100 * reading[i]!), at + 8);
    }
    return true;
  };
  const maps = new Proxy({}, { get: (_, name) => (name === 'capture_counters' ? { lookup } : OTHER_MAP) });
  const reader = new CounterReader(maps as Maps, SLOTS, 'epoch');
  const capture = { id: 'c', ifindex: 1, hook: 'ingress', policy: 'p', source: 's', direction: 'outbound' };
  reader.remember({ captures: [capture], deliveries: [], terminations: [], mirrorDevice: 0 } as never);
  const { captures } = reader.read();
  const [{ counts }] = captures as [(typeof captures)[number]];
  return { matched: counts.matched, copied: counts.copied, lookups };
}

const packets = (count: number) => ({ packets: count, bytes: 100 * count });

test('counters that do not add up, because a CPU counts a packet now, are read again until they do', () => {
  const read = countsOf([
    [8, 7],
    [9, 8],
    [9, 9],
  ]);
  assert.deepEqual(read, { matched: packets(9), copied: packets(9), lookups: 3 });
});

test('counters that add up are read once', () => {
  assert.deepEqual(countsOf([[9, 9]]), { matched: packets(9), copied: packets(9), lookups: 1 });
});

test('counters that never add up are told as they are, after some tries', () => {
  const { lookups, ...read } = countsOf([[9, 7]]);
  assert.deepEqual(read, { matched: packets(9), copied: packets(7) });
  assert.ok(lookups > 1 && lookups < 20, `${lookups} look-ups`);
});

/**
 * Reads a termination.
 * @param arrived packets that have been received, and the number that is expected next, before each
 * look-up of either. The last one stays
 */
function arrivedOf(arrived: readonly number[]) {
  let lookups = 0;
  const now = () => arrived[Math.min(lookups++, arrived.length - 1)]!;
  const { next, seen } = LAYOUT.lane_state.fields;
  const maps = new Proxy(
    {},
    {
      get: (_, name) => {
        if (name === 'termination_counters') {
          return { lookup: (_key: Buffer, values: Buffer) => values.writeBigUInt64LE(BigInt(now()), 0) > 0 };
        }
        if (name === 'termination_sequences') {
          return {
            lookup: (_key: Buffer, value: Buffer) =>
              value.writeUInt32LE(now(), next) + value.writeUInt32LE(1, seen) > 0,
          };
        }
        return OTHER_MAP;
      },
    },
  );
  const reader = new CounterReader(maps as Maps, SLOTS, 'epoch');
  const termination = { id: 't', policy: 'p', node: 'n' };
  reader.remember({ captures: [], deliveries: [], terminations: [termination], mirrorDevice: 0 } as never);
  const { terminations } = reader.read();
  const [{ received, expected = [] }] = terminations as [(typeof terminations)[number]];
  return { received: received.packets, expected, lookups };
}

test('what has arrived and its numbers are read again until they are of one moment', () => {
  assert.deepEqual(arrivedOf([5, 7, 7, 7, 7]), { received: 7, expected: [7], lookups: 5 });
  assert.deepEqual(arrivedOf([7]), { received: 7, expected: [7], lookups: 3 });
});

test('if copies come between any two reads, what is counted is never less than what has a number', () => {
  const { lookups, ...read } = arrivedOf(Array.from({ length: 100 }, (_, i) => i + 1));
  assert.ok(read.received >= read.expected[0]!, JSON.stringify(read));
  assert.ok(lookups < 30, `${lookups} look-ups`);
});
