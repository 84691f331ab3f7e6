/**
 * What a controller with etcd knows beside the records of the store, kept in etcd too: so a
 * controller that takes over has all of it. The files of the data directory are copies.
 */
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@mirrorplane/daemon';
import { CONTROLLER_ACTOR } from '../audit/actors.ts';
import type { AuditLog } from '../audit/audit.ts';
import type { Session } from '../auth/sessions.ts';
import type { EventCopy } from '../events/stored-events.ts';
import type { SharedSpace, Store } from '../store/store.ts';
import { AUDIT_LOG, auditBegins, type CaughtUp, LocalAudit } from './audit-local.ts';
import { ClusterKey, SealError } from './cluster-key.ts';
import { hasAuthority, LATEST_TIME_FILE, readLocalFiles, writeLocalFiles } from './local-files.ts';
import { dropFormerKey, type Mark, markOperation, readMark, requireHere, requireKey, type StoredMark } from './mark.ts';
import { moveToStore } from './move.ts';
import { beginMoving, endMoving, isMovedFrom, movedElsewhere } from './moving.ts';
import { readPieces } from './pieces.ts';
import { said } from './said.ts';
import { beginSealing, endSealing, sealValues } from './seal-again.ts';
import { EVENTS_LOG, eventCopy, eventsText, writeEvents } from './shared-events.ts';
import { EVENTS_TOLD, SharedFiles } from './shared-files.ts';
import { SharedLog } from './shared-log.ts';
import { sessionFiles } from './shared-sessions.ts';
import { SharedWriter } from './writer.ts';

interface Parts {
  data: string;
  store: Pick<Store, 'shared' | 'range'>;
  log: Logger;
}

/** Where the parts of a controller keep copies of what they know. */
export class Shared {
  readonly files: SharedFiles;
  readonly audit: SharedLog;
  readonly events: EventCopy;
  /** Number of the oldest line of the audit log here, where other controllers have older ones. */
  readonly begins: number | undefined;
  readonly #data: string;
  readonly #key: ClusterKey;
  readonly #writer: SharedWriter;
  readonly #mark: Mark;
  readonly #done: CaughtUp;
  #sealing: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /** For `openShared`. */
  constructor(parts: Opened & { data: string; key: ClusterKey; writer: SharedWriter; done: CaughtUp }) {
    this.files = parts.files;
    this.audit = parts.audit;
    this.events = eventCopy(parts.events, parts.files);
    this.begins = auditBegins(parts.data);
    this.#data = parts.data;
    this.#key = parts.key;
    this.#writer = parts.writer;
    this.#mark = parts.mark;
    this.#done = parts.done;
  }

  /** Keeps the sessions of people. */
  readonly sessions = (sessions: readonly Session[]): Promise<void> => this.files.write(sessionFiles(sessions));

  /** Keeps the latest time. */
  readonly latestTime = (content: string): Promise<void> => this.files.write({ [LATEST_TIME_FILE]: content });

  /** Keeps the files that the start has made or removed. */
  keepFiles(): Promise<void> {
    const local = readLocalFiles(this.#data);
    return this.files.write(Object.fromEntries(TOKENS.map((name) => [name, local[name]])));
  }

  /**
   * Says in the audit log what was moved to the store, and what became of lines that only this
   * controller had.
   * @param tell told what an operator has to know
   */
  async begin(audit: Pick<AuditLog, 'append'>, tell: (message: string) => void): Promise<void> {
    rmSync(newAuthorityFile(this.#data), { force: true });
    const { moved, ...mark } = this.#mark;
    if (moved !== undefined) {
      const what = { action: 'create', resource: 'store/shared', outcome: 'done', detail: moved } as const;
      await audit.append({ ...CONTROLLER_ACTOR, ...what });
      await this.#writer.write([markOperation(this.#key, mark)]);
    }
    for (const message of said(this.#done)) {
      tell(message);
    }
    if (mark.check !== undefined) {
      this.#sealing = this.#sealAgain({ ...mark, check: mark.check }, audit, tell);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#sealing;
    await this.#writer.settled();
  }

  /** Ends what a new `cluster.key` has begun. What cannot be done now, is done later. */
  async #sealAgain(mark: StoredMark, audit: Pick<AuditLog, 'append'>, tell: (message: string) => void): Promise<void> {
    const { signal } = this.#closing;
    while (mark.former !== undefined) {
      if (signal.aborted) {
        return;
      }
      try {
        const count = await sealValues(this.#writer, this.#key, () => signal.aborted);
        if (count === undefined) {
          return;
        }
        // Before it is over: a controller that is killed here says it twice.
        const detail = `what controllers share in etcd is sealed with a new cluster.key: ${count} values`;
        await audit.append({
          ...CONTROLLER_ACTOR,
          action: 'rotate',
          resource: 'store/cluster-key',
          outcome: 'done',
          detail,
        });
        mark = await endSealing(this.#writer, this.#key, mark);
      } catch (error) {
        if (error instanceof SealError) {
          tell(`values in etcd are not sealed with the new cluster.key: ${(error as Error).message}`);
          return;
        }
        await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    dropFormerKey(this.#data, mark);
  }
}

/** Milliseconds before another try to seal values again. */
const AGAIN_MS = 1000;

const TOKENS = ['admin-token', 'read-token'] as const;

interface Opened {
  files: SharedFiles;
  audit: SharedLog;
  events: SharedLog;
  mark: Mark;
}

/**
 * Opens what controllers share, and makes the files of the data directory those that etcd has. The
 * first start with etcd moves the files there.
 * @returns undefined where the store is of one controller
 * @throws Error with a remedy if `cluster.key` is missing or another one, or if a value was changed;
 * nothing was overwritten then
 */
export async function openShared({ data, store, log }: Parts): Promise<Shared | undefined> {
  const space = store.shared;
  if (space === undefined) {
    return undefined;
  }
  const found = await readMark(space);
  requireHere(found);
  const writer = new SharedWriter(space);
  let mark: Mark;
  let key: ClusterKey;
  let first: Mark | undefined;
  if (found?.state === 'shared') {
    key = requireKey(data, found);
    mark = await beginSealing(writer, key, found);
  } else if (found !== undefined || hasAuthority(data)) {
    if (found !== undefined && !isMovedFrom(data, found)) {
      throw movedElsewhere(found);
    }
    key = found ? requireKey(data, found) : (ClusterKey.read(data) ?? ClusterKey.make(data));
    mark = await moveToStore({
      data,
      writer,
      key,
      mark: { state: 'moving', id: found?.id ?? beginMoving(data), host: hostname(), data: path.resolve(data) },
    });
    endMoving(data);
    log.info({ data }, 'files of the controller moved to etcd');
  } else {
    await requireNew(data, store);
    key = ClusterKey.read(data) ?? ClusterKey.make(data);
    mark = { state: 'shared', host: hostname(), data: path.resolve(data) };
    first = mark;
  }
  const files = await SharedFiles.open(writer, key, first ? [markOperation(key, first)] : []);
  if (first === undefined && !(files.contents.has('ca.key') && files.contents.has('ca.crt'))) {
    throw new Error(
      'the store in etcd has no authority any more: who has removed /mirrorplane/shared/files/ca.key? Nothing was changed. "mirrorplane store restore" writes a backup',
    );
  }
  const [audit, events] = await Promise.all([
    SharedLog.open(writer, key, AUDIT_LOG),
    SharedLog.open(writer, key, EVENTS_LOG),
  ]);
  const done = first === undefined ? await writeData({ data, space, key, files }, log) : {};
  return new Shared({ data, key, writer, files, audit, events, mark, done });
}

/** Makes the files of a data directory those that the store has. */
export async function writeData(
  { data, space, key, files }: { data: string; space: SharedSpace; key: ClusterKey; files: SharedFiles },
  log: Pick<Logger, 'info'>,
  counters = false,
): Promise<CaughtUp> {
  // All is read before anything is written.
  const events = await eventsText(space, key, files.contents.get(EVENTS_TOLD));
  const { local, done } = await LocalAudit.open(data, (after) => readPieces(space, key, AUDIT_LOG, { after }));
  await local.close();
  await writeEvents(data, events.text);
  const changed = writeLocalFiles(data, files.contents, counters);
  if (changed.length > 0) {
    log.info({ changed }, 'files of the data directory are those of the store now');
  }
  return done;
}

/** The operator makes this file to say that a lost authority is given up. */
const newAuthorityFile = (data: string) => path.join(data, 'new-authority');

/** @throws Error if others have used the store, and their authority is neither there nor here */
async function requireNew(data: string, store: Parts['store']): Promise<void> {
  const { entries } = await store.range('certificates/');
  if (entries.length > 0 && !existsSync(newAuthorityFile(data))) {
    throw new Error(
      `the store in etcd has nodes, and ${data} has no authority that has signed their certificates: start the controller once with the data directory that has ca.key, which moves it to etcd, or restore a backup. If it is lost for good, make the empty file ${newAuthorityFile(data)} and start again: then a new authority is made, and all nodes have to be enrolled again. Nothing was changed`,
    );
  }
}
