/** The append-only record of who changed what: DATA/audit.log, one JSON object a line. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { syncFolder } from '../auth/files.ts';

export const AuditEntry = z
  .object({
    time: z.string(),
    actor: z.string().meta({ description: 'admin, or node:NAME where an agent acted.' }),
    address: z.string().meta({ description: 'Where the request came from; unix for the local socket.' }),
    action: z.string().meta({ description: 'create, replace, patch, delete, token or enroll.' }),
    resource: z.string().meta({ description: 'Kind and name, as in policies/ids-all.' }),
    outcome: z.enum(['done', 'unchanged', 'refused', 'failed']),
    code: z.string().optional().meta({ description: 'Code of the error catalogue, where it was refused.' }),
    revision: z.number().int().optional().meta({ description: 'Store revision of the change.' }),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;

const CHUNK = 64 * 1024;
/** Lines in which to look for those of the last decisions. */
const RECOVER_LINES = 4096;

export class AuditLog {
  readonly #file: FileHandle;
  readonly #clock: () => number;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(file: FileHandle, clock: () => number) {
    this.#file = file;
    this.#clock = clock;
  }

  /** Opens the log for appending. A line that a crash cut short is ended, so that the next one stands by itself. */
  static async open(path: string, clock: () => number): Promise<AuditLog> {
    const file = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
    syncFolder(dirname(path));
    const { size } = await file.stat();
    if (size > 0) {
      const last = Buffer.alloc(1);
      await file.read(last, 0, 1, size - 1);
      if (last[0] !== 0x0a) {
        await file.appendFile('\n');
      }
    }
    return new AuditLog(file, clock);
  }

  /**
   * Resolves when the entry is on the disk.
   * @param entry `time` may be left out: now
   */
  append(entry: Omit<AuditEntry, 'time'> & { time?: string }): Promise<void> {
    const line = `${JSON.stringify({ time: new Date(this.#clock()).toISOString(), ...entry })}\n`;
    const written = this.#tail.then(async () => {
      await this.#file.appendFile(line);
      await this.#file.datasync();
    });
    this.#tail = written.catch(() => undefined);
    return written;
  }

  /** Adds lines of decisions that were committed by a controller which was killed before it wrote them. */
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

  /** The newest entries, the newest first. */
  async read(limit: number): Promise<AuditEntry[]> {
    await this.#tail;
    let position = (await this.#file.stat()).size;
    let text = Buffer.alloc(0);
    let lines = 0;
    while (position > 0 && lines <= limit) {
      const length = Math.min(CHUNK, position);
      position -= length;
      const chunk = Buffer.alloc(length);
      await this.#file.read(chunk, 0, length, position);
      text = Buffer.concat([chunk, text]);
      lines += chunk.reduce((count, byte) => count + (byte === 0x0a ? 1 : 0), 0);
    }
    const entries: AuditEntry[] = [];
    for (const line of text.toString('utf8').split('\n').reverse()) {
      const entry = parseLine(line);
      if (entry && entries.length < limit) {
        entries.push(entry);
      }
    }
    return entries;
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#file.close();
  }
}

function parseLine(line: string): AuditEntry | undefined {
  try {
    return AuditEntry.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
