/**
 * Reads files with a secret. A file that other users can read or replace is refused, as ssh refuses
 * such a key.
 */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';

/**
 * Permission bits that a file with a secret must not have: all bits of others, and write of the
 * group.
 */
const TOO_OPEN = 0o027;

/** @throws Error with what to do, where others may read or write a file with a secret */
export function requirePrivate(file: string, stat: Pick<Stats, 'mode' | 'isFile'>, what: string): void {
  const mode = stat.mode & 0o777;
  // A pipe has no permission bits that others could use.
  if (!stat.isFile() || (mode & TOO_OPEN) === 0) {
    return;
  }
  const open = mode.toString(8).padStart(4, '0');
  throw new Error(`${file} is too open for ${what} (mode ${open}): other users can use it; run "chmod 600 ${file}"`);
}

/** Reads a file that contains only a secret. @throws Error if it is unreadable or open to others */
export function readSecretFile(file: string, what: string): string {
  const descriptor = openSync(file, 'r');
  try {
    requirePrivate(file, fstatSync(descriptor), what);
    return readFileSync(descriptor, 'utf8').trim();
  } finally {
    closeSync(descriptor);
  }
}
