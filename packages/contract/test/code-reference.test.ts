/** The page of codes says what the catalogue says, of every code once. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { CATALOGUE, type ErrorCode } from '@mirrorplane/contract';
import { CODE_MEANINGS, placesOf } from '../src/code-meanings.ts';
import { codeReference } from '../src/code-reference.ts';

const FILE = new URL('../../../docs/reference/codes.md', import.meta.url);
const CODES = Object.keys(CATALOGUE) as ErrorCode[];

test('the committed codes.md is what the catalogue gives', () => {
  const remedy =
    'write it again: scripts/run.sh packages/contract/src/code-reference.ts --write docs/reference/codes.md';
  assert.equal(readFileSync(FILE, 'utf8'), codeReference(), remedy);
});

test('every code has a row, one, with title, meaning and remedy', () => {
  const rows = codeReference().match(/^\| `[A-Z_]+` \|.*$/gm) ?? [];
  assert.deepEqual(rows.map((row) => /`([A-Z_]+)`/.exec(row)?.[1]).sort(), [...CODES].sort());
  for (const code of CODES) {
    const row = rows.find((text) => text.startsWith(`| \`${code}\``)) ?? '';
    for (const text of [CATALOGUE[code].title, CATALOGUE[code].remedy, CODE_MEANINGS[code]]) {
      assert.ok(row.includes(text.replaceAll('|', '\\|')), `${code}: ${text}`);
    }
  }
});

test('codes of states have no HTTP status of a failure, and codes of answers have one', () => {
  for (const code of CODES) {
    const isState = placesOf(code).some((place) => place !== 'answer' && place !== 'rule');
    assert.equal(CATALOGUE[code].status === 200, isState, code);
  }
});

test('a meaning is whole sentences', () => {
  for (const code of CODES) {
    assert.match(CODE_MEANINGS[code], /^[A-Z0-9].*\.$/, code);
  }
});
