/** Reads files that others write, and no more of them than fits. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** The code of a failed system call, as `ENOENT`. */
export function errno(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/**
 * Reads a text file; undefined where there is none. Its size is not asked for: files of FUSE and of /proc do not know it.
 * A pipe in its place is not waited for.
 * @param limit bytes
 * @throws Error where it is larger, no file, or cannot be read; the last with the code of the system call, for that may be
 *   about more than this file
 */
export async function readBounded(path: string, limit: number): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    // A part of the path that is no folder: there is no such file either.
    if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') {
      return undefined;
    }
    throw errno(error) === 'ELOOP' ? noFile(path) : error;
  }
  try {
    const parts: Buffer[] = [];
    let size = 0;
    for (;;) {
      const part = Buffer.alloc(Math.min(limit + 1 - size, 64 << 10));
      const { bytesRead } = await file.read(part, 0, part.length, null);
      if (bytesRead === 0) {
        return Buffer.concat(parts).toString();
      }
      size += bytesRead;
      if (size > limit) {
        throw new Error(`${path} is larger than ${limit} bytes`);
      }
      parts.push(part.subarray(0, bytesRead));
    }
  } catch (error) {
    throw errno(error) === 'EISDIR' ? noFile(path) : error;
  } finally {
    await file.close();
  }
}

function noFile(path: string): Error {
  return new Error(`${path} is not a file`);
}
