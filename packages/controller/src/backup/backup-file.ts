/**
 * The file of a backup: lines of JSON, compressed with gzip. The first line says what it is, then
 * come the entries of the store, and the files of the data directory in pieces. The last line has a
 * digest of all others, so that a file that was cut short or damaged is not restored.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { draftOf, syncFolder } from '@mirrorplane/base';
import type { Json } from '../store/store.ts';

/** The only format so far. A release reads all formats of earlier ones. */
const FORMAT = 1;

/** The first line. */
export interface BackupHead {
  mirrorplane: 'backup';
  format: number;
  /** Version of the controller that made it. */
  version: string;
  /** ISO 8601. */
  madeAt: string;
  /** Of the store. */
  revision: number;
}

/** A line between the first one and the last one. `file` is below the data directory. */
export type BackupLine = { key: string; value: Json } | { file: string; content: string };

interface EndLine {
  end: true;
  sha256: string;
}

/** Writes a backup that is whole or absent, readable by its owner only. */
export async function writeBackup(
  file: string,
  head: Omit<BackupHead, 'mirrorplane' | 'format'>,
  lines: AsyncIterable<BackupLine>,
): Promise<void> {
  const draft = draftOf(file);
  try {
    // What another user has put there would stay theirs to read.
    await rm(draft, { force: true });
    const target = await open(draft, 'wx', 0o600);
    await pipeline(Readable.from(textOf(head, lines)), createGzip(), target.createWriteStream({ flush: true }));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw ofFile(file, error as NodeJS.ErrnoException);
  }
  syncFolder(path.dirname(file));
}

/** What an operator can do about a file that cannot be written. Other errors are of what is read. */
function ofFile(file: string, error: NodeJS.ErrnoException): Error {
  const folder = path.dirname(file);
  const { code = '', syscall } = error;
  if (error.path === draftOf(file) && code === 'ENOENT') {
    return new Error(`cannot write ${file}: there is no folder ${folder}: make it, with mode 0700`);
  }
  if (syscall === 'write' && ['ENOSPC', 'EDQUOT'].includes(code)) {
    return new Error(`cannot write ${file}: ${folder} is full. An older file of this name is as it was`);
  }
  return error.path === draftOf(file) ? new Error(`cannot write ${file}: ${error.message}`) : error;
}

async function* textOf(head: object, lines: AsyncIterable<BackupLine>): AsyncGenerator<string> {
  const hash = createHash('sha256');
  const line = (value: object) => {
    const text = `${JSON.stringify(value)}\n`;
    hash.update(text);
    return text;
  };
  yield line({ mirrorplane: 'backup', format: FORMAT, ...head });
  for await (const one of lines) {
    yield line(one);
  }
  yield `${JSON.stringify({ end: true, sha256: hash.digest('hex') } satisfies EndLine)}\n`;
}

/**
 * Reads a backup.
 * @throws Error if it is not there or none, was made by a newer release, or is damaged. The last one is known at
 * the end only
 */
export async function* readBackup(file: string): AsyncGenerator<BackupHead | BackupLine> {
  const hash = createHash('sha256');
  const source = createReadStream(file);
  const text = source.pipe(createGunzip());
  source.on('error', (error) => text.destroy(error));
  let isFirst = true;
  try {
    for await (const line of createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })) {
      const value = JSON.parse(line) as BackupHead | BackupLine | EndLine;
      if (isFirst) {
        requireFormat(value as BackupHead);
        isFirst = false;
      }
      if ('end' in value) {
        if (value.sha256 !== hash.digest('hex')) {
          break;
        }
        return;
      }
      hash.update(`${line}\n`);
      yield value;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error(`there is no file ${file}: name one that "mirrorplane store backup" has written`);
    }
    throw new Error(`${file} is not a backup, or is damaged: ${(error as Error).message}`);
  }
  throw new Error(`${file} is damaged or incomplete: its digest does not fit`);
}

function requireFormat({ mirrorplane, format }: BackupHead): void {
  if (mirrorplane !== 'backup') {
    throw new Error('it does not say so in its first line');
  }
  if (format > FORMAT) {
    throw new Error(`it has format ${format}, and this release reads format ${FORMAT}: use a newer release`);
  }
}
