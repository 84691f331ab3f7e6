/** What is known to differ between two lists is what a comparison of all items finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { differingIds, forDiffering, foundIn, replacedIn, Succession } from '../src/sorted-lists.ts';

interface Item {
  id: string;
  value: number | null;
}

const idOf = (number: number) => `id-${String(number).padStart(3, '0')}`;
const change = fc.record({ id: fc.nat(120).map(idOf), value: fc.option(fc.nat(2)) });
/** The items of each round, where a round changes some of them. */
const rounds = fc.array(fc.array(change, { maxLength: 12 }), { minLength: 1, maxLength: 8, size: 'max' });

/** The list of each round, in the order of ids; each made of the one before. */
function listsOf(all: readonly (readonly Item[])[], succession: Succession): Item[][] {
  const lists: Item[][] = [Array.from({ length: 60 }, (_, index) => ({ id: idOf(2 * index), value: 9 }))];
  succession.add(lists[0]!, []);
  for (const round of all) {
    const latest = new Map(round.map((item) => [item.id, item.value === null ? undefined : item]));
    const next = replacedIn(lists.at(-1)!, latest.keys(), (id) => latest.get(id));
    succession.add(next, latest.keys());
    lists.push(next);
  }
  return lists;
}

function differences(before: readonly Item[], now: readonly Item[]): [string, Item | undefined][] {
  const found: [string, Item | undefined][] = [];
  forDiffering(before, now, (id, item) => found.push([id, item]));
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

test('a list with other items is the one that is sorted from nothing, and the one before stays', () => {
  fc.assert(
    fc.property(rounds, (all) => {
      const lists = listsOf(all, new Succession());
      const expected = new Map(lists[0]!.map((item) => [item.id, item]));
      for (const [index, round] of all.entries()) {
        for (const item of round) {
          expected.set(item.id, item);
        }
        const now = [...expected.values()].filter(({ value }) => value !== null);
        assert.deepEqual(
          lists[index + 1],
          now.sort((a, b) => (a.id < b.id ? -1 : 1)),
        );
        for (const item of lists[index + 1]!) {
          assert.equal(foundIn(lists[index + 1]!, item.id), item);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('between any two lists of a succession, the same differs as between two lists of which nothing is known', () => {
  fc.assert(
    fc.property(rounds, fc.nat(8), fc.nat(8), (all, from, until) => {
      const lists = listsOf(all, new Succession());
      const [before, now] = [lists[from % lists.length]!, lists[until % lists.length]!];
      assert.deepEqual(differences(before, now), differences([...before], [...now]));
    }),
    { numRuns: 500 },
  );
});

test('nothing is known of lists that are no succession, of an earlier list, and of one too far behind', () => {
  const [a, b] = [[{ id: 'a' }], [{ id: 'b' }]];
  assert.equal(differingIds(a, b), undefined);
  const succession = new Succession();
  succession.add(a, []);
  succession.add(b, ['a', 'b']);
  assert.deepEqual(differingIds(a, b), ['a', 'b']);
  assert.equal(differingIds(b, a), undefined);
  const other = new Succession();
  const c = [{ id: 'c' }];
  other.add(c, []);
  assert.equal(differingIds(b, c), undefined);
  const ids = Array.from({ length: 20_000 }, (_, index) => idOf(index));
  succession.add(c, ids);
  assert.equal(differingIds(a, c), undefined);
});
