/** JSON without raw control characters. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { jsonText } from '../src/index.ts';

test('any value is read again as it was, from JSON without a raw control character', () => {
  const text = fc.string({ unit: fc.integer({ min: 0, max: 0x2100 }).map((code) => String.fromCodePoint(code)) });
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }), text, (value, name) => {
      const json = jsonText({ value, [`x${name}`]: name });
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ value, [`x${name}`]: name })));
      assert.doesNotMatch(json, /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test('a terminal gets the text of an escape sequence, and no sequence', () => {
  assert.equal(jsonText('\u001b[2J\u009b2J\u007f\u202ea\u00e9'), '"\\u001b[2J\\u009b2J\\u007f\\u202ea\u00e9"');
});
