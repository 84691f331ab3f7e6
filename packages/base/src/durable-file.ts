/**
 * Files that are whole or absent, whatever happens to the power: the content is written beside the file, made durable, and
 * renamed into place; then the name is made durable, by fsync(2) of the folder. Nobody else may write the file meanwhile.
 */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Permission bits of a file that only its owner may read. */
const PRIVATE = 0o600;

export interface ReplaceOptions {
  /** Permission bits, whatever the umask. Default 0600 */
  mode?: number;
  /** False: who replaces many files of a folder calls `syncFolder` once, behind all of them. Default true */
  folder?: boolean;
}

/** Where the content is until it is whole. It is one name, so a process that was killed leaves one file at most. */
export function draftOf(path: string): string {
  return `${path}.new`;
}

/** Replaces a file. @throws Error of the file system; then the old file is as it was */
export async function replaceFile(
  path: string,
  content: string,
  { mode = PRIVATE, folder = true }: ReplaceOptions = {},
): Promise<void> {
  const draft = draftOf(path);
  try {
    const file = await open(draft, 'w', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  if (folder) {
    syncFolder(dirname(path));
  }
}

/** Replaces a file before anything else happens in this process. @throws as `replaceFile` */
export function replaceFileSync(
  path: string,
  content: string,
  { mode = PRIVATE, folder = true }: ReplaceOptions = {},
): void {
  const draft = draftOf(path);
  try {
    const descriptor = openSync(draft, 'w', mode);
    try {
      fchmodSync(descriptor, mode);
      writeFileSync(descriptor, content);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  if (folder) {
    syncFolder(dirname(path));
  }
}

/** Makes the names in a folder as durable as the files: a file that was just made can else vanish with the power. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
