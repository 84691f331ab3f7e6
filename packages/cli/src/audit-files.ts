/** Files of an audit log, copied or exported: their order, their lines, and where an export goes on. */
import { closeSync, createReadStream, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import type { ChainCheck } from '@mirrorplane/contract/audit-check';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import { CliError } from './exit.ts';

/** Bytes that are enough for the number of a first line, and for the longest line. */
const HEAD_BYTES = 64;
const TAIL_BYTES = 256 * 1024;
const SEQ = /^\{"seq":(\d{1,15}),/;

/** Gives the lines of files to a check, the oldest file first, however they were named. @throws CliError */
export async function checkFiles(files: readonly string[], check: ChainCheck): Promise<void> {
  for (const file of inOrder(files)) {
    check.file(basename(file));
    const lines = new LineSplitter();
    try {
      for await (const piece of createReadStream(file)) {
        for (const line of lines.push(piece as Buffer)) {
          check.take(line);
        }
      }
    } catch (error) {
      throw unreadable(file, error);
    }
    if (lines.isTorn) {
      check.torn();
    }
  }
}

/** By the number of their first line. Files without a chain come first, audit.log.4 before audit.log.3. */
function inOrder(files: readonly string[]): string[] {
  const place = (file: string) => ({ file, seq: firstSeq(file), number: Number(/\.(\d+)$/.exec(file)?.[1] ?? 0) });
  return files
    .map(place)
    .sort((a, b) => a.seq - b.seq || b.number - a.number)
    .map(({ file }) => file);
}

function firstSeq(file: string): number {
  return withFile(file, 'r', (descriptor) => {
    const begin = Buffer.alloc(HEAD_BYTES);
    readSync(descriptor, begin, 0, HEAD_BYTES, 0);
    return Number(SEQ.exec(begin.toString())?.[1] ?? 0);
  });
}

/**
 * The number of the last line of an export. A line that an interruption has cut short is removed.
 * 0: there is none.
 * @throws CliError if the file is no export
 */
export function lastExported(file: string): number {
  return withFile(file, 'r+', (descriptor) => {
    const { size } = fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(descriptor, tail, 0, tail.length, size - tail.length);
    const end = tail.lastIndexOf('\n') + 1;
    ftruncateSync(descriptor, size - tail.length + end);
    const last = tail.toString('utf8', 0, end).trimEnd().split('\n').at(-1) ?? '';
    const seq = SEQ.exec(last)?.[1];
    if (seq === undefined && size > 0) {
      throw new CliError('usage', `${file} does not end with a line of the audit log: name another file`);
    }
    return Number(seq ?? 0);
  });
}

function withFile<T>(file: string, flags: string, use: (descriptor: number) => T): T {
  let descriptor: number;
  try {
    descriptor = openSync(file, flags);
  } catch (error) {
    throw unreadable(file, error);
  }
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function unreadable(file: string, error: unknown): CliError {
  return new CliError('usage', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
}
