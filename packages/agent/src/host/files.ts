/** Files that are whole or absent, whatever happens to the power. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where `writeAtomically` keeps what is not whole yet. One name, so that a process that was killed leaves one file at most. */
export function draftOf(path: string): string {
  return `${path}.tmp`;
}

/**
 * Replaces a file: the content is written beside it, made durable, and renamed into place.
 * Nobody else may write the same file meanwhile.
 * @param mode permissions of the file. Default 0600
 */
export async function writeAtomically(path: string, content: string, mode = 0o600): Promise<void> {
  const temporary = draftOf(path);
  try {
    const file = await open(temporary, 'w', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
