/** A disk without room for the audit log. */
import test from 'node:test';
import { runOnSmallDisk } from './small-disk.ts';

test('while the disk is full nothing changes unseen, and afterwards each change has its entry', {
  timeout: 120_000,
}, (t) => {
  const mount = `mkdir "$1" "$2" && mount -t tmpfs -o size=64k tmpfs "$1" && : > "$1/audit.log" && : > "$2/audit.log" &&
    mount --bind "$1/audit.log" "$2/audit.log"`;
  runOnSmallDisk(t, mount, 'audit-disk-main.ts');
});
