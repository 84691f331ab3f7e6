/** Which kernels are meant by a word, and how a matrix of them is shown and judged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostSteps, notTried, table } from './judge.ts';
import { packagePattern, parseWish } from './kernel.ts';

/** Names of packages that Debian has had. */
const PACKAGES = [
  'linux-image-6.1.0-50-amd64',
  'linux-image-6.1.0-50-cloud-amd64',
  'linux-image-6.1.0-50-amd64-dbg',
  'linux-image-6.1.0-50-arm64',
  'linux-image-6.12.90+deb12.1-amd64',
  'linux-image-6.12.117+deb13-amd64',
  'linux-image-6.12.117+deb13-rt-amd64',
  'linux-image-6.12.117+deb13-amd64-unsigned',
  'linux-image-6.12.117+deb13-arm64',
  'linux-image-6.17.13+deb13-amd64',
  'linux-image-7.3-amd64', // a release candidate
  'linux-image-7.3.4+deb13-amd64',
];

const matching = (text: string) => PACKAGES.filter((name) => packagePattern(parseWish(text)).test(name));

test('a version means the full kernels of that series alone, for the architecture that is asked for', () => {
  assert.deepEqual(matching('6.1:amd64'), ['linux-image-6.1.0-50-amd64']);
  assert.deepEqual(matching('6.1:arm64'), ['linux-image-6.1.0-50-arm64']);
  assert.deepEqual(matching('6.12:amd64'), ['linux-image-6.12.90+deb12.1-amd64', 'linux-image-6.12.117+deb13-amd64']);
  assert.deepEqual(matching('6.12.117:arm64'), ['linux-image-6.12.117+deb13-arm64']);
  assert.deepEqual(matching('6.9:amd64'), []);
});

test('newest means every release and no release candidate', () => {
  const releases = PACKAGES.filter((name) => /^linux-image-[\d.]+(\+deb[\d.]+|-50)-amd64$/.test(name));
  assert.deepEqual(matching('newest:amd64'), releases);
});

test('refuses what names no kernel, with an example', () => {
  for (const text of ['6', 'latest', '6.12:riscv64', '6.1; reboot']) {
    assert.throws(() => parseWish(text), /is no kernel; write for example 6\.1/);
  }
});

test('a table has its columns below each other, and names the program with most steps', () => {
  const result = { object: 'o', errno: 0, seconds: 1, lines: [] };
  const most = mostSteps([
    { ...result, program: 'capture', steps: 3251 },
    { ...result, program: 'transform', steps: 22465 },
    { ...result, program: 'read', steps: undefined },
  ]);
  assert.equal(
    table(['kernel', 'clang 14'], [['6.1', most]]),
    ['| kernel | clang 14         |', '|--------|------------------|', '| 6.1    | 22,465 transform |'].join('\n'),
  );
});

test('skipped tests are no success: neither all tests, nor the named ones, nor every kernel test', () => {
  const passed = (...of: [string, number][]) => ({ files: 2, passed: new Map(of) });
  const all = { loads: 2, skipped: [], tests: passed(['6.1', 3]) };
  assert.deepEqual(notTried(all), []);
  assert.deepEqual(notTried({ ...all, tests: undefined }), []);
  assert.match(notTried({ ...all, loads: 0 }).join(), /nothing was tried/);
  assert.deepEqual(notTried({ ...all, skipped: ['Linux 9.9'] }), ['Linux 9.9 was asked for and was skipped']);
  assert.match(notTried({ ...all, tests: passed() }).join(), /ran on no kernel/);
  assert.deepEqual(notTried({ ...all, tests: passed(['6.1', 3], ['6.12', 0]) }), ['Linux 6.12: no kernel test passed']);
  assert.match(
    notTried({ ...all, tests: { files: 0, passed: new Map() } }).join(),
    /no test file has a name like that/,
  );
});
