/** The built files of the console, in memory by name, so that no request can reach another file. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const INDEX = 'index.html';
/** The most files of a folder, and below it the most bytes. */
const MAX_FILES = 1000;
const MAX_BYTES = 64 << 20;
/** Files of at least so many bytes are compressed. */
const COMPRESSED_FROM = 1024;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};
const COMPRESSED = /^(text|application\/(json|manifest)|image\/svg)/;

/** One file of the console. */
export interface ConsoleFile {
  type: string;
  etag: string;
  content: Buffer;
  /** Undefined if compression is not worth it. */
  gzipped?: Buffer;
}

/** The console in a folder. It is read again after a new build. */
export class ConsoleFiles {
  readonly #folder: string;
  #files: Promise<ReadonlyMap<string, ConsoleFile>> = Promise.resolve(new Map());
  /** Modification time of `index.html` at the last reading. Undefined: nothing was read. */
  #builtAt: number | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The page of the console. Undefined if it is not built. */
  async index(): Promise<ConsoleFile | undefined> {
    const found = await stat(path.join(this.#folder, INDEX)).catch(() => undefined);
    if (!found?.isFile()) {
      return undefined;
    }
    const builtAt = found.mtimeMs;
    if (builtAt !== this.#builtAt) {
      this.#builtAt = builtAt;
      this.#files = readFiles(this.#folder);
    }
    return (await this.#files).get(INDEX);
  }

  /** Another file of the console. @param name for example `assets/index-B1x.js` */
  async file(name: string): Promise<ConsoleFile | undefined> {
    if (this.#builtAt === undefined) {
      await this.index();
    }
    return (await this.#files).get(name);
  }
}

async function readFiles(folder: string): Promise<Map<string, ConsoleFile>> {
  const files = new Map<string, ConsoleFile>();
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) {
      continue;
    }
    const full = path.join(entry.parentPath, entry.name);
    const content = await readFile(full);
    bytes += content.length;
    if (files.size >= MAX_FILES || bytes > MAX_BYTES) {
      throw new Error(
        `${folder} is too large for a console: it has more than ${MAX_FILES} files or ${MAX_BYTES} bytes`,
      );
    }
    files.set(path.relative(folder, full).split(path.sep).join('/'), await fileOf(entry.name, content));
  }
  return files;
}

async function fileOf(name: string, content: Buffer): Promise<ConsoleFile> {
  const type = TYPES[path.extname(name)] ?? 'application/octet-stream';
  const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`;
  const worth = COMPRESSED.test(type) && content.length >= COMPRESSED_FROM;
  return { type, etag, content, ...(worth && { gzipped: await promisify(gzip)(content) }) };
}
