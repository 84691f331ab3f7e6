/** A program of a test on a disk that fills up: a small tmpfs in a mount namespace of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './harness.ts';

/**
 * Runs a program with the folder of the disk and the data directory as its arguments, and shows what it
 * says if it fails.
 * @param mount shell commands that make both: `$1` is the folder of the disk, `$2` the data directory
 * @param main name of the program in this folder
 */
export function runOnSmallDisk(t: TestContext, mount: string, main: string): void {
  const folder = temporaryFolder(t);
  const script = `umask 077
    ${mount} && exec "$3" --disable-warning=ExperimentalWarning "$4" "$1" "$2"`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const folders = [path.join(folder, 'disk'), path.join(folder, 'data')];
  const args = ['-m', 'sh', '-c', script, 'sh', ...folders, process.execPath, path.join(import.meta.dirname, main)];
  const { status, stdout, stderr } = spawnSync('unshare', args, { env, encoding: 'utf8', timeout: 110_000 });
  assert.equal(status, 0, stdout + stderr);
}

/** Leaves no room on the disk. @param file on it, which takes all */
export function fill(file: string): void {
  for (let bytes = 1 << 20; bytes > 0; ) {
    try {
      writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch {
      bytes = Math.floor(bytes / 2);
    }
  }
}
