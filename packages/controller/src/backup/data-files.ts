/** The files of the data directory that a backup has. */
import { constants, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import type { BackupLine } from './backup-file.ts';

/**
 * Not in a backup: the store, whose entries are; sessions, which may have been ended since; the
 * first password; sockets and drafts.
 */
const FILES = /^(ca|next-ca|api)[.](key|crt)$|^former-ca[.]crt$|^(audit|events)[.]log([.]\d+)?$|^[a-z]+-token$/;
const FOLDER = 'counters';
const FILES_OF_FOLDER = /^counters\/[\w.%-]+[.]json$/;
/** Bytes of a file in one line. */
const PIECE = 768 * 1024;
/** Bytes at the end of a log that are searched for the end of its last line. */
const TAIL = 1 << 20;

/**
 * Paths of these files below the folder, sorted. The owner of the folder may be less than who runs the
 * command, so no link in it is followed.
 */
export function dataFiles(data: string): string[] {
  const folder = path.join(data, FOLDER);
  const within = (isFolder(folder) ? readdirSync(folder) : []).map((name) => `${FOLDER}/${name}`);
  return [...namesIn(data), ...within].filter(isDataFile).sort();
}

/** Whether a backup may have this file. No such name leads out of the data directory. */
export function isDataFile(name: string): boolean {
  return FILES.test(name) || FILES_OF_FOLDER.test(name);
}

function namesIn(data: string): string[] {
  return statSync(data, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(data) : [];
}

/** Whether it is a folder, and no link to one. */
function isFolder(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * The contents of these files as they are now. All are opened first: logs are appended to and
 * renamed by a running controller, and an open file stays the same one.
 * @param shared what the store has of them. It counts
 */
export async function* dataLines(data: string, shared?: SharedPart): AsyncGenerator<BackupLine> {
  const files = await openAll(data);
  try {
    for (const { name, handle, size } of files.filter((file) => !shared?.has(file.name))) {
      for (let at = 0; at === 0 || at < size; at += PIECE) {
        const piece = Buffer.alloc(Math.min(PIECE, size - at));
        const { bytesRead } = await handle.read(piece, 0, piece.length, at);
        yield { file: name, content: piece.toString('base64', 0, bytesRead) };
      }
    }
    yield* shared?.lines(files) ?? [];
  } finally {
    await Promise.all(files.map(({ handle }) => handle.close()));
  }
}

/** What the store has of the files of a data directory. */
export interface SharedPart {
  /** Whether a file of the data directory is left out. */
  has(name: string): boolean;
  /** Lines of files that the store has. @param local files of the data directory */
  lines(local: readonly OpenFile[]): AsyncIterable<BackupLine>;
}

/** A file that is open: it stays readable when it is renamed. */
export interface OpenFile {
  name: string;
  handle: FileHandle;
  /** Bytes. Of a log: up to the end of its last whole line, because another one may be under way. */
  size: number;
}

async function openAll(data: string): Promise<OpenFile[]> {
  for (;;) {
    const files: OpenFile[] = [];
    const before = inodesOf(data);
    for (const name of dataFiles(data)) {
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
      const handle = await open(path.join(data, name), flags).catch(unlessGone);
      if (handle) {
        const { size } = await handle.stat();
        files.push({ name, handle, size: isLog(name) ? await wholeLines(handle, size) : size });
      }
    }
    // A log was renamed meanwhile, so a part of it may be missing. Or there is another authority, and
    // its key and its certificate may not belong together.
    if (inodesOf(data) === before) {
      return files;
    }
    await Promise.all(files.map(({ handle }) => handle.close()));
  }
}

/** Which file each one is, as text. Totals of nodes are replaced all the time, each for itself. */
function inodesOf(data: string): string {
  const names = dataFiles(data).filter((name) => !FILES_OF_FOLDER.test(name));
  return names.map((name) => `${name} ${statSync(path.join(data, name), { throwIfNoEntry: false })?.ino}`).join();
}

/** A file that is appended to, line by line. */
const isLog = (name: string) => name.includes('.log');

/** Bytes of a file up to the end of its last whole line. */
async function wholeLines(handle: FileHandle, size: number): Promise<number> {
  const tail = Buffer.alloc(Math.min(size, TAIL));
  const { bytesRead } = await handle.read(tail, 0, tail.length, size - tail.length);
  const end = tail.subarray(0, bytesRead).lastIndexOf(0x0a);
  // A line is shorter. If it is not, the next start finds the end of the log.
  return end < 0 ? size : size - tail.length + end + 1;
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') {
    throw error;
  }
}

/** Writes files of a backup. They get the owner of the data directory. */
export class DataWriter {
  readonly #data: string;
  #current: { name: string; handle: FileHandle } | undefined;

  constructor(data: string) {
    mkdirSync(data, { recursive: true, mode: 0o700 });
    this.#data = data;
  }

  /** Removes the files that a backup would have. */
  clear(): void {
    for (const name of dataFiles(this.#data)) {
      rmSync(path.join(this.#data, name));
    }
  }

  /** Appends a piece to a file. @param name one for which `isDataFile` holds */
  async write(name: string, content: string): Promise<void> {
    if (this.#current?.name !== name) {
      await this.close();
      this.#current = { name, handle: await this.#create(name) };
    }
    await this.#current!.handle.appendFile(Buffer.from(content, 'base64'));
  }

  /** Writes a whole file in the place of the one that is there. */
  async replace(name: string, text: string): Promise<void> {
    rmSync(path.join(this.#data, name), { force: true });
    await this.write(name, Buffer.from(text).toString('base64'));
    await this.close();
  }

  /** Ends the last file. */
  async close(): Promise<void> {
    await this.#current?.handle.sync();
    await this.#current?.handle.close();
    this.#current = undefined;
  }

  async #create(name: string): Promise<FileHandle> {
    const { O_DIRECTORY, O_NOFOLLOW, O_WRONLY, O_CREAT, O_EXCL } = constants;
    const { dir, base } = path.parse(name);
    const folder = path.join(this.#data, dir);
    const isNew = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined;
    const within = await open(folder, O_DIRECTORY | (dir === '' ? 0 : O_NOFOLLOW));
    try {
      if (isNew) {
        await this.#own(within);
      }
      // By the open folder: nobody can put another one in its place meanwhile.
      const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
      const handle = await open(`/proc/self/fd/${within.fd}/${base}`, flags, 0o600);
      await this.#own(handle);
      return handle;
    } finally {
      await within.close();
    }
  }

  async #own(handle: FileHandle): Promise<void> {
    if (process.geteuid?.() === 0) {
      const { uid, gid } = statSync(this.#data);
      await handle.chown(uid, gid);
    }
  }
}
