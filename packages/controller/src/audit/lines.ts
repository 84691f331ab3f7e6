/** Reads a file of lines from its end, a bounded piece at a time. */
import type { FileHandle } from 'node:fs/promises';

/** Bytes that are read at once, and the longest line: a longer one is damaged. */
const CHUNK = 64 * 1024;
const LINE_END = 0x0a;

/** A whole line without its end, and where it begins in its file. */
export interface Line {
  text: string;
  at: number;
}

/**
 * The lines of a file, the last one first. What does not end in a line end is left out. The memory
 * does not depend on the size of the file.
 * @param before bytes of the file that are read: it has to be the end of a line
 * @param read told of the number of bytes of each piece
 */
export async function* linesBackwards(
  file: FileHandle,
  before: number,
  read: (bytes: number) => void,
): AsyncGenerator<Line> {
  /** Bytes of lines of which the beginning has not been read yet. */
  let rest = Buffer.alloc(0);
  for (let position = before; position > 0; ) {
    const length = Math.min(CHUNK, position);
    position -= length;
    const chunk = Buffer.alloc(length);
    await file.read(chunk, 0, length, position);
    read(length);
    const bytes = Buffer.concat([chunk, rest]);
    let end = bytes.lastIndexOf(LINE_END);
    while (end > 0) {
      const begin = bytes.lastIndexOf(LINE_END, end - 1) + 1;
      if (begin === 0 && position > 0) {
        break;
      }
      yield { text: bytes.toString('utf8', begin, end), at: position + begin };
      end = begin - 1;
    }
    // Of a line that is too long, only the end is kept until its beginning is found.
    rest = bytes.subarray(0, Math.min(end + 1, CHUNK));
  }
}
