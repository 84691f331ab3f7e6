/** Text that strangers have written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from '../src/index.ts';

test('takes out terminal sequences, and shows that other control characters were there', () => {
  assert.equal(printable('a\x1b[31mred\x1b[0m\x07b\r\nc\u009b2Jd'), 'ared\ufffdb\ufffd\ufffdcd');
});

test('takes out marks that turn the direction of text, line separators, and halves of characters', () => {
  assert.equal(printable('\u202eexe\u2066.\u200ftxt\u2028x\ud800'), '\ufffdexe\ufffd.\ufffdtxt\ufffdx\ufffd');
});

test('leaves words of every script as they are', () => {
  const words = 'web-1 Größe 日本語 שלום 👩‍💻';
  assert.equal(printable(words), words);
});
