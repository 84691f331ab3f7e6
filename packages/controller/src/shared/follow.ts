/**
 * Keeps the data directory of a controller that does not lead like that of the one that does: the
 * authority, tokens, sessions, the audit log and the event log. So it can lead at any moment.
 */
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Serial } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';
import { allEntries } from '../store/shared-space.ts';
import type { SharedSpace, Store, StoreEvent, Watch } from '../store/store.ts';
import { AUDIT_LOG, LocalAudit } from './audit-local.ts';
import type { ClusterKey } from './cluster-key.ts';
import { writeLocalFiles } from './local-files.ts';
import { dropFormerKey, MARK_KEY, parseMark, readMark, requireHere, requireKey, type StoredMark } from './mark.ts';
import { isMovedFrom, movedElsewhere } from './moving.ts';
import { openPiece, type Piece, parsePieceKey, readPieces } from './pieces.ts';
import { said } from './said.ts';
import { EVENTS_LOG, eventsText, writeEvents } from './shared-events.ts';
import { COUNTERS_PREFIX, EVENTS_TOLD, FILES_PREFIX } from './shared-files.ts';

/** Milliseconds before it begins again after a failure. */
const AGAIN_MS = 1000;
/** Bytes that are added to the file of events before it is written again. */
const EVENTS_BYTES = 32 << 20;

/** No controller has led yet. Try again later. */
export class NotSharedError extends Error {
  override name = 'NotSharedError';
}

export interface FollowOptions {
  /** Data directory. */
  data: string;
  /** Is only read. It stays open. */
  store: Pick<Store, 'shared'>;
  log: Logger;
}

/** A running follower. */
export interface Follower {
  /** Number of the last line of the audit log here. */
  readonly auditLine: number;
  /** Why it does not follow at the moment. */
  readonly problem: string | undefined;
  /** Ends it. The data directory can be used by a controller that leads then. */
  close(): Promise<void>;
}

/**
 * Makes the files of the data directory those that etcd has, and keeps them so.
 * @throws NotSharedError if no controller has led yet; Error with a remedy if `cluster.key` is
 * missing or another one, or a value was changed. Nothing was overwritten then
 */
export async function followShared({ data, store, log }: FollowOptions): Promise<Follower> {
  if (store.shared === undefined) {
    throw new NotSharedError(NOTHING);
  }
  const following = new Following(data, store.shared, log);
  await following.begin();
  return following;
}

const NOTHING = 'no controller has led with this etcd yet: it has nothing that controllers share';

/**
 * The key, if controllers share their files.
 * @throws NotSharedError if they do not, and this one may be the first; Error with a remedy
 */
function requireShared(data: string, mark: StoredMark | undefined): ClusterKey {
  requireHere(mark);
  if (mark?.state === 'shared') {
    return requireKey(data, mark);
  }
  if (mark === undefined || isMovedFrom(data, mark)) {
    throw new NotSharedError(NOTHING);
  }
  throw movedElsewhere(mark);
}

/**
 * What etcd has may have been removed, by a restore or by someone else. Then the copies here may be
 * the last ones.
 */
function requireAuthority(files: ReadonlyMap<string, string>): void {
  if (!(files.has('ca.key') && files.has('ca.crt'))) {
    throw new Error(
      'the store in etcd has no authority any more, so the files here stay as they are: who has removed /mirrorplane/shared/files/ca.key? If this was no restore, start the leading controller again with its data directory: it moves its files to etcd again',
    );
  }
}

class Following implements Follower {
  readonly #data: string;
  readonly #space: SharedSpace;
  readonly #log: Logger;
  readonly #serial = new Serial();
  /** Set by `begin`: a restore may have put another one in its place. */
  #key!: ClusterKey;
  #files = new Map<string, string>();
  #audit: LocalAudit | undefined;
  #lastEvent = 0;
  #eventBytes = 0;
  #watch: Watch | undefined;
  #isClosed = false;
  problem: string | undefined;

  constructor(data: string, space: SharedSpace, log: Logger) {
    this.#data = data;
    this.#space = space;
    this.#log = log;
  }

  get auditLine(): number {
    return this.#audit?.last ?? 0;
  }

  /** Takes all that is there, and follows from there on. */
  async begin(): Promise<void> {
    const revision = await this.#space.revision();
    this.#useMark(await readMark(this.#space, { revision }));
    this.#files = new Map();
    for (const { key, value } of await allEntries(this.#space, FILES_PREFIX, { revision })) {
      this.#takeFile(key, value);
    }
    requireAuthority(this.#files);
    const text = await eventsText(this.#space, this.#key, this.#files.get(EVENTS_TOLD), revision);
    await this.#audit?.close();
    this.#audit = undefined;
    const read = (after: number) => readPieces(this.#space, this.#key, AUDIT_LOG, { after, revision });
    const { local, done } = await LocalAudit.open(this.#data, read);
    this.#audit = local;
    for (const message of said(done)) {
      this.#log.warn(message);
    }
    await writeEvents(this.#data, text.text);
    this.#lastEvent = text.last;
    this.#eventBytes = 0;
    writeLocalFiles(this.#data, this.#files);
    this.problem = undefined;
    this.#watch = await this.#space.watch('', revision + 1, {
      onBatch: (events) => void this.#serial.run(() => this.#take(events)),
      onEnd: (error) => void this.#again(error),
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watch?.close();
    await this.#serial.settled();
    await this.#audit?.close();
    this.#audit = undefined;
  }

  async #take(events: readonly StoreEvent[]): Promise<void> {
    if (this.#isClosed || this.problem !== undefined) {
      return;
    }
    try {
      let isOther = false;
      for (const event of events) {
        const key = event.type === 'put' ? event.entry.key : event.key;
        if (key.startsWith(FILES_PREFIX)) {
          this.#takeFile(key, event.type === 'put' ? (event.entry.value as Buffer) : undefined);
          isOther ||= !key.startsWith(FILES_PREFIX + COUNTERS_PREFIX);
        } else if (key === MARK_KEY) {
          this.#useMark(event.type === 'put' ? parseMark(event.entry.value as Buffer) : undefined);
        } else if (event.type === 'put') {
          await this.#takePiece(key, event.entry.value as Buffer);
        }
      }
      if (isOther) {
        requireAuthority(this.#files);
        writeLocalFiles(this.#data, this.#files);
      }
    } catch (error) {
      void this.#again(error as Error);
    }
  }

  /** The key may be another one: the file is read again. */
  #useMark(mark: StoredMark | undefined): void {
    this.#key = requireShared(this.#data, mark);
    dropFormerKey(this.#data, mark!);
  }

  #takeFile(key: string, value: Buffer | undefined): void {
    const name = key.slice(FILES_PREFIX.length);
    if (value === undefined) {
      this.#files.delete(name);
    } else if (!name.startsWith(COUNTERS_PREFIX)) {
      this.#files.set(name, this.#key.open(key, value));
    }
  }

  async #takePiece(key: string, value: Buffer): Promise<void> {
    if (parsePieceKey(AUDIT_LOG, key)) {
      if (!(await this.#audit?.add(openPiece(this.#key, key, value)))) {
        throw new Error('the audit log in etcd goes on behind another line than the local one');
      }
    } else if (parsePieceKey(EVENTS_LOG, key)) {
      await this.#takeEvents(openPiece(this.#key, key, value));
    }
  }

  async #takeEvents({ after, last, lines }: Piece): Promise<void> {
    if (last <= this.#lastEvent) {
      return;
    }
    if (after !== this.#lastEvent || this.#eventBytes > EVENTS_BYTES) {
      const text = await eventsText(this.#space, this.#key, this.#files.get(EVENTS_TOLD));
      await writeEvents(this.#data, text.text);
      [this.#lastEvent, this.#eventBytes] = [text.last, 0];
      return;
    }
    const added = lines.map((line) => `${line}\n`).join('');
    await appendFile(path.join(this.#data, 'events.log'), added, { mode: 0o600 });
    this.#lastEvent = last;
    this.#eventBytes += added.length;
  }

  /** Begins again until it works. */
  async #again(error: Error): Promise<void> {
    if (this.problem !== undefined) {
      return;
    }
    this.#watch?.close();
    for (this.problem = error.message; !this.#isClosed && this.problem !== undefined; ) {
      this.#log.warn({ err: error }, 'the files of the leading controller are not followed');
      await sleep(AGAIN_MS, undefined, { ref: false });
      await this.#serial.run(async () => {
        if (!this.#isClosed) {
          await this.begin().catch((caught: Error) => {
            this.problem = caught.message;
          });
        }
      });
    }
  }
}
