/** The append-only record of who changed what: DATA/audit.log, one JSON object a line. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Serial, syncFolder } from '@mirrorplane/base';
import { type AuditDraft, AuditEntry } from '@mirrorplane/contract';
import { linesBackwards } from './lines.ts';

/**
 * Bytes of a file before the next file begins, and the number of full files that are kept.
 * audit.log.1 is the newest full file.
 */
const MAX_FILE_BYTES = 64 << 20;
const FULL_FILES = 4;
/** The most bytes that are read for one answer, whatever is looked for. */
const MAX_READ_BYTES = 8 << 20;
/** Number of last lines that are searched for the last decisions. */
const RECOVER_LINES = 4096;
/** Milliseconds by which an entry may be older than the one before it: it was added by a later start. */
const LATE_MS = 10 * 60 * 1000;

/** A place between two entries. It stays when its file becomes a full file. */
export interface AuditPlace {
  /** Of the file: a digest of its first line. */
  file: string;
  /** Bytes from its beginning. */
  at: number;
}

/** What is looked for. */
export interface AuditSearch {
  limit: number;
  wanted: (entry: AuditEntry) => boolean;
  /** Only entries that were written before this place. */
  after?: AuditPlace | undefined;
  /** Nothing older is wanted, milliseconds since 1970. */
  since?: number | undefined;
}

/** Entries, the newest first. */
export interface AuditPage {
  entries: AuditEntry[];
  /** Where the search ended. Left out: there is nothing more. */
  next?: AuditPlace;
  /** The place where it should have begun is in no file any more. */
  isGone?: boolean;
}

export class AuditLog {
  readonly #path: string;
  readonly #clock: () => number;
  readonly #maxBytes: number;
  #file: FileHandle;
  #size: number;
  readonly #writes = new Serial();

  private constructor(path: string, file: FileHandle, size: number, clock: () => number, maxBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#size = size;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /**
   * Opens the log for appending. A line that a crash has cut short gets its line end, so that the
   * next entry is a separate line.
   * @param maxBytes bytes of a file before the next file begins. Default 64 MB
   */
  static async open(path: string, clock: () => number, maxBytes = MAX_FILE_BYTES): Promise<AuditLog> {
    const file = await openFile(path);
    syncFolder(dirname(path));
    const { size } = await file.stat();
    if (size > 0) {
      const last = Buffer.alloc(1);
      await file.read(last, 0, 1, size - 1);
      if (last[0] !== 0x0a) {
        await file.appendFile('\n');
      }
    }
    return new AuditLog(path, file, size, clock, maxBytes);
  }

  /**
   * Resolves when the entry is on the disk.
   * @param entry without `time`, the current time is used
   */
  append(entry: AuditDraft): Promise<void> {
    const line = `${JSON.stringify({ time: new Date(this.#clock()).toISOString(), ...entry })}\n`;
    return this.#writes.run(async () => {
      if (this.#size > this.#maxBytes) {
        await this.#beginNext();
      }
      await this.#file.appendFile(line);
      await this.#file.datasync();
      this.#size += Buffer.byteLength(line);
    });
  }

  /** Adds lines for committed decisions of a controller that was killed before it wrote them. */
  async recover(
    unaudited: readonly (Omit<AuditDraft, 'outcome'> & { revision: number; events?: unknown })[],
  ): Promise<void> {
    if (unaudited.length === 0) {
      return;
    }
    const written = new Set((await this.read(RECOVER_LINES)).map(({ outcome, revision }) => `${outcome} ${revision}`));
    for (const { events: _, ...entry } of unaudited) {
      if (!written.has(`done ${entry.revision}`)) {
        await this.append({ ...entry, outcome: 'done' });
      }
    }
  }

  /** The newest entries, in descending order of time. */
  async read(limit: number): Promise<AuditEntry[]> {
    return (await this.page({ limit, wanted: () => true })).entries;
  }

  /**
   * Entries in descending order of time, and where the search ended. One page reads a bounded part
   * of the files, so it may have fewer entries than `limit`, and still not be the last one.
   */
  async page({ limit, wanted, after, since }: AuditSearch): Promise<AuditPage> {
    await this.#writes.settled();
    const entries: AuditEntry[] = [];
    const search = { bytes: 0, isFound: after === undefined };
    for await (const { entry, place } of this.#newestFirst(after, search)) {
      if (entry && since !== undefined && Date.parse(entry.time) < since - LATE_MS) {
        break;
      }
      if (entry && wanted(entry)) {
        entries.push(entry);
      }
      if (entries.length === limit || search.bytes > MAX_READ_BYTES) {
        return { entries, next: place };
      }
    }
    return { entries, ...(!search.isFound && { isGone: true }) };
  }

  /** All entries before a place, the newest first. Undefined: a line that is none. */
  async *#newestFirst(
    after: AuditPlace | undefined,
    search: { bytes: number; isFound: boolean },
  ): AsyncGenerator<{ entry: AuditEntry | undefined; place: AuditPlace }> {
    const seen = new Set<string>();
    for (let index = 0; index <= FULL_FILES; index++) {
      // A file of its own: the one that is written may be closed meanwhile, because the next one begins.
      const file = await open(index === 0 ? this.#path : fullFile(this.#path, index), 'r').catch(() => undefined);
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
          yield { entry: parseLine(text), place: { file: id, at } };
        }
      } finally {
        await file.close();
      }
    }
  }

  /** The current file becomes the newest full file. The oldest full file is deleted. */
  async #beginNext(): Promise<void> {
    for (let index = FULL_FILES - 1; index >= 0; index--) {
      const from = index === 0 ? this.#path : fullFile(this.#path, index);
      await rename(from, fullFile(this.#path, index + 1)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') {
          throw error;
        }
      });
    }
    const full = this.#file;
    this.#file = await openFile(this.#path);
    this.#size = 0;
    syncFolder(dirname(this.#path));
    await full.close();
  }

  async close(): Promise<void> {
    await this.#writes.settled();
    await this.#file.close();
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
}

/** @param index 1 is the newest one */
function fullFile(path: string, index: number): string {
  return `${path}.${index}`;
}

/** Tells one file from all others, for as long as it is there: of what is appended nothing changes. */
async function digestOf(file: FileHandle): Promise<string> {
  const begin = Buffer.alloc(256);
  const { bytesRead } = await file.read(begin, 0, begin.length, 0);
  const end = begin.subarray(0, bytesRead).indexOf('\n');
  return createHash('sha256')
    .update(begin.subarray(0, end < 0 ? bytesRead : end))
    .digest('hex')
    .slice(0, 16);
}

function parseLine(line: string): AuditEntry | undefined {
  try {
    return AuditEntry.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
