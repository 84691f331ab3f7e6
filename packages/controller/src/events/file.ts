/**
 * The file of the event log. It is appended to, read from its beginning, and written again when it
 * has grown.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile, syncFolder } from '@mirrorplane/base';
import { type Line, parseLine, readLines, textOf } from './lines.ts';

/** Lines that are written at once where the whole file is. */
const PART_LINES = 1024;

export class EventFile {
  readonly path: string;
  /** Whether an event has to be on the disk when it is appended. False: another place has it. */
  readonly #isSynced: boolean;
  #file: FileHandle;
  #events = 0;
  #bytes = 0;
  /** The last line may have no end. */
  #torn = false;

  private constructor(filePath: string, file: FileHandle, isSynced: boolean) {
    this.path = filePath;
    this.#isSynced = isSynced;
    this.#file = file;
  }

  /** Opens the file, or makes it. @param isSynced false: events need not be on the disk */
  static async open(filePath: string, isSynced = true): Promise<EventFile> {
    const file = new EventFile(filePath, await openForAppending(filePath), isSynced);
    syncFolder(path.dirname(filePath));
    return file;
  }

  /** Lines with an event; 0 after an attempt to write the file again that failed. */
  get events(): number {
    return this.#events;
  }

  /** Size; counted from 0 after an attempt to write the file again that failed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Reads all lines. A line that is damaged or too long is empty. */
  async *read(): AsyncGenerator<{ line: Line; text: string }> {
    const file = await open(this.path, 'r');
    try {
      for await (const { text, ended } of readLines(file)) {
        this.#torn = !ended;
        const line = parseLine(text);
        this.#events += line.event ? 1 : 0;
        yield { line, text };
      }
    } finally {
      await file.close();
    }
    this.#bytes = (await this.#file.stat()).size;
  }

  /**
   * Appends lines with events. Resolves when they are on the disk.
   * @throws Error of the disk. A full disk may have taken a part: the next lines begin with a new
   *   line then
   */
  async append(texts: readonly string[]): Promise<void> {
    const text = texts.join('');
    try {
      await this.#file.appendFile((this.#torn ? '\n' : '') + text);
      if (this.#isSynced) {
        await this.#file.datasync();
      }
    } catch (error) {
      this.#torn = true;
      throw error;
    }
    this.#torn = false;
    this.#events += texts.length;
    this.#bytes += Buffer.byteLength(text);
  }

  /**
   * Puts a new file with these lines in the place of the old one.
   * @param events texts of lines with an event, without line ends
   * @throws Error of the disk. The old file is as good as it was
   */
  async replace(head: readonly Line[], events: readonly string[]): Promise<void> {
    [this.#events, this.#bytes] = [0, 0];
    await replaceFile(this.path, partsOf(textOf(head), events));
    const old = this.#file;
    this.#file = await openForAppending(this.path);
    await old.close();
    this.#torn = false;
    this.#events = events.length;
    this.#bytes = (await this.#file.stat()).size;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The text of a file in parts, each of which is made when the one before is written. */
function* partsOf(head: string, lines: readonly string[]): Generator<string> {
  yield head;
  for (let at = 0; at < lines.length; at += PART_LINES) {
    yield lines
      .slice(at, at + PART_LINES)
      .map((line) => `${line}\n`)
      .join('');
  }
}

function openForAppending(filePath: string): Promise<FileHandle> {
  return open(filePath, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}
