/**
 * Simulates a power failure for the disk accesses of a process. strace records the calls. From
 * them, a folder is made as it could be found afterwards: all synced data is there. Of data written
 * later, some sectors are there and some are not. Names that were not synced may be missing with
 * their files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const SECTOR = 512;
const CALLS =
  'openat,write,pwrite64,pwritev,writev,ftruncate,fallocate,fsync,fdatasync,rename,renameat2,unlink,unlinkat,mkdir,mkdirat';

/**
 * One thing that happened, in order. Names are those of files within the folder; `''` is the folder
 * itself.
 */
export type DiskEvent =
  | { type: 'create'; name: string }
  | { type: 'unlink'; name: string }
  | { type: 'rename'; name: string; to: string }
  | { type: 'write'; name: string; offset: number | 'end'; data: Buffer }
  | { type: 'truncate'; name: string; length: number }
  | { type: 'syncStart'; name: string; id: number }
  | { type: 'syncEnd'; name: string; id: number }
  /** The process said something on standard output. */
  | { type: 'said'; text: string };

/** Runs a command to its end and returns what it did to the files of a folder, which must exist. */
export function recordDisk(argv: readonly string[], folder: string, trace: string): DiskEvent[] {
  const args = ['-f', '-y', '-qq', '-xx', '-s', '10000000', '-e', `trace=${CALLS}`, '-e', 'signal=none', '-o', trace];
  const { status, stderr } = spawnSync('strace', [...args, ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return parse(readFileSync(trace, 'latin1'), folder);
}

/** A line of strace: `PID CALL(ARGUMENTS) = RESULT`; where calls overlap, it is in two. */
function parse(text: string, folder: string): DiskEvent[] {
  const events: DiskEvent[] = [];
  const begun = new Map<string, { start: string; id: number }>();
  let id = 0;
  for (const line of text.split('\n')) {
    const match = /^(\d+) +(.*)$/.exec(line);
    if (!match) {
      continue;
    }
    const [, pid, rest] = match as unknown as [string, string, string];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (resumed) {
      const open = begun.get(pid)!;
      begun.delete(pid);
      events.push(...interpret(`${open.start}${resumed[2]}`, folder, open.id, 'end'));
    } else if (rest.endsWith('<unfinished ...>')) {
      const start = rest.slice(0, -' <unfinished ...>'.length);
      begun.set(pid, { start, id: ++id });
      events.push(...interpret(start, folder, id, 'start'));
    } else {
      id++;
      events.push(...interpret(rest, folder, id, 'start'), ...interpret(rest, folder, id, 'end'));
    }
  }
  return events;
}

const decode = (text: string) => Buffer.from(text.replaceAll('\\x', ''), 'hex');

/**
 * The effects of a call at its start and at its end: a sync covers data that was written before its
 * start.
 */
function interpret(call: string, folder: string, id: number, when: 'start' | 'end'): DiskEvent[] {
  const name = /^(\w+)\(/.exec(call)?.[1];
  const failed = when === 'end' && /= -1 E/.test(call);
  const within = (path: string) => (path === folder ? '' : dirname(path) === folder ? basename(path) : undefined);
  const onFd = () => {
    const path = /^\w+\(\d+<([^>]*)>/.exec(call)?.[1];
    return path === undefined ? undefined : within(decode(path).toString());
  };
  const strings = [...call.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text]) => decode(text!));
  const paths = () => strings.map((bytes) => within(bytes.toString()));
  if (name === 'fsync' || name === 'fdatasync') {
    const file = onFd();
    if (file === undefined || failed) {
      return [];
    }
    return [{ type: when === 'start' ? 'syncStart' : 'syncEnd', name: file, id }];
  }
  // Any other data may be on disk as soon as the call begins. Its content is known when the call
  // has ended.
  if (when === 'start' || failed) {
    return [];
  }
  const file = onFd();
  switch (name) {
    case 'openat': {
      const path = paths()[0];
      if (path === undefined || path === '') {
        return [];
      }
      const created: DiskEvent[] = call.includes('O_CREAT') ? [{ type: 'create', name: path }] : [];
      return call.includes('O_TRUNC') ? [...created, { type: 'truncate', name: path, length: 0 }] : created;
    }
    case 'write':
      if (/^write\(1</.test(call)) {
        return [{ type: 'said', text: strings[0]!.toString() }];
      }
      return file === undefined ? [] : [{ type: 'write', name: file, offset: 'end', data: strings[0]! }];
    case 'pwrite64': {
      if (file === undefined) {
        return [];
      }
      const offset = Number(/, (\d+)\) += /.exec(call)![1]);
      return [{ type: 'write', name: file, offset, data: strings[0]! }];
    }
    case 'ftruncate':
      return file === undefined
        ? []
        : [{ type: 'truncate', name: file, length: Number(/, (\d+)\) += /.exec(call)![1]) }];
    case 'rename':
    case 'renameat2': {
      const [from, to] = paths();
      return from === undefined ? [] : [{ type: 'rename', name: from, to: to! }];
    }
    case 'unlink':
    case 'unlinkat': {
      const path = paths()[0];
      return path === undefined ? [] : [{ type: 'unlink', name: path }];
    }
    default:
      // Anything that this model does not know must not pass unseen.
      assert.ok(file === undefined, `the model of the disk does not know ${call.slice(0, 80)}`);
      return [];
  }
}

/** A file: data that is certainly on disk, and data that may be. */
interface Inode {
  durable: Content;
  /** As processes see it: its length alone matters here. */
  length: number;
  pending: ({ offset: number; data: Buffer } | { length: number })[];
}
/** Names that change together, and their new files. Undefined: no file. */
type NameChange = [name: string, inode: Inode | undefined][];

/** How much of what was not synced is found: none, all, or each sector with this probability. */
export type Survival = number;

/**
 * Makes `target` the folder as it may be found after the power went with the first `count` events
 * done.
 * @param random 0 to 1
 * @param survival 0 to 1, of each unsynced sector, truncation and name
 * @param honest false: the disk takes syncs and does nothing
 */
export function afterPowerLoss(
  events: readonly DiskEvent[],
  count: number,
  target: string,
  { random, survival, honest = true }: { random: () => number; survival: Survival; honest?: boolean },
): void {
  const seen = new Map<string, Inode>();
  const durable = new Map<string, Inode>();
  let changes: NameChange[] = [];
  const syncs = new Map<number, number>();
  const put = (names: Map<string, Inode>, change: NameChange) => {
    for (const [name, inode] of change) {
      if (inode) {
        names.set(name, inode);
      } else {
        names.delete(name);
      }
    }
  };
  const setNames = (...change: NameChange) => {
    put(seen, change);
    changes.push(change);
  };
  for (const event of events.slice(0, count)) {
    if (event.type === 'said') {
      continue;
    }
    const inode = seen.get(event.name);
    if (event.type === 'create') {
      if (!inode) {
        setNames([event.name, { durable: new Content(), length: 0, pending: [] }]);
      }
    } else if (event.type === 'unlink') {
      setNames([event.name, undefined]);
    } else if (event.type === 'rename') {
      setNames([event.to, inode], [event.name, undefined]);
    } else if (event.type === 'write') {
      const offset = event.offset === 'end' ? inode!.length : event.offset;
      inode!.pending.push({ offset, data: event.data });
      inode!.length = Math.max(inode!.length, offset + event.data.length);
    } else if (event.type === 'truncate') {
      inode!.pending.push({ length: event.length });
      inode!.length = event.length;
    } else if (event.type === 'syncStart') {
      syncs.set(event.id, event.name === '' ? changes.length : (inode?.pending.length ?? 0));
    } else if (honest) {
      const covered = syncs.get(event.id)!;
      if (event.name === '') {
        for (const change of changes.slice(0, covered)) {
          put(durable, change);
        }
        changes = changes.slice(covered);
      } else if (inode) {
        for (const change of inode.pending.slice(0, covered)) {
          write(inode, change);
        }
        inode.pending = inode.pending.slice(covered);
      }
    }
  }
  // Names reach the disk in their order, as the journal of a file system has them; sectors in any.
  const names = survival === 0 || survival === 1 ? survival : random();
  for (const change of changes.slice(0, Math.round(names * changes.length))) {
    put(durable, change);
  }
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  for (const [name, inode] of durable) {
    const found: Inode = { durable: new Content(inode.durable.bytes), length: 0, pending: [] };
    for (const change of inode.pending) {
      write(found, change, () => random() < survival);
    }
    writeFileSync(join(target, name), found.durable.bytes);
  }
}

/** @param survives asked for each sector; left out: all of it does */
function write(inode: Inode, change: Inode['pending'][number], survives?: () => boolean): void {
  if ('length' in change) {
    if (survives === undefined || survives()) {
      inode.durable.resize(change.length);
    }
    return;
  }
  const { offset, data } = change;
  if (survives === undefined) {
    inode.durable.write(data, offset);
    return;
  }
  for (let at = offset; at < offset + data.length; ) {
    const end = Math.min(offset + data.length, (Math.floor(at / SECTOR) + 1) * SECTOR);
    if (survives()) {
      inode.durable.write(data.subarray(at - offset, end - offset), at);
    }
    at = end;
  }
}

/** Bytes that grow. */
class Content {
  #bytes: Buffer;
  #length: number;

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = Buffer.from(bytes);
    this.#length = bytes.length;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The added bytes are zeros. */
  resize(length: number): void {
    if (length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * length);
      this.bytes.copy(larger);
      this.#bytes = larger;
    } else if (length < this.#length) {
      this.#bytes.fill(0, length, this.#length);
    }
    this.#length = length;
  }

  write(data: Buffer, offset: number): void {
    if (offset + data.length > this.#length) {
      this.resize(offset + data.length);
    }
    data.copy(this.#bytes, offset);
  }
}
