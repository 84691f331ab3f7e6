/**
 * Links in the documentation lead somewhere, and every decision is in the index and has the same
 * shape.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { DROP_REASONS, SKIP_REASONS } from '@mirrorplane/contract';
import { ROOT } from '../../packaging/paths.ts';

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const PAGES = [...globSync('*.md', { cwd: ROOT }), ...globSync('docs/**/*.md', { cwd: ROOT })].sort();
const ADRS = globSync('docs/adr/[0-9]*.md', { cwd: ROOT }).sort();

/** The text without code: a link in there is none. */
const prose = (text: string) => text.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** What is wrong with the links of a page. */
function brokenLinks(page: string): string[] {
  return [...prose(read(page)).matchAll(/\]\(([^()\s]+)\)/g)].flatMap(([, target]) => {
    if (/^[a-z]+:/.test(target!)) {
      return [];
    }
    const [path, anchor] = target!.split('#') as [string, string?];
    const file = path === '' ? page : normalize(join(dirname(page), path));
    if (!existsSync(join(ROOT, file))) {
      return [`${page}: ${target} leads nowhere`];
    }
    const missing = anchor !== undefined && file.endsWith('.md') && !anchorsOf(read(file)).has(anchor);
    return missing ? [`${page}: ${target} names no heading`] : [];
  });
}

test('every link between pages leads to a file, and to a heading of it', () => {
  assert.ok(PAGES.length > 50);
  assert.deepEqual(PAGES.flatMap(brokenLinks), []);
});

test('every page of docs can be reached from README.md', () => {
  const seen = new Set<string>();
  const open = ['README.md'];
  for (let page = open.pop(); page !== undefined; page = open.pop()) {
    if (seen.has(page) || !existsSync(join(ROOT, page))) {
      continue;
    }
    seen.add(page);
    if (!page.endsWith('.md')) {
      continue;
    }
    const targets = [...prose(read(page)).matchAll(/\]\(([^()\s#]+)/g)].map(([, target]) => target!);
    open.push(...targets.map((target) => normalize(join(dirname(page!), target))));
  }
  assert.deepEqual(
    PAGES.filter((page) => !seen.has(page)),
    [],
  );
});

test('every decision has its number, a context, a decision and consequences', () => {
  for (const file of ADRS) {
    const number = /(\d{4})-/.exec(file)![1];
    assert.match(read(file), new RegExp(`^# ${number}: \\S`), file);
    const headings = [...read(file).matchAll(/^## (.*)$/gm)].map(([, heading]) => heading!);
    const order = headings.filter((heading) => ['Context', 'Decision', 'Consequences'].includes(heading));
    assert.deepEqual(order, ['Context', 'Decision', 'Consequences'], file);
  }
});

test('the index of decisions has one line for each, in order, and each number once', () => {
  const rows = [...read('docs/adr/README.md').matchAll(/^\| \[(\d{4})\]\((\1-[^)]+)\) \| \S/gm)];
  assert.deepEqual(
    rows.map(([, , file]) => `docs/adr/${file}`),
    ADRS,
  );
  assert.equal(new Set(rows.map(([, number]) => number)).size, rows.length);
});

test('docs/data-plane.md explains every drop reason, and names every skip reason', () => {
  const text = read('docs/data-plane.md');
  const explained = [...text.matchAll(/^\| `(\w+)` \| \S/gm)].map(([, name]) => name!);
  assert.deepEqual(
    DROP_REASONS.filter((name) => !explained.includes(name)),
    [],
  );
  assert.deepEqual(
    SKIP_REASONS.filter((name) => !text.includes(`\`${name}\``)),
    [],
  );
});

test('files that CONTRIBUTING.md, docs/architecture.md and docs/security.md name are there', () => {
  const files = globSync('{packages,packaging,test,scripts,docs,bench}/**/*.{ts,h,c,sh,md}', { cwd: ROOT });
  const ours = files.filter((file) => !file.includes('node_modules'));
  // Pages leave out "src/": planner/plan.ts.
  const known = [...ours, ...ours.map((file) => file.replace('/src/', '/'))].map((file) => `/${file}`);
  const isKnown = (name: string) => known.some((file) => file.endsWith(`/${name}`));
  for (const page of ['CONTRIBUTING.md', 'docs/architecture.md', 'docs/security.md']) {
    const named = [...read(page).matchAll(/[\w./-]*\w\.(?:ts|h|c|sh)\b/g)].map(([file]) => file);
    assert.ok(named.length > 15, page);
    assert.deepEqual(
      named.filter((file) => !file.includes('NAME') && !isKnown(file.replace(/^\.\//, ''))),
      [],
      page,
    );
  }
});

test('no file has the marks of a merge that nobody finished', () => {
  // The pattern is written so that it does not find itself.
  const { stdout } = spawnSync('git', ['grep', '-nE', '^(<{7}|>{7}|[|]{7}) '], { cwd: ROOT, encoding: 'utf8' });
  assert.equal(stdout, '');
});
