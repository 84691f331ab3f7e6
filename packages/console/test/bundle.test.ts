/** What a browser loads before it shows the first page, and what it must not load. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const DIST = join(import.meta.dirname, '../dist');
/** Bytes, gzipped: scripts and styles of the first page. */
const FIRST_LOAD = 350_000;
/** Bytes, gzipped, of any part that is loaded later. */
const LATER = 120_000;

interface Chunk {
  file: string;
  isEntry?: boolean;
  imports?: string[];
  dynamicImports?: string[];
  css?: string[];
}

const manifest = JSON.parse(readFileSync(join(DIST, 'manifest.json'), 'utf8')) as Record<string, Chunk>;
const size = (file: string) => gzipSync(readFileSync(join(DIST, file))).length;

/** The chunks that are loaded with one. */
function loadedWith(key: string, seen = new Set<string>()): Set<string> {
  if (!seen.has(key)) {
    seen.add(key);
    for (const next of manifest[key]!.imports ?? []) {
      loadedWith(next, seen);
    }
  }
  return seen;
}

const entry = Object.keys(manifest).find((key) => manifest[key]!.isEntry)!;
const first = [...loadedWith(entry)].flatMap((key) => [manifest[key]!.file, ...(manifest[key]!.css ?? [])]);

test(`the first page needs at most ${FIRST_LOAD / 1000} kB, gzipped`, (t) => {
  const bytes = [...new Set(first)].reduce((sum, file) => sum + size(file), size('index.html'));
  t.diagnostic(`${(bytes / 1000).toFixed(1)} kB in ${new Set(first).size} files`);
  assert.ok(bytes <= FIRST_LOAD, `${bytes} bytes`);
});

test(`no part that is loaded later is larger than ${LATER / 1000} kB, gzipped`, () => {
  const later = Object.values(manifest).filter(({ file }) => !first.includes(file));
  const large = later.filter(({ file }) => size(file) > LATER).map(({ file }) => `${file}: ${size(file)}`);
  assert.ok(later.length > 5);
  assert.deepEqual(large, []);
});

test('schemas and charts are not part of the first page', () => {
  const text = first.map((file) => readFileSync(join(DIST, file), 'utf8')).join('\n');
  assert.doesNotMatch(text, /POLICY_CYCLE|ZodError|uplot/i);
});

test('the page loads nothing from other hosts, and runs no script of its own text', () => {
  const page = readFileSync(join(DIST, 'index.html'), 'utf8');
  assert.doesNotMatch(page, /(src|href)="(https?:)?\/\//);
  assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)/);
});
