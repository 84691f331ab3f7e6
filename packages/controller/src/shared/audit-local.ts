/**
 * Makes the audit log of a data directory the beginning of that in the store, and adds lines to it.
 * Lines that the store does not have were never acknowledged, because another controller wrote in
 * their place, or are from before a restore or a copy of the store. They are kept beside the log. So are lines that are older than all that the store has.
 */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { open, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import { hashOfLine, parseChainLine } from '@mirrorplane/contract/audit-chain';
import { AuditFiles } from '../audit/files.ts';
import { linesBackwards } from '../audit/lines.ts';
import { firstLineOf, newestFirst } from '../audit/reading.ts';
import type { Piece } from './pieces.ts';

export const AUDIT_LOG = 'audit';

/** Reads the pieces of the log in the store that have lines above a number. */
export type ReadAudit = (after: number) => AsyncIterable<Piece>;

/** A line of the chain. */
interface Place {
  seq: number;
  hash: string;
}

/** What was done to the local log. */
export interface CaughtUp {
  /** What the names of files with lines that the store does not have begin with. */
  aside?: string;
  /** Older lines: the store has no line that follows them any more. Beginning of names, and the last one. */
  older?: { aside: string; last: number };
  /** Lines that neither the store nor the local log has. */
  missing?: { from: number; to: number };
}

const logFile = (data: string) => path.join(data, 'audit.log');
const beginsFile = (data: string) => path.join(data, 'audit-begins');

/** Number of the oldest line that this controller has had. Undefined: it has had all. */
export function auditBegins(data: string): number | undefined {
  const file = beginsFile(data);
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
}

/** The local copy of the log. */
export class LocalAudit {
  readonly #files: AuditFiles;
  #end: Place;

  private constructor(files: AuditFiles, end: Place) {
    this.#files = files;
    this.#end = end;
  }

  /** Opens the log of a data directory, and adds what the store has more. */
  static async open(data: string, read: ReadAudit): Promise<{ local: LocalAudit; done: CaughtUp }> {
    let { local, end } = await LocalAudit.#at(data);
    const done: CaughtUp = {};
    const next = await firstLineAfter(read, end.seq);
    const isLonger = next === undefined && !(await hasLine(read, end));
    const before = end.seq;
    if (before > 0 && next !== undefined && next.seq > before + 1) {
      await local.close();
      done.older = { aside: await setAside(data, 0, 'older'), last: before };
      ({ local, end } = await LocalAudit.#at(data));
    } else if (end.seq > 0 && (isLonger || (next !== undefined && next.prev !== end.hash))) {
      await local.close();
      done.aside = await setAside(data, await lastCommon(data, read), 'aside');
      ({ local, end } = await LocalAudit.#at(data));
    }
    const pieces = read(end.seq);
    const first = await local.#fill(pieces);
    if (end.seq === 0 && first !== undefined && first > 1) {
      done.missing = { from: (done.older?.last ?? 0) + 1, to: first - 1 };
      replaceFileSync(beginsFile(data), `${first}\n`);
    }
    return { local, done };
  }

  static async #at(data: string): Promise<{ local: LocalAudit; end: Place }> {
    const { files } = await AuditFiles.open(logFile(data), false);
    const end = await lastLine(files);
    return { local: new LocalAudit(files, end), end };
  }

  /** Number of the last line. 0: there is none. */
  get last(): number {
    return this.#end.seq;
  }

  /**
   * Adds the lines of a piece that are not there yet.
   * @returns false if they do not fit the last line here: `open` finds out why
   */
  async add(piece: Piece): Promise<boolean> {
    return piece.last <= this.#end.seq || (piece.after <= this.#end.seq && (await this.#append(piece.lines)));
  }

  async close(): Promise<void> {
    await this.#files.close();
  }

  /** Adds all. A log without a line begins with a checkpoint. @returns number of the first line that was added */
  async #fill(pieces: AsyncIterable<Piece>): Promise<number | undefined> {
    let first: number | undefined;
    for await (const { lines } of pieces) {
      let wanted = lines;
      if (this.#end.seq === 0) {
        const at = lines.findIndex(isBeginning);
        wanted = at < 0 ? [] : lines.slice(at);
        first = wanted[0] === undefined ? undefined : parseChainLine(wanted[0])!.seq;
      }
      if (!(await this.#append(wanted))) {
        throw new Error(
          'the audit log in etcd is no chain: a line of it does not have the hash that the next one names',
        );
      }
    }
    return first;
  }

  /** Adds lines above the last one. False: the first of them does not fit it. */
  async #append(lines: readonly string[]): Promise<boolean> {
    let batch: string[] = [];
    let { seq, hash } = this.#end;
    for (const text of lines) {
      const line = parseChainLine(text);
      if (line === undefined || (seq > 0 && line.seq > seq && line.prev !== hash)) {
        return false;
      }
      if (line.seq <= seq) {
        continue;
      }
      if (line.checkpoint?.reason === 'rotation' && line.checkpoint.full !== undefined) {
        await this.#write(batch);
        batch = [];
        await this.#files.beginNext();
      }
      batch.push(text);
      [seq, hash] = [line.seq, hashOfLine(text)];
      if (line.checkpoint?.reason === 'removal') {
        await this.#removeBefore(line.checkpoint.first);
      }
    }
    await this.#write(batch);
    this.#end = { seq, hash };
    return true;
  }

  async #write(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) {
      await this.#files.append(lines);
    }
  }

  /** Removes full files that have only lines below a number, as the controller did that wrote it. */
  async #removeBefore(first: number): Promise<void> {
    const list = this.#files.list();
    for (let index = list.length - 1; index > 0; index--) {
      const newer = await firstLineOf(list[index - 1]!.path);
      if (newer === undefined || newer.seq > first) {
        return;
      }
      await this.#files.remove([list[index]!]);
    }
  }
}

/** Whether a log can begin with this line. */
export function isBeginning(text: string): boolean {
  const line = parseChainLine(text);
  return line?.checkpoint !== undefined && line.checkpoint.unchained === undefined;
}

async function firstLineAfter(read: ReadAudit, seq: number) {
  for await (const { lines } of read(seq)) {
    const found = lines.map(parseChainLine).find((line) => line !== undefined && line.seq > seq);
    if (found) {
      return found;
    }
  }
  return undefined;
}

/** Whether the store has this line as its last one. */
async function hasLine(read: ReadAudit, { seq, hash }: Place): Promise<boolean> {
  let last: string | undefined;
  for await (const { lines } of read(Math.max(0, seq - 1))) {
    last = lines.at(-1) ?? last;
  }
  return last !== undefined && hashOfLine(last) === hash;
}

async function lastLine(files: AuditFiles): Promise<Place> {
  for await (const { text } of newestFirst(() => files.list())) {
    const line = parseChainLine(text);
    if (line) {
      return { seq: line.seq, hash: hashOfLine(text) };
    }
  }
  return { seq: 0, hash: '' };
}

/** Number of the last line that the store has as well. 0: there is none. */
async function lastCommon(data: string, read: ReadAudit): Promise<number> {
  const known = new Map<number, string>();
  for await (const { lines } of read(0)) {
    for (const text of lines) {
      known.set(parseChainLine(text)?.seq ?? 0, hashOfLine(text));
    }
  }
  const { files } = await AuditFiles.open(logFile(data), false);
  try {
    const list = () => files.list();
    for await (const { text } of newestFirst(list)) {
      const line = parseChainLine(text);
      if (line && known.get(line.seq) === hashOfLine(text)) {
        return line.seq;
      }
    }
    return 0;
  } finally {
    await files.close();
  }
}

/**
 * Moves all lines behind a number to files beside the log.
 * @returns what the names of these files begin with
 */
async function setAside(data: string, last: number, kind: 'aside' | 'older'): Promise<string> {
  const file = logFile(data);
  const { files } = await AuditFiles.open(file, false);
  const list = files.list();
  await files.close();
  const name = `audit-${kind}-${new Date().toISOString().replaceAll(':', '')}`;
  for (const { path: one, number } of list) {
    const at = await endOf(one, last);
    if (at === 0) {
      renameSync(one, path.join(data, `${name}.${number}`));
      continue;
    }
    await writeFile(path.join(data, `${name}.${number}`), readFileSync(one).subarray(at), { mode: 0o600, flush: true });
    await truncate(one, at);
    // It is the one that is written now, and those before it follow.
    for (const { path: later, number: its } of number === 0 ? [] : list.filter((other) => other.number >= number)) {
      renameSync(later, its === number ? file : `${file}.${its - number}`);
    }
    break;
  }
  syncFolder(data);
  return name;
}

/** Bytes of a file up to the end of the line with a number. 0: it does not have it. */
async function endOf(file: string, seq: number): Promise<number> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    for await (const { text, at } of linesBackwards(handle, size, () => undefined)) {
      if (parseChainLine(text)?.seq === seq) {
        return at + Buffer.byteLength(text) + 1;
      }
    }
    return 0;
  } finally {
    await handle.close();
  }
}
