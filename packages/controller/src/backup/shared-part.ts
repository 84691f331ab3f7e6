/** What controllers share, for copies and backups of a store. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';
import { hashOfLine, parseChainLine } from '@mirrorplane/contract/audit-chain';
import { AUDIT_LOG, isBeginning } from '../shared/audit-local.ts';
import { ClusterKey, writeClusterKey } from '../shared/cluster-key.ts';
import { dropFormerKey, isSealedBy, type Mark, markOperation, readMark, requireKey } from '../shared/mark.ts';
import { emptyFor } from '../shared/move.ts';
import { isMovedFrom, MOVING_FILE, movedElsewhere } from '../shared/moving.ts';
import { readPieces } from '../shared/pieces.ts';
import { writeData } from '../shared/shared.ts';
import { eventsText } from '../shared/shared-events.ts';
import { COUNTERS_PREFIX, EVENTS_TOLD, readFiles, SharedFiles } from '../shared/shared-files.ts';
import { SharedWriter } from '../shared/writer.ts';
import { type Away, markAway } from '../store/away.ts';
import { isInterrupted } from '../store/contents.ts';
import type { SharedSpace, Store } from '../store/store.ts';
import type { BackupLine } from './backup-file.ts';
import type { DataWriter, OpenFile, SharedPart } from './data-files.ts';

/** Files that the store has as they are. */
const SAME = /^(ca|next-ca)[.](key|crt)$|^former-ca[.]crt$|^[a-z]+-token$/;
const EVENTS = 'events.log';
const AUDIT = 'audit.log';
/** Bytes of a file in one line. */
const PIECE = 768 * 1024;

/**
 * Removes what controllers share, and says that the files of this data directory take its place: the
 * next start here moves them there, and no other controller begins before.
 */
export async function emptyForFiles({ shared }: Pick<Store, 'shared'>, data: string, files: DataWriter): Promise<void> {
  if (shared === undefined) {
    return;
  }
  if (ClusterKey.read(data) === undefined) {
    await files.replace('cluster.key', ClusterKey.newText());
  }
  const id = randomUUID();
  await files.replace(MOVING_FILE, `${id}\n`);
  const mark: Mark = { state: 'moving', id, host: hostname(), data: path.resolve(data) };
  await emptyFor(mark, new SharedWriter(shared), ClusterKey.read(data)!);
}

/**
 * Puts a new key into `cluster.key`, below the one that seals: it only opens. Nothing in etcd changes.
 * @throws Error with a remedy if there is another key, or one is being changed already
 */
export async function makeNextKey(data: string, space: SharedSpace | undefined): Promise<void> {
  const { key, isSettled } = await keyInUse(data, space);
  if (key.hasNext) {
    throw new Error(
      'there is a new key already: copy cluster.key to all controllers, and say "new-key --use" on each. Nothing was changed',
    );
  }
  if (!isSettled) {
    throw new Error(
      'not all is sealed with the last new key: restart the controller that leads, and wait for the entry "rotate" in the audit log. Nothing was changed',
    );
  }
  writeClusterKey(data, key.textWithNext());
}

/**
 * Puts the new key into the first place of `cluster.key`: it seals, once this controller leads.
 * @throws Error with a remedy if there is no new key, or another key
 */
export async function useNextKey(data: string, space: SharedSpace | undefined): Promise<void> {
  const { key } = await keyInUse(data, space);
  if (!key.hasNext) {
    throw new Error(
      'there is no new key below the one that is used: say "new-key" on one host first, and copy its cluster.key here. Nothing was changed',
    );
  }
  writeClusterKey(data, key.withNextFirst().text());
}

/** `isSettled`: all is sealed with the first key. */
async function keyInUse(
  data: string,
  space: SharedSpace | undefined,
): Promise<{ key: ClusterKey; isSettled: boolean }> {
  const mark = space && (await readMark(space));
  if (mark?.state !== 'shared') {
    throw new Error('controllers share nothing in this etcd yet: start one first');
  }
  // A controller that was stopped meanwhile does this when it starts.
  dropFormerKey(data, mark);
  const key = requireKey(data, mark);
  return { key, isSettled: !key.hasFormer && isSealedBy(key, mark) };
}

/** @throws Error with a remedy if controllers share something, and it may not be overwritten */
export async function requireUnshared(store: Pick<Store, 'shared' | 'get'>, overwrite: boolean): Promise<void> {
  if (store.shared && !overwrite && !(await isInterrupted(store)) && (await readMark(store.shared))) {
    throw new Error('the etcd to write has the authority and the logs of controllers: say --overwrite if they may go');
  }
}

/**
 * Makes the files of a data directory those that the store has, if controllers share them there.
 * @throws Error with a remedy if they are those of another data directory, and not in the store yet
 */
export async function writeSharedFiles(data: string, { shared: space }: Pick<Store, 'shared'>): Promise<void> {
  const mark = space && (await readMark(space));
  if (mark?.id !== undefined) {
    // No controller has started since the copy to etcd: what is to be moved is still here.
    if (!isMovedFrom(data, mark)) {
      throw movedElsewhere(mark);
    }
  } else if (mark) {
    const key = requireKey(data, mark);
    const files = await SharedFiles.open(new SharedWriter(space), key, []);
    await writeData({ data, space, key, files }, { info: () => undefined }, true);
  }
}

/** Says in etcd that the store goes on in a file: controllers that follow hear it at once. */
export async function leaveEtcd(store: Pick<Store, 'shared' | 'txn'>, data: string, away: Away): Promise<void> {
  await markAway(store, away);
  const { shared: space } = store;
  const mark = space && (await readMark(space));
  if (mark) {
    await new SharedWriter(space).write([markOperation(requireKey(data, mark), { ...mark, ...away, state: 'away' })]);
  }
}

/** The shared part of a backup. */
export class SharedBackup implements SharedPart {
  readonly #space: SharedSpace;
  readonly #key: ClusterKey;
  readonly #files: ReadonlyMap<string, string>;
  readonly #told: string;

  private constructor(space: SharedSpace, key: ClusterKey, contents: ReadonlyMap<string, string>) {
    this.#space = space;
    this.#key = key;
    this.#files = new Map([...contents].flatMap(([name, content]) => backupFile(name, content)));
    this.#told = contents.get(EVENTS_TOLD) ?? '';
  }

  /**
   * Reads the small files.
   * @returns undefined if controllers share nothing there
   * @throws Error with a remedy if `cluster.key` is missing or another one
   */
  static async open(data: string, { shared: space }: Pick<Store, 'shared'>): Promise<SharedBackup | undefined> {
    const mark = space && (await readMark(space));
    if (mark?.state !== 'shared') {
      return undefined;
    }
    const key = requireKey(data, mark);
    return new SharedBackup(space!, key, await readFiles(space!, key));
  }

  /** Names of the files that it has. */
  get names(): string[] {
    return [...this.#files.keys(), EVENTS, AUDIT];
  }

  /** Whether a file of the data directory is left out: the store has a newer one, or says that there is none. */
  has(name: string): boolean {
    return SAME.test(name) || name.startsWith(COUNTERS_PREFIX) || name === EVENTS || name === AUDIT;
  }

  /** Its lines. @param local files of the data directory */
  async *lines(local: readonly OpenFile[]): AsyncGenerator<BackupLine> {
    for (const [file, content] of this.#files) {
      yield* inPieces(file, Buffer.from(content));
    }
    yield* inPieces(EVENTS, Buffer.from((await eventsText(this.#space, this.#key, this.#told)).text));
    yield* this.#audit(local);
  }

  /** The log that is written, up to its end in the store. */
  async *#audit(local: readonly OpenFile[]): AsyncGenerator<BackupLine> {
    const written = await wholeLines(local.find(({ name }) => name === AUDIT));
    const before = await wholeLines(local.find(({ name }) => name === `${AUDIT}.1`));
    yield* inPieces(AUDIT, written);
    const last = lastLineOf(written) ?? lastLineOf(before);
    let seq = last === undefined ? 0 : (parseChainLine(last)?.seq ?? 0);
    let hash = last === undefined ? undefined : hashOfLine(last);
    for await (const { lines } of readPieces(this.#space, this.#key, AUDIT_LOG, { after: seq })) {
      const after = seq;
      let more = lines.filter((line) => (parseChainLine(line)?.seq ?? 0) > after);
      if (hash === undefined) {
        const begin = more.findIndex(isBeginning);
        more = begin < 0 ? [] : more.slice(begin);
      } else if (more[0] !== undefined && parseChainLine(more[0])!.prev !== hash) {
        throw new Error(
          'the audit log of this data directory is not that in etcd: make the backup where a controller runs',
        );
      }
      const newest = more.at(-1);
      if (newest !== undefined) {
        yield* inPieces(AUDIT, Buffer.from(`${more.join('\n')}\n`));
        [seq, hash] = [parseChainLine(newest)!.seq, hashOfLine(newest)];
      }
    }
  }
}

/** What a backup calls a file of the store. */
function backupFile(name: string, content: string): [string, string][] {
  if (name.startsWith(COUNTERS_PREFIX)) {
    return [[`${name}.json`, content]];
  }
  return SAME.test(name) ? [[name, content]] : [];
}

async function wholeLines(file: OpenFile | undefined): Promise<Buffer> {
  if (file === undefined) {
    return Buffer.alloc(0);
  }
  const bytes = Buffer.alloc(file.size);
  const { bytesRead } = await file.handle.read(bytes, 0, bytes.length, 0);
  return bytes.subarray(0, bytes.subarray(0, bytesRead).lastIndexOf(0x0a) + 1);
}

function lastLineOf(bytes: Buffer): string | undefined {
  const end = bytes.length - 1;
  return end < 0 ? undefined : bytes.toString('utf8', bytes.lastIndexOf(0x0a, end - 1) + 1, end);
}

function* inPieces(file: string, content: Buffer): Generator<BackupLine> {
  for (let at = 0; at === 0 || at < content.length; at += PIECE) {
    yield { file, content: content.toString('base64', at, Math.min(content.length, at + PIECE)) };
  }
}
