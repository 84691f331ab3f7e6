/** Which files of the audit log are removed. Pure. */
import type { SignedFile } from './signed-files.ts';

/** What is kept. */
export interface Retention {
  /** Bytes of all files together. */
  keepBytes: number;
  /** Bytes of a file before the next file begins. */
  fileBytes: number;
  /** Milliseconds after which a line may be removed. Infinity: only the size counts. */
  keepMs: number;
}

/** Files begin so often within the time that lines are kept, so that they can be removed one by one. */
const FILES_OF_AGE = 8;
const HOUR_MS = 60 * 60 * 1000;

/** Bytes of a file, and of all together, without other settings. */
export const FILE_BYTES = 64 << 20;
export const KEEP_BYTES = 1024 * 2 ** 20;

/** The full files to remove: the oldest ones. @param list the newest first */
export function surplusOf(
  list: readonly SignedFile[],
  { keepBytes, fileBytes, keepMs }: Retention,
  now: number,
): SignedFile[] {
  // The file that is written counts as full.
  let bytes = fileBytes;
  const first = list.findIndex((file) => {
    bytes += file.number > 0 ? file.bytes : 0;
    return file.number > 0 && (bytes > keepBytes || now - file.endedAt > keepMs);
  });
  return first < 0 ? [] : list.slice(first);
}

/** Milliseconds after which the file that is written ends, though it is not full. */
export function fileMs({ keepMs }: Pick<Retention, 'keepMs'>): number {
  return Math.max(HOUR_MS, keepMs / FILES_OF_AGE);
}
