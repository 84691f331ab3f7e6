/** Orders that are kept are those that are sorted from nothing, and pages miss and repeat nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, inTurns, sortedInSteps } from '@mirrorplane/base';
import fc from 'fast-check';
import type { ListSpec } from '../src/http/list-spec.ts';
import { type Page, pageSteps } from '../src/http/paging.ts';
import { byRank, KeptOrders } from '../src/summaries/kept-orders.ts';
import { Walks } from '../src/summaries/walks.ts';

interface Item {
  readonly id: string;
  readonly size: number | undefined;
}

const SORTS = ['size', '-size', 'id', '-id'];
const id = fc.integer({ min: 0, max: 60 }).map((number) => `i${String(number).padStart(2, '0')}`);
const size = fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined });
/** Null: the item goes. */
const change = fc.tuple(id, fc.oneof({ weight: 3, arbitrary: fc.record({ size }) }, fc.constant(null)));

const fieldOf = (item: Item, sort: string) => (sort.endsWith('id') ? item.id : item.size);

function fresh(all: readonly Item[], sort: string): string[] {
  const ranked = all.map((item) => ({ key: item.id, value: fieldOf(item, sort) }));
  return ranked.sort(byRank(sort)).map(({ key }) => key);
}

const listOf = (items: ReadonlyMap<string, Item>) => [...items.values()].sort((a, b) => (a.id < b.id ? -1 : 1));

test('a list that is sorted in steps is the one that is sorted at once, and equal items keep their order', () => {
  const value = fc.record({ key: fc.integer({ min: 0, max: 40 }), place: fc.nat() });
  fc.assert(
    fc.property(fc.array(value, { maxLength: 9000, size: 'max' }), (items) => {
      const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
      assert.deepEqual(atOnce(sortedInSteps(items, compare)), items.toSorted(compare));
    }),
    { numRuns: 40 },
  );
});

test('after any changes, the order that is kept is the one that is sorted from nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(change, { maxLength: 30 }), fc.constantFrom(...SORTS)), { maxLength: 30 }),
      (steps) => {
        const orders = new KeptOrders<Item>();
        const items = new Map<string, Item>();
        for (const [changes, sort] of steps) {
          for (const [key, spec] of changes) {
            items.delete(key);
            if (spec) {
              items.set(key, { id: key, ...spec });
            }
          }
          const all = listOf(items);
          const value = (item: Item) => fieldOf(item, sort);
          const kept = atOnce(orders.of(all, { sort, value, isPassing: false }));
          assert.deepEqual(
            kept.map((item) => item.id),
            fresh(all, sort),
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('two readers at the same time, of lists of different moments, both get the order of theirs', () => {
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 60 }),
      fc.array(change, { maxLength: 20 }),
      fc.nat(),
      (first, then, at) => {
        const orders = new KeptOrders<Item>();
        const items = new Map(first.flatMap(([key, spec]) => (spec ? [[key, { id: key, ...spec }]] : [])));
        const before = listOf(items);
        const order = { sort: '-size', value: ({ size: found }: Item) => found, isPassing: false };
        atOnce(orders.of(before, order));
        for (const [key, spec] of then) {
          items.delete(key);
          if (spec) {
            items.set(key, { id: key, ...spec });
          }
        }
        const after = listOf(items);
        const [slow, fast] = [orders.of(before, order), orders.of(after, order)];
        for (let step = 0; step < at % 5; step++) {
          slow.next();
        }
        const ids = (list: readonly Item[]) => list.map((item) => item.id);
        assert.deepEqual(ids(atOnce(fast)), fresh(after, '-size'));
        assert.deepEqual(ids(atOnce(orders.of(before, order))), fresh(before, '-size'));
        assert.deepEqual(ids(atOnce(orders.of(after, order))), fresh(after, '-size'));
      },
    ),
    { numRuns: 300 },
  );
});

test('values that change by themselves are looked at again, and a new item has its place at once', async () => {
  const orders = new KeptOrders<Item>();
  const loads = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  const order = { sort: '-size', value: (item: Item) => loads.get(item.id), isPassing: true };
  const all = ['a', 'b'].map((one): Item => ({ id: one, size: undefined }));
  const read = async (list: readonly Item[]) => (await inTurns(orders.of(list, order))).map((item) => item.id);
  assert.deepEqual(await read(all), ['b', 'a']);
  loads.set('a', 9).set('c', 5);
  const more = [...all, { id: 'c', size: undefined }];
  assert.ok((await read(more)).includes('c'));
  const ends = performance.now() + 10_000;
  while ((await read(more)).join() !== 'a,c,b') {
    assert.ok(performance.now() < ends, 'the order stays as it was');
  }
});

const SPEC: ListSpec<Item> = {
  keyName: 'id',
  key: (item) => item.id,
  sort: { size: (item) => item.size },
  texts: () => [],
  filter: {},
};

test('whatever changes between pages: what stays is listed once, in the order of the first page, and nothing twice', () => {
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 80 }),
      fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 40 }),
      fc.constantFrom(...SORTS),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom('', 'i1'),
      (begin, meanwhile, sort, limit, filter) => {
        const walks = new Walks(Date.now);
        const items = new Map<string, Item>();
        const carryOut = (changes: typeof begin) => {
          for (const [key, spec] of changes) {
            items.delete(key);
            if (spec) {
              items.set(key, { id: key, ...spec });
            }
          }
        };
        carryOut(begin);
        const first = fresh(
          listOf(items).filter((item) => item.id.includes(filter)),
          sort,
        );
        const stayed = new Set(first);
        const seen: string[] = [];
        let place: string | undefined;
        for (let page = 0; page === 0 || place !== undefined; page++) {
          const options = { revision: 1, walks, holder: 'a', ...(sort.includes('id') && { sortedBy: 'id' }) };
          const request = { limit, sort, filter, ...(place !== undefined && { continue: place }) };
          const got: Page<Item> = atOnce(pageSteps(listOf(items), SPEC, request, options));
          assert.ok(got.items.length <= limit);
          seen.push(...got.items.map((item) => item.id));
          place = got.continue;
          carryOut(meanwhile[page] ?? []);
          for (const key of stayed) {
            if (!items.has(key)) {
              stayed.delete(key);
            }
          }
        }
        assert.equal(new Set(seen).size, seen.length, 'one was listed twice');
        const isThere = (key: string) => stayed.has(key);
        assert.deepEqual(seen.filter(isThere), first.filter(isThere));
      },
    ),
    { numRuns: 500 },
  );
});
