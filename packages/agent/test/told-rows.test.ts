/** Reports as differences: what is told, and that a receiver has the same list in the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CounterReport, MAX_GONE, ZERO } from '@mirrorplane/contract';
import fc from 'fast-check';
import { ToldCounters } from '../src/told-counters.ts';
import { ToldRows } from '../src/told-rows.ts';

interface Row {
  id: string;
  value?: number | undefined;
}

const rowsOf = (values: Record<string, number>): Row[] => Object.entries(values).map(([id, value]) => ({ id, value }));
const told = (most?: number) => new ToldRows<Row>(({ id }) => id, most);

test('the first list is whole, and the next one has only what has changed', () => {
  const rows = told();
  assert.deepEqual(rows.tell(rowsOf({ a: 1, b: 2 }), true), { rows: rowsOf({ a: 1, b: 2 }), isNews: true });
  assert.deepEqual(rows.tell(rowsOf({ a: 1, b: 3 }), true), { rows: rowsOf({ b: 3 }), gone: [], isNews: true });
  assert.deepEqual(rows.tell(rowsOf({ b: 3, c: 4 }), true), { rows: rowsOf({ c: 4 }), gone: ['a'], isNews: true });
});

test('a list as before is no news, also where a field is absent instead of undefined', () => {
  const rows = told();
  rows.tell([{ id: 'a', value: undefined }], true);
  assert.deepEqual(rows.tell([{ id: 'a' }], true), { rows: [], gone: [], isNews: false });
});

test('the same objects are no news, unless one of them has gone, has come or stands elsewhere', () => {
  const rows = told();
  const [a, b] = [{ id: 'a' }, { id: 'b' }];
  const list: Row[] = [a, b];
  rows.tell(list, true);
  assert.deepEqual(rows.tell([a, b], true), { rows: [], gone: [], isNews: false });
  assert.deepEqual(rows.tell([b, a], true), { rows: [], gone: [], isNews: false });
  list.push({ id: 'c' });
  assert.deepEqual(rows.tell(list, true), { rows: [{ id: 'c' }], gone: [], isNews: true });
  assert.deepEqual(rows.tell([a], true), { rows: [], gone: ['b', 'c'], isNews: true });
  rows.forget();
  assert.deepEqual(rows.tell([a], true), { rows: [a], isNews: true });
});

test('a list is whole after everything was forgotten, and an empty one is news then', () => {
  const rows = told();
  rows.tell([], true);
  rows.forget();
  assert.deepEqual(rows.tell([], true), { rows: [], isNews: true });
});

test('a list is whole where no difference is wanted, where it is too long, or where too much is gone', () => {
  const wanted = told();
  wanted.tell(rowsOf({ a: 1 }), false);
  assert.deepEqual(wanted.tell(rowsOf({ a: 1, b: 2 }), false), { rows: rowsOf({ a: 1, b: 2 }), isNews: true });
  const long = told(1);
  long.tell(rowsOf({ a: 1 }), true);
  assert.equal(long.tell(rowsOf({ a: 1, b: 2 }), true).gone, undefined);
  assert.equal(long.tell(rowsOf({ a: 1 }), true).gone, undefined);
  const many = told();
  many.tell(
    Array.from({ length: MAX_GONE + 1 }, (_, id) => ({ id: String(id) })),
    true,
  );
  assert.deepEqual(many.tell([], true), { rows: [], isNews: true });
});

test('whoever applies all differences has the same list', () => {
  const list = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.nat({ max: 2 }), { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(list, fc.boolean())), (steps) => {
      const rows = told();
      const received = new Map<string, Row>();
      for (const [values, forgotten] of steps) {
        if (forgotten) {
          rows.forget();
        }
        const { rows: some, gone } = rows.tell(rowsOf(values), true);
        for (const id of gone ?? [...received.keys()]) {
          received.delete(id);
        }
        for (const row of some) {
          received.set(row.id, row);
        }
        assert.deepEqual(Object.fromEntries([...received].map(([id, { value }]) => [id, value])), values);
      }
    }),
  );
});

test('counters of a new epoch are told whole', () => {
  const counters = new ToldCounters();
  const report = (epoch: string): CounterReport => ({
    epoch,
    captures: [],
    deliveries: [{ delivery: 'p/local', policy: 'p', sent: ZERO }],
    terminations: [],
    peers: [],
    unknownErspan: 0,
  });
  assert.deepEqual(counters.tell(report('1'), true), report('1'));
  assert.deepEqual(counters.tell(report('1'), true), { ...report('1'), deliveries: [] });
  assert.deepEqual(counters.tell(report('2'), true), report('2'));
});
