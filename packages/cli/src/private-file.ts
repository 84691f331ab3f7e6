/**
 * Reads files with a secret. A file that other users can read or replace is refused, as ssh refuses
 * such a key.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CliError } from './exit.ts';

/**
 * Permission bits that a file with a secret must not have: all bits of others, and write of the
 * group.
 */
const TOO_OPEN = 0o027;

/**
 * Reads a file. @throws CliError (denied) if others may read or write it; Error if it is unreadable
 */
export function readPrivateFile(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const stat = fstatSync(descriptor);
    const mode = stat.mode & 0o777;
    // A pipe such as <(pass show token) is private.
    if (stat.isFile() && (mode & TOO_OPEN) !== 0) {
      const open = mode.toString(8).padStart(4, '0');
      throw new CliError(
        'denied',
        `the token file ${path} is too open (mode ${open}): other users can use the token; run "chmod 600 ${path}"`,
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}
