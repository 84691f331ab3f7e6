/** How daemons end that are called in a wrong way. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const MIRRORPLANE = join(import.meta.dirname, '../../../bin/mirrorplane');

const calls: [code: number, what: string, ...argv: string[]][] = [
  [0, 'help', 'agent', '--help'],
  [2, 'an option that there is not', 'agent', '--no-such-option'],
  [2, 'an agent without a name', 'agent', '--controller', '127.0.0.1:1'],
  [2, 'a check and an uninstall at once', 'agent', '--check', '--uninstall'],
  [2, 'an option of the controller that there is not', 'controller', '--no-such-option'],
  [2, 'an option of both in one process that there is not', 'up', '--no-such-option'],
];
for (const [code, what, ...argv] of calls) {
  test(`${what} ends with ${code}, and says something`, () => {
    const { status, stdout, stderr } = spawnSync(MIRRORPLANE, argv, { encoding: 'utf8' });
    assert.equal(status, code, stderr);
    assert.match(code === 0 ? stdout : stderr, code === 0 ? /Usage/ : /error/);
  });
}
