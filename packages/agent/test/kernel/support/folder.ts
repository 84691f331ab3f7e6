/** Folders for the files of one test process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Makes a folder that goes with this process, however its tests end. */
export function processFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-test-'));
  folders.push(folder);
  return folder;
}
