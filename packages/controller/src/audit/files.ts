/**
 * The files of the audit log: the one that is written, and full ones beside it with a number, of
 * which 1 is the newest. A line is in a file as a whole, or not at all.
 */
import { constants, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from '@mirrorplane/base';

/** Bytes that are read at once in search of the last line end. */
const CHUNK = 64 * 1024;
const LINE_END = 0x0a;

/** A file of the log. */
export interface LogFile {
  path: string;
  /** 0: the one that is written. */
  number: number;
  bytes: number;
}

export class AuditFiles {
  readonly path: string;
  /** Whether a line has to be on the disk when it is written. False: another place has it. */
  readonly #isSynced: boolean;
  #file: FileHandle;
  #size: number;
  /** A line that a failed write has left half done could not be removed yet. */
  #isTorn = false;

  private constructor(path: string, file: FileHandle, size: number, isSynced: boolean) {
    this.path = path;
    this.#isSynced = isSynced;
    this.#file = file;
    this.#size = size;
  }

  /**
   * Opens the log for appending. A last line that a crash has cut short is removed: it was never
   * acknowledged.
   * @param isSynced false: lines need not be on the disk when `append` resolves
   * @returns the files, and the number of bytes that were removed
   */
  static async open(path: string, isSynced = true): Promise<{ files: AuditFiles; torn: number }> {
    const file = await openFile(path);
    syncFolder(dirname(path));
    const { size } = await file.stat();
    const whole = await endOfLines(file, size);
    if (whole < size) {
      await file.truncate(whole);
      await file.datasync();
    }
    return { files: new AuditFiles(path, file, whole, isSynced), torn: size - whole };
  }

  /** Bytes of the file that is written. */
  get size(): number {
    return this.#size;
  }

  /**
   * Resolves when the lines are on the disk.
   * @throws Error of the file system; none of the lines is in the file then
   */
  async append(lines: readonly string[]): Promise<void> {
    await this.#removeTorn();
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    try {
      await this.#file.appendFile(bytes);
      if (this.#isSynced) {
        await this.#file.datasync();
      }
    } catch (error) {
      this.#isTorn = true;
      await this.#removeTorn().catch(() => undefined);
      throw error;
    }
    this.#size += bytes.length;
  }

  /** The newest file first. */
  list(): LogFile[] {
    const [folder, name] = [dirname(this.path), basename(this.path)];
    const numbers = readdirSync(folder).flatMap((one) => {
      const [, number] = one.startsWith(name) ? (/^\.([1-9]\d{0,5})$/.exec(one.slice(name.length)) ?? []) : [];
      return number === undefined ? [] : [Number(number)];
    });
    return [0, ...numbers.sort((a, b) => a - b)].map((number) => {
      const path = join(folder, number === 0 ? name : `${name}.${number}`);
      return { path, number, bytes: statSync(path).size };
    });
  }

  /**
   * The current file becomes the newest full file, and a new one begins. If a crash comes in
   * between, a number is free, and the next call fills it.
   */
  async beginNext(): Promise<void> {
    const taken = new Set(this.list().map(({ number }) => number));
    let free = 1;
    while (taken.has(free)) {
      free++;
    }
    for (; free > 0; free--) {
      await rename(free === 1 ? this.path : `${this.path}.${free - 1}`, `${this.path}.${free}`);
    }
    const full = this.#file;
    this.#file = await openFile(this.path);
    this.#size = 0;
    syncFolder(dirname(this.path));
    await full.datasync();
    await full.close();
  }

  /** Removes full files. */
  async remove(files: readonly LogFile[]): Promise<void> {
    for (const { path } of files) {
      await rm(path, { force: true });
    }
    syncFolder(dirname(this.path));
  }

  async close(): Promise<void> {
    if (!this.#isSynced) {
      await this.#file.datasync();
    }
    await this.#file.close();
  }

  async #removeTorn(): Promise<void> {
    if (this.#isTorn) {
      await this.#file.truncate(this.#size);
      this.#isTorn = false;
    }
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
}

/** Bytes up to the last line end. */
async function endOfLines(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - CHUNK);
    const chunk = Buffer.alloc(end - begin);
    await file.read(chunk, 0, chunk.length, begin);
    const at = chunk.lastIndexOf(LINE_END);
    if (at >= 0) {
      return begin + at + 1;
    }
    end = begin;
  }
  return 0;
}
