/** Files with a secret: what others could read, or put in its place, is refused as ssh refuses such a key. */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';

/** Rights that no file with a secret may give: any of others, and that of the group to write it. */
const TOO_OPEN = 0o027;

/** @throws Error with what to do, where others may read or write a file with a secret */
export function requirePrivate(file: string, stat: Pick<Stats, 'mode' | 'isFile'>, what: string): void {
  const mode = stat.mode & 0o777;
  // A pipe is nobody else's.
  if (!stat.isFile() || (mode & TOO_OPEN) === 0) {
    return;
  }
  const open = mode.toString(8).padStart(4, '0');
  throw new Error(`${file} is too open for ${what} (mode ${open}): other users can use it; run "chmod 600 ${file}"`);
}

/** Reads a file that is nothing but a secret. @throws Error where it cannot be read, or is open to others */
export function readSecretFile(file: string, what: string): string {
  const descriptor = openSync(file, 'r');
  try {
    requirePrivate(file, fstatSync(descriptor), what);
    return readFileSync(descriptor, 'utf8').trim();
  } finally {
    closeSync(descriptor);
  }
}
