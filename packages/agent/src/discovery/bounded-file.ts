/** Reads files of other software up to a bound. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** The code of a failed system call, for example `ENOENT`. */
export function errno(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/**
 * Reads a text file. Undefined if it does not exist. Its size is not queried, because files of FUSE
 * and /proc do not report it. A pipe in its place does not block.
 * @param limit bytes
 * @throws Error if it is too large, no file, or unreadable; the last with the code of the system
 * call, because the cause may affect other files too
 */
export async function readBounded(path: string, limit: number): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    // ENOTDIR: a part of the path is no folder, so the file does not exist either.
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
