/** The append-only record of who changed what: DATA/audit.log, one JSON object a line. */
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Serial, syncFolder } from '@mirrorplane/base';
import { ReasonCode, Timestamp } from '@mirrorplane/contract';
import * as z from 'zod';

export const AuditEntry = z
  .object({
    time: Timestamp,
    actor: z
      .string()
      .meta({ description: 'admin or read; node:NAME if an agent acted; unknown if a try to sign in was refused.' }),
    address: z.string().meta({ description: 'Address of the client. unix: the local socket.' }),
    action: z.enum([
      'create',
      'replace',
      'patch',
      'delete',
      'declareDead',
      'token',
      'enroll',
      'renew',
      'signIn',
      'signOut',
      'ticket',
    ]),
    resource: z
      .string()
      .meta({ description: 'Kind and name, for example policies/ids-all; session for signing in and out.' }),
    outcome: z.enum(['done', 'unchanged', 'refused', 'failed']),
    code: ReasonCode.optional().meta({ description: 'Code of the refusal.' }),
    revision: z.number().int().optional().meta({ description: 'Store revision of the change.' }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;

/**
 * Bytes of a file before the next file begins, and the number of full files that are kept.
 * audit.log.1 is the newest full file.
 */
const MAX_FILE_BYTES = 64 << 20;
const FULL_FILES = 4;
const CHUNK = 64 * 1024;
/**
 * The most bytes that are read for one answer. Lines are short, so an answer has far fewer bytes.
 */
const MAX_READ_BYTES = 8 << 20;
/** Number of last lines that are searched for the last decisions. */
const RECOVER_LINES = 4096;

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
  append(entry: Omit<AuditEntry, 'time'> & { time?: string }): Promise<void> {
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
  async recover(unaudited: readonly (Omit<AuditEntry, 'outcome'> & { revision: number })[]): Promise<void> {
    if (unaudited.length === 0) {
      return;
    }
    const written = new Set((await this.read(RECOVER_LINES)).map(({ outcome, revision }) => `${outcome} ${revision}`));
    for (const { time, actor, address, action, resource, revision } of unaudited) {
      if (!written.has(`done ${revision}`)) {
        await this.append({ time, actor, address, action, resource, revision, outcome: 'done' });
      }
    }
  }

  /** The newest entries, in descending order of time. */
  async read(limit: number): Promise<AuditEntry[]> {
    await this.#writes.settled();
    const entries: AuditEntry[] = [];
    let left = MAX_READ_BYTES;
    for (let index = 0; index <= FULL_FILES && entries.length < limit && left > 0; index++) {
      const file = index === 0 ? this.#file : await open(fullFile(this.#path, index), 'r').catch(() => undefined);
      if (!file) {
        break;
      }
      try {
        const { text, bytes } = await readEnd(file, limit - entries.length, left);
        left -= bytes;
        for (const line of text.split('\n').reverse()) {
          const entry = parseLine(line);
          if (entry && entries.length < limit) {
            entries.push(entry);
          }
        }
      } finally {
        if (file !== this.#file) {
          await file.close();
        }
      }
    }
    return entries;
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

/** The end of a file: so many lines and a part of the line before, or so many bytes. */
async function readEnd(file: FileHandle, lines: number, maxBytes: number): Promise<{ text: string; bytes: number }> {
  let position = (await file.stat()).size;
  const chunks: Buffer[] = [];
  let [bytes, ends] = [0, 0];
  while (position > 0 && ends <= lines && bytes < maxBytes) {
    const length = Math.min(CHUNK, position);
    position -= length;
    const chunk = Buffer.alloc(length);
    await file.read(chunk, 0, length, position);
    chunks.unshift(chunk);
    bytes += length;
    ends += chunk.reduce((count, byte) => count + (byte === 0x0a ? 1 : 0), 0);
  }
  return { text: Buffer.concat(chunks).toString('utf8'), bytes };
}

function parseLine(line: string): AuditEntry | undefined {
  try {
    return AuditEntry.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
