/**
 * Plain English for readers to whom it is a second language: narrow lines of prose, and no phrases
 * that are hard to read.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';

/** The most columns of a line of prose. Tables, code and lines of one link may be longer. */
const WIDTH = 100;

/** Phrases that readers have to decode, and what says the same. */
const HARD: readonly [phrase: RegExp, instead: string][] = [
  [/\b(tells?|told|telling) of\b/, 'reports'],
  [/\banew\b/, 'again'],
  [/\bsomebody\b/i, 'someone else, other software, another user'],
  [/\bby (itself|themselves)\b/, 'automatically, alone'],
  [/\bwhoever\b/i, 'name the reader or the user'],
  [/\bsave (for|that|where|when|with)\b/, 'except'],
  [/\b(another|others) than\b/, 'different from, except, changed'],
  [/\bfrom time to time\b/, 'now and then, or the interval'],
  [/\b(puts?|set) right\b/, 'repairs'],
  [/\bfor want of\b/, 'for lack of'],
  [/\b(is|are) (not )?believed\b/, 'is accepted, is refused'],
  [/\bnot kept any more\b/, 'no longer stored'],
  [/\bhow manieth\b/, 'the number of'],
];

const PAGES = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: ROOT })].sort();
/** What is made of help texts, API descriptions and the catalogues, and the daemons' own help. */
const SHOWN = [
  ...globSync('docs/reference/*', { cwd: ROOT }),
  'bin/up.ts',
  'packages/agent/src/hook-option.ts',
  'packages/agent/src/main.ts',
  'packages/controller/src/main.ts',
  'packages/lab/src/main.ts',
].sort();

interface Line {
  at: number;
  text: string;
}

const linesOf = (file: string): Line[] =>
  readFileSync(join(ROOT, file), 'utf8')
    .split('\n')
    .map((text, index) => ({ at: index + 1, text }));

/** The lines of a page outside blocks of code. */
function outsideCode(lines: readonly Line[]): Line[] {
  let inCode = false;
  return lines.filter(({ text }) => {
    const isFence = /^\s*```/.test(text);
    if (isFence) {
      inCode = !inCode;
    }
    return !inCode && !isFence;
  });
}

/** Lines of prose that are too long. */
function tooLong(lines: readonly Line[]): Line[] {
  const mayBeLong = /^\s*(\||([-*] )?\[[^\]]*\]\([^)]*\)[.,;:]?$|<!--)/;
  return outsideCode(lines).filter(({ text }) => [...text].length > WIDTH && !mayBeLong.test(text));
}

/** What to say instead of a phrase on each of these lines that has one. */
function hardPhrases(lines: readonly Line[]): string[] {
  return lines.flatMap(({ at, text }) =>
    HARD.flatMap(([phrase, instead]) => {
      const found = phrase.exec(text);
      return found ? [`${at}: "${found[0]}": say ${instead}`] : [];
    }),
  );
}

const inFile = (file: string, found: readonly string[]) => found.map((text) => `${file}:${text}`);

test(`no line of prose in the pages is wider than ${WIDTH} columns`, () => {
  assert.ok(PAGES.length > 15, 'it looks at all pages');
  const found = PAGES.flatMap((page) => tooLong(linesOf(page)).map(({ at, text }) => `${page}:${at}: ${text}`));
  assert.deepEqual(found, []);
});

test('pages, help texts and API descriptions have no phrase that is hard to read', () => {
  assert.ok(SHOWN.includes('docs/reference/openapi.json') && SHOWN.includes('docs/reference/cli.md'));
  const pages = PAGES.flatMap((page) => inFile(page, hardPhrases(outsideCode(linesOf(page)))));
  const shown = SHOWN.flatMap((file) => inFile(file, hardPhrases(linesOf(file))));
  assert.deepEqual([...pages, ...shown], []);
});

test('a long line and a hard phrase are found, and tables, code and links are left alone', () => {
  const long = 'word '.repeat(25).trim();
  const text = [long, `| ${long} |`, '```', long, '```', `[${long}](x.md)`, 'short'];
  const lines = text.map((line, index) => ({ at: index + 1, text: line }));
  assert.deepEqual(
    tooLong(lines).map(({ at }) => at),
    [1],
  );
  assert.deepEqual(hardPhrases([{ at: 3, text: 'it tells of it' }]), ['3: "tells of": say reports']);
  assert.deepEqual(hardPhrases([{ at: 1, text: 'the agent reports it' }]), []);
});
