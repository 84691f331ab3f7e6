/** A word is found in the texts that have it, and in no others, whatever came before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '@mirrorplane/base';
import fc from 'fast-check';
import { TextBlocks } from '../src/summaries/text-blocks.ts';

interface Item {
  text: string;
}

/** Few letters, so that words are found often, and across two texts. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', '\0', 'ä'), maxLength: 4 });
const change = fc.record({
  at: fc.nat(400),
  removed: fc.nat(3),
  added: fc.array(text, { maxLength: 3 }),
});

test('after any changes of a list, a word is found where each text is looked at alone', () => {
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 200, maxLength: 400, size: 'max' }),
      fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 5 }),
      fc.array(text, { minLength: 1, maxLength: 3 }),
      (texts, rounds, words) => {
        const kept = new TextBlocks<Item>((item) => item.text);
        let items = texts.map((one): Item => ({ text: one }));
        for (const round of [[], ...rounds]) {
          items = items.slice();
          for (const { at, removed, added } of round) {
            items.splice(at, removed, ...added.map((one) => ({ text: one })));
          }
          for (const word of words) {
            assert.deepEqual(
              atOnce(kept.matching(items, word)),
              items.filter((item) => item.text.includes(word)),
            );
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('where one item differs, the texts of few others are asked for again', () => {
  let asked = 0;
  const kept = new TextBlocks<Item>((item) => {
    asked++;
    return item.text;
  });
  const items = Array.from({ length: 10_000 }, (_, index): Item => ({ text: `vm-${index}` }));
  const count = (all: readonly Item[], word: string) => {
    asked = 0;
    return atOnce(kept.matching(all, word)).length;
  };
  assert.equal(count(items, 'vm-77'), 111);
  assert.equal(asked, 10_000);
  assert.equal(count(items, 'vm-78'), 111);
  assert.equal(asked, 0);
  assert.equal(count(items.with(5000, { text: 'other' }), 'other'), 1);
  assert.ok(asked > 0 && asked <= 32, `${asked} texts`);
  assert.equal(count(items.toSpliced(300, 1), 'vm-300'), 10);
  assert.ok(asked > 0 && asked <= 64, `${asked} texts`);
});

test('a list that others search meanwhile is searched as it is', () => {
  const kept = new TextBlocks<Item>((item) => item.text);
  const items = Array.from({ length: 5000 }, (_, index): Item => ({ text: `vm-${index}` }));
  const others = items.with(4999, { text: 'gone' });
  const [a, b] = [kept.matching(items, 'vm-4999'), kept.matching(others, 'vm-4999')];
  a.next();
  assert.deepEqual(atOnce(b), []);
  assert.deepEqual(atOnce(a), [items[4999]]);
});
