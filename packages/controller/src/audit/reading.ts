/** Reads the audit log: entries page by page from its end, and lines from a number on. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { AuditEntry } from '@mirrorplane/contract';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import type { LogFile } from './files.ts';
import { linesBackwards } from './lines.ts';
import type { Backwards } from './proven.ts';

/** The most bytes that are read for one answer, whatever is looked for. */
const MAX_READ_BYTES = 8 << 20;
/** Milliseconds by which an entry may be older than the one before it: it was added by a later start. */
const LATE_MS = 10 * 60 * 1000;
/** What is written of an entry. */
const WRITTEN = AuditEntry.omit({ unproven: true });
/** Bytes of a file that are enough to read the number of its first line. */
const HEAD_BYTES = 256;
/** Bytes that are read at once. */
const PIECE_BYTES = 64 * 1024;

/** A place between two entries. It stays when its file becomes a full file. */
export interface AuditPlace {
  /** Of the file: a digest of its first line. */
  file: string;
  /** Bytes from its beginning. */
  at: number;
}

/** A place, and what the chain has before it. */
export interface ChainPlace extends AuditPlace {
  /** SHA-256 of the line of the chain that is next. */
  next: string;
}

/** What is looked for. */
export interface AuditSearch {
  limit: number;
  wanted: (entry: AuditEntry) => boolean;
  /** Only entries that were written before this place. */
  after?: ChainPlace | undefined;
  /** Nothing older is wanted, milliseconds since 1970. */
  since?: number | undefined;
}

/** Entries, the newest first. */
export interface AuditPage {
  entries: AuditEntry[];
  /** Where the search ended. Left out: there is nothing more. */
  next?: ChainPlace;
  /** The place where it should have begun is in no file any more. */
  isGone?: boolean;
}

/**
 * Entries in descending order of time, and where the search ended. One page reads a bounded part of
 * the files, so it may have fewer entries than `limit`, and still not be the last one.
 * @param list the files, the newest first. It is called again while files change
 * @param chain knows the end of the chain, or what it has before `after`
 */
export async function readPage(
  list: () => readonly LogFile[],
  { limit, wanted, after, since }: AuditSearch,
  chain: Backwards,
): Promise<AuditPage> {
  const entries: AuditEntry[] = [];
  const search = { bytes: 0, isFound: after === undefined };
  for await (const { text, place } of newestFirst(list, after, search)) {
    const standing = chain.judge(text);
    const entry = standing === 'newer' ? undefined : parseEntry(text);
    // Of a line that is not of the chain nothing is believed.
    if (entry && standing !== 'foreign' && since !== undefined && Date.parse(entry.time) < since - LATE_MS) {
      break;
    }
    if (entry && wanted(entry)) {
      entries.push(standing === 'proven' ? entry : { ...entry, unproven: standing as Unproven });
    }
    if (entries.length === limit || search.bytes > MAX_READ_BYTES) {
      return { entries, next: { ...place, next: chain.next } };
    }
  }
  return { entries, ...(!search.isFound && { isGone: true }) };
}

/** All lines before a place, the newest first. */
export async function* newestFirst(
  list: () => readonly LogFile[],
  after?: AuditPlace,
  search: { bytes: number; isFound: boolean } = { bytes: 0, isFound: true },
): AsyncGenerator<{ text: string; place: AuditPlace }> {
  const seen = new Set<string>();
  for (let index = 0; ; index++) {
    const path = list()[index]?.path;
    // A file of its own: the one that is written may be closed meanwhile, because the next one begins.
    const file = path === undefined ? undefined : await open(path, 'r').catch(() => undefined);
    if (!file) {
      return;
    }
    try {
      const [id, { size }] = [await digestOf(file), await file.stat()];
      const isHere = after?.file === id;
      // A file that has become a full file meanwhile is met twice.
      if (seen.has(id) || !(search.isFound || isHere)) {
        continue;
      }
      seen.add(id);
      search.isFound = true;
      const counted = (bytes: number) => {
        search.bytes += bytes;
      };
      for await (const { text, at } of linesBackwards(file, isHere ? Math.min(after.at, size) : size, counted)) {
        yield { text, place: { file: id, at } };
      }
    } finally {
      await file.close();
    }
  }
}

/** A file that is open: it stays readable when it gets another name or is removed. */
export interface OpenFile {
  file: FileHandle;
  /** Bytes of whole lines. */
  bytes: number;
}

/**
 * The files with lines above a number, the oldest first. The caller closes them.
 * @param after 0: all files, also those without a chain
 */
export async function openFrom(list: readonly LogFile[], after: number): Promise<OpenFile[]> {
  const opened: OpenFile[] = [];
  for (const { path, bytes } of list) {
    const file = await open(path, 'r');
    opened.unshift({ file, bytes });
    const first = await firstLine(file);
    if (after > 0 && first !== undefined && first.seq <= after + 1) {
      break;
    }
  }
  return opened;
}

/** Closes files. */
export async function closeAll(files: readonly OpenFile[]): Promise<void> {
  await Promise.all(files.map(({ file }) => file.close()));
}

/** Pieces of a file from its beginning, which are read when they are taken. */
export async function* piecesOf({ file, bytes }: OpenFile): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes; ) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, bytes - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) {
      return;
    }
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

/**
 * The lines above a number as they are in the files, in pieces of whole lines. Closes the files.
 * @param after 0: all lines, also those without a chain
 */
export async function* linesAfter(files: readonly OpenFile[], after: number): AsyncGenerator<Buffer> {
  try {
    for (const file of files) {
      const lines = new LineSplitter();
      for await (const piece of piecesOf(file)) {
        const whole = lines.push(piece).filter((line) => after === 0 || (seqOf(line) ?? 0) > after);
        if (whole.length > 0) {
          yield Buffer.from(`${whole.join('\n')}\n`);
        }
      }
    }
  } finally {
    await closeAll(files);
  }
}

/** Number and time of the first line of a file. Undefined: it is of no chain. */
export async function firstLine(file: FileHandle): Promise<{ seq: number; at: number } | undefined> {
  const begin = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(begin, 0, HEAD_BYTES, 0);
  const text = begin.toString('utf8', 0, bytesRead);
  const [, seq, time] = /^\{"seq":(\d{1,15}),"prev":"[0-9a-f]{64}","time":"([^"]{1,40})"/.exec(text) ?? [];
  return seq === undefined ? undefined : { seq: Number(seq), at: Date.parse(time!) };
}

/** The same of a file by its path. Undefined also where it is not there. */
export async function firstLineOf(path: string): Promise<{ seq: number; at: number } | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  try {
    return file && (await firstLine(file));
  } finally {
    await file?.close();
  }
}

/** Number of a line, or of the beginning of one. Undefined: it is of no chain. */
export function seqOf(text: string): number | undefined {
  const [, seq] = /^\{"seq":(\d{1,15}),"prev":"/.exec(text) ?? [];
  return seq === undefined ? undefined : Number(seq);
}

/** Tells one file from all others, for as long as it is there: of what is appended nothing changes. */
async function digestOf(file: FileHandle): Promise<string> {
  const begin = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(begin, 0, begin.length, 0);
  const end = begin.subarray(0, bytesRead).indexOf('\n');
  return createHash('sha256')
    .update(begin.subarray(0, end < 0 ? bytesRead : end))
    .digest('hex')
    .slice(0, 16);
}

type Unproven = NonNullable<AuditEntry['unproven']>;

/** An entry. Undefined: the line is a checkpoint, or damaged. */
function parseEntry(line: string): AuditEntry | undefined {
  try {
    return WRITTEN.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
