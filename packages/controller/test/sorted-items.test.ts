/** Items that are kept sorted are those that are sorted from nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SortedItems } from '../src/inventory/sorted-items.ts';

const change = fc.record({ id: fc.nat(60).map((number) => `id-${number}`), value: fc.option(fc.nat(2)) });

test('after any changes, few or many at once, the list is the one that is sorted from nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 20 }), { size: 'max', maxLength: 10 }), (rounds) => {
      const kept = new SortedItems<{ id: string; value: number }>();
      const expected = new Map<string, { id: string; value: number }>();
      for (let number = 0; number <= 60; number++) {
        const item = { id: `id-${number}`, value: 0 };
        kept.set(item.id, item);
        expected.set(item.id, item);
      }
      for (const round of rounds) {
        const before = kept.all();
        const copy = [...before];
        let isOther = false;
        for (const { id, value } of round) {
          isOther = kept.set(id, value === null ? undefined : { id, value }) || isOther;
          if (value === null) {
            expected.delete(id);
          } else {
            expected.set(id, { id, value });
          }
        }
        const now = kept.all();
        assert.deepEqual(
          now,
          [...expected.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
        );
        assert.deepEqual(before, copy, 'readers keep the list that they have');
        assert.ok(isOther || now === before, 'the same list, as long as nothing differs');
      }
    }),
    { numRuns: 300 },
  );
});

test('an item that a twin has, too, is kept as one object, and one that differs is not', () => {
  const twin = new SortedItems<{ id: string; value: number }>();
  const kept = new SortedItems<{ id: string; value: number }>(twin);
  const theirs = [
    { id: 'a', value: 1 },
    { id: 'b', value: 1 },
  ];
  for (const item of theirs) {
    twin.set(item.id, item);
    kept.set(item.id, { ...item, value: item.id === 'a' ? 1 : 2 });
  }
  assert.ok(kept.get('a') === theirs[0]);
  assert.deepEqual(kept.all(), [theirs[0], { id: 'b', value: 2 }]);
  assert.deepEqual(twin.all(), theirs);
});
