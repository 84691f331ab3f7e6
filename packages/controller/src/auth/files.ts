/** Writing small files so that they are there whole or not at all, whatever happens. */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

/** Replaces `file` at once. Nobody else may write it meanwhile. @param mode permission bits, whatever the umask. */
export function writeFileDurably(file: string, text: string, mode: number): void {
  const draft = `${file}.new`;
  try {
    const handle = openSync(draft, 'w', mode);
    try {
      fchmodSync(handle, mode);
      writeSync(handle, text);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(path.dirname(file));
}

/** Makes the names in a folder as durable as the files: without this a file that was just made can vanish with the power. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
