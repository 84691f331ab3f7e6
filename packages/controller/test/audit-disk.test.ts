/** A disk without room for the audit log. The disk is a small tmpfs in a mount namespace of the test. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { temporaryFolder } from './harness.ts';

test('while the disk is full nothing changes unseen, and afterwards each change has its entry', {
  timeout: 60_000,
}, (t) => {
  const folder = temporaryFolder(t);
  const [disk, data] = [path.join(folder, 'disk'), path.join(folder, 'data')];
  const mount = `umask 077
    mkdir "$1" "$2" && mount -t tmpfs -o size=64k tmpfs "$1" && : > "$1/audit.log" && : > "$2/audit.log" &&
    mount --bind "$1/audit.log" "$2/audit.log" && exec "$3" --disable-warning=ExperimentalWarning "$4" "$1" "$2"`;
  const main = path.join(import.meta.dirname, 'audit-disk-main.ts');
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ['-m', 'sh', '-c', mount, 'sh', disk, data, process.execPath, main];
  const { status, stdout, stderr } = spawnSync('unshare', args, { env, encoding: 'utf8', timeout: 50_000 });
  assert.equal(status, 0, stdout + stderr);
});
