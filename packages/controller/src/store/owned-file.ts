/** Files of the data directory that root may write for the controller. */
import { closeSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { draftOf, syncFolder } from '@mirrorplane/base';

/**
 * Replaces a file in a data directory. It gets the owner of the directory, and only that one reads it.
 * @throws Error of the file system; the old file is then unchanged
 */
export function replaceOwned(file: string, text: string): void {
  const data = path.dirname(file);
  const draft = draftOf(file);
  rmSync(draft, { force: true });
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(descriptor, text);
    if (process.geteuid?.() === 0) {
      // By the descriptor: the owner of the directory could put a link there meanwhile.
      const { uid, gid } = statSync(data);
      fchownSync(descriptor, uid, gid);
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, file);
  syncFolder(data);
}
