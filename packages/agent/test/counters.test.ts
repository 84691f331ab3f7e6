/** Reads counters while a CPU counts a packet. */
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
