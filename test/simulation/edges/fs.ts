/** Stands in for `node:fs`: files of the disk of the host. */
import * as real from 'node:fs';
import { running } from '../core/simulation.ts';

export * from 'node:fs';

/** Descriptors of folders, by number, beyond those of the real file system. */
const FIRST = 1 << 20;
const folders: string[] = [];

export function openSync(path: string, flags: string, mode?: number): number {
  return running() ? FIRST + folders.push(path) - 1 : real.openSync(path, flags, mode);
}

export function fsyncSync(descriptor: number): void {
  const disk = running()?.disk();
  if (disk) {
    disk.syncFolder(folders[descriptor - FIRST]!);
  } else {
    real.fsyncSync(descriptor);
  }
}

export function closeSync(descriptor: number): void {
  if (descriptor >= FIRST) {
    folders.length = 0;
  } else {
    real.closeSync(descriptor);
  }
}

export function readFileSync(path: string, options: BufferEncoding): string {
  return running()?.disk().read(path) ?? real.readFileSync(path, options);
}

export function readdirSync(path: string): string[] {
  return running()?.disk().list(path) ?? real.readdirSync(path);
}
