/**
 * Writes files that are whole or absent, also after a power failure. The content is written to a
 * draft beside the file, synced, and renamed into place. Then the folder is synced with fsync(2),
 * so that the new name is durable. No other process may write the same file meanwhile.
 */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Permission bits of a file that only its owner may read. */
const PRIVATE = 0o600;

export interface ReplaceOptions {
  /** Permission bits, whatever the umask. Default 0600 */
  mode?: number;
  /**
   * Whether to sync the folder. A caller that replaces many files of a folder sets false, and calls
   * `syncFolder` once at the end. Default true
   */
  folder?: boolean;
}

/**
 * Path of the draft. Each file has one draft name, so a killed process leaves one draft at most.
 */
export function draftOf(path: string): string {
  return `${path}.new`;
}

/**
 * Replaces a file.
 * @param content the text, or its parts, each of which is written by itself
 * @throws Error of the file system; the old file is then unchanged
 */
export async function replaceFile(
  path: string,
  content: string | Iterable<string>,
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

/** Replaces a file synchronously. @throws as `replaceFile` */
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

/**
 * Makes the names in a folder durable. Without this call, a new file can vanish in a power failure.
 */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
