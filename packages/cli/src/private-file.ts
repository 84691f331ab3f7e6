/** Files with a secret: what others could read, or put in its place, is refused as ssh refuses such a key. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CliError } from './exit.ts';

/** Rights that no file with a secret may give: any of others, and that of the group to write it. */
const TOO_OPEN = 0o027;

/** Reads a file. @throws CliError (denied) where others may read or write it; Error where it cannot be read */
export function readPrivateFile(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const stat = fstatSync(descriptor);
    const mode = stat.mode & 0o777;
    // A pipe, as of <(pass show token), is nobody else's.
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
