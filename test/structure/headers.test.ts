/** Every file begins with a comment that says what it is for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';

/** Files that git knows, with these endings. */
function filesOf(...patterns: string[]): string[] {
  const text = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', ...patterns], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return text.split('\0').filter((file) => file !== '' && existsSync(join(ROOT, file)));
}

test('every TypeScript file begins with a comment that says what it is for', () => {
  const files = filesOf('*.ts', '*.tsx');
  assert.ok(files.length > 500);
  assert.deepEqual(
    files.filter((file) => !/^(#!.*\n)?\/\*\*\s+(\*\s+)?\S/.test(readFileSync(join(ROOT, file), 'utf8'))),
    [],
  );
});

test('every style sheet begins with a comment that says what it is for', () => {
  const files = filesOf('*.css');
  assert.ok(files.length > 3);
  assert.deepEqual(
    files.filter((file) => !/^\/\* \S/.test(readFileSync(join(ROOT, file), 'utf8'))),
    [],
  );
});

test('every C file begins with its licence, and a comment that says what it is for', () => {
  const files = filesOf('packages/bpf/src/*.h', 'packages/bpf/src/*.c', 'packages/lab/src/qemu/*.c');
  assert.ok(files.length > 15);
  const head = /^(\/\/ SPDX|\/\* SPDX)[^\n]*\n+(\/\*|\/\/)\s*\S/;
  assert.deepEqual(
    files.filter((file) => !head.test(readFileSync(join(ROOT, file), 'utf8'))),
    [],
  );
});
