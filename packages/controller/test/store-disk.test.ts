/** A disk without room for the embedded store. */
import test from 'node:test';
import { runOnSmallDisk } from './small-disk.ts';

test('while the disk is full a change is refused with the cause, and the status has it as a problem', {
  timeout: 120_000,
}, (t) => {
  // The audit log is elsewhere: here it is the store alone that has no room.
  const mount = `mkdir "$1" "$2" && : > "$1/audit.log" && mount -t tmpfs -o size=16m,mode=0700 tmpfs "$2" && : > "$2/audit.log" &&
    mount --bind "$1/audit.log" "$2/audit.log"`;
  runOnSmallDisk(t, mount, 'store-disk-main.ts');
});
