/** Rows of counters that are taken as they are: only those of which a schema would make the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CaptureReport,
  DeliveryReport,
  DROP_REASONS,
  SKIP_REASONS,
  TERMINATION_DROP_REASONS,
  TerminationReport,
} from '../src/index.ts';
import { plainRows } from '../src/plain-counters.ts';

const plain = plainRows({ drops: DROP_REASONS, skips: SKIP_REASONS, terminationDrops: TERMINATION_DROP_REASONS });
const count = { packets: 3, bytes: 2 ** 60 };
const counts = { matched: count, sampledOut: count, copied: count, truncated: count };
const rows = {
  capture: {
    ...{ policy: 'p', source: 'web-1/0', direction: 'inbound', life: 3 },
    counts: { ...counts, dropped: { noDelivery: count }, skipped: { isCopy: count } },
  },
  delivery: { delivery: 'p/local', policy: 'p', sent: count, feedback: count, numbered: [3, 0, 2 ** 40] },
  termination: {
    ...{ termination: 'p/from/node-1', policy: 'p', node: 'node-1', received: count, delivered: count },
    ...{ relayed: count, dropped: { malformed: count }, missing: count, late: count, expected: [0, 2 ** 28] },
  },
};
const kinds = {
  capture: { isPlain: plain.isCapture, schema: CaptureReport },
  delivery: { isPlain: plain.isDelivery, schema: DeliveryReport },
  termination: { isPlain: plain.isTermination, schema: TerminationReport },
};

/** All places of a value, as lists of names. */
function places(value: unknown): string[][] {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([name, inner]) => [[name], ...places(inner).map((rest) => [name, ...rest])])
    : [];
}

/** A copy with something else at a place. */
function changed(row: unknown, place: readonly string[], value: unknown): unknown {
  const copy = JSON.parse(JSON.stringify(row));
  const parent = place.slice(0, -1).reduce((at, name) => at[name], copy);
  parent[place.at(-1)!] = value;
  return JSON.parse(JSON.stringify(copy));
}

for (const [kind, { isPlain, schema }] of Object.entries(kinds)) {
  const row = rows[kind as keyof typeof rows];

  test(`a ${kind} is taken as it is`, () => {
    assert.ok(isPlain(row));
    assert.deepEqual(schema.parse(row), row);
  });

  test(`a ${kind} that is taken as it is would be the same after its schema, whatever is wrong with it`, () => {
    const names = [...places(row), ['more'], ['dropped', 'more'], ['life'], ['sent', '__proto__']];
    const values = fc.oneof(
      fc.constantFrom(undefined, null, '', 'x'.repeat(257), 'Node', -1, 0.5, 2 ** 63, 2 ** 64, [], {}, count, [count]),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(fc.constantFrom(...names), values, (place, value) => {
        let other: unknown;
        try {
          other = changed(row, place, value);
        } catch {
          return;
        }
        if (isPlain(other)) {
          assert.deepEqual(schema.parse(other), other);
        }
      }),
      { numRuns: 2000 },
    );
  });
}
