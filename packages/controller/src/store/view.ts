/**
 * The contents of the store in memory, updated by a watch. All decisions and plannings read them
 * here.
 */
import type { Sessions } from '@mirrorplane/planner';
import { ChangeLog } from './change-log.ts';
import type { Folder, GenerationRecord, Records, Unaudited } from './records.ts';
import { CUT_OFFS_KEY, FOLDERS, GENERATION_KEY, SESSIONS_KEY } from './records.ts';
import type { Entry, Store, StoreEvent, Watch } from './store.ts';
import { CompactedError } from './store.ts';

/** A record and the revision of its last change. */
export interface Stored<T> {
  value: T;
  revision: number;
  /** Revision at which it was made. Undefined: it is not in the store yet. */
  made?: number;
}

/**
 * Records that are read once, at the start: who has read them knows more than the store from then on.
 * They are large, and each change of a node writes one.
 */
const READ_ONCE: ReadonlySet<Folder> = new Set<Folder>(['nodeStates']);

/** Times that all is read, where the store forgets between the reading and the watch. */
const MOST_TRIES = 10;

/**
 * A read-only picture of the store at one revision. It changes only between two turns of the event
 * loop.
 */
export class View {
  readonly #store: Store;
  readonly #onError: (error: Error) => void;
  readonly #folders: { [F in Folder]: Map<string, Stored<Records[F]>> } = {
    policies: new Map(),
    domains: new Map(),
    pools: new Map(),
    nodes: new Map(),
    interfaces: new Map(),
    nodeStates: new Map(),
    programs: new Map(),
    certificates: new Map(),
    tokens: new Map(),
    settings: new Map(),
    users: new Map(),
    signIns: new Map(),
    apiTokens: new Map(),
    tokenUses: new Map(),
    revokedFiles: new Map(),
  };
  readonly #waiters: { revision: number; done: () => void }[] = [];
  /** Records that were written or deleted. */
  readonly #changes = new Map<Folder, ChangeLog>();
  #others = new Map<string, Entry>();
  #revision = 0;
  #watch: Watch | undefined;
  #closed = false;
  /** Folders whose records were handed over. */
  readonly #taken = new Set<Folder>();

  /** @param onError called if the watch fails and cannot be restarted */
  constructor(store: Store, onError: (error: Error) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  /**
   * Reads everything, and then follows changes. If the store forgets what came in between, all is read
   * again.
   * @throws what the store throws; CompactedError if that happened too often
   */
  async open(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#begin();
        return;
      } catch (error) {
        if (!(error instanceof CompactedError) || tries === MOST_TRIES) {
          throw error;
        }
      }
    }
  }

  async #begin(): Promise<void> {
    const snapshot = await this.#store.range('');
    for (const folder of Object.keys(this.#folders) as Folder[]) {
      this.#folders[folder].clear();
      this.#note(folder, undefined);
    }
    this.#others = new Map();
    for (const entry of snapshot.entries) {
      this.#put(entry);
    }
    this.#advance(snapshot.revision);
    this.#watch = await this.#store.watch('', snapshot.revision + 1, {
      onBatch: (events, revision) => this.#take(events, revision),
      onEnd: (error) => this.#again(error),
    });
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  /** Revision of the picture. */
  get revision(): number {
    return this.#revision;
  }

  /** How often records of a folder were written or deleted since the view was made. */
  changesOf(folder: Folder): number {
    return this.#changes.get(folder)?.count ?? 0;
  }

  /**
   * Names of the records that were written or deleted since `changesOf` was `count`. Undefined: any
   * may have been.
   */
  changedSince(folder: Folder, count: number): readonly string[] | undefined {
    const changes = this.#changes.get(folder);
    return changes ? changes.since(count) : [];
  }

  /** Hands over the records of a folder that is read once. The view has none of them from now on. */
  take<F extends Folder>(folder: F): ReadonlyMap<string, Stored<Records[F]>> {
    const all = new Map(this.all(folder));
    if (READ_ONCE.has(folder)) {
      this.#taken.add(folder);
      this.#folders[folder].clear();
    }
    return all;
  }

  /** All records of a folder by their name or id. */
  all<F extends Folder>(folder: F): ReadonlyMap<string, Stored<Records[F]>> {
    return this.#folders[folder] as ReadonlyMap<string, Stored<Records[F]>>;
  }

  get<F extends Folder>(folder: F, name: string): Stored<Records[F]> | undefined {
    return this.all(folder).get(name);
  }

  /** ERSPAN sessions, and the revision of their key (0: no sessions yet). */
  get sessions(): Stored<Sessions> {
    const entry = this.#others.get(SESSIONS_KEY);
    return { value: (entry?.value ?? {}) as Sessions, revision: entry?.modRevision ?? 0 };
  }

  /** How often a host was cut off that may know secrets of copies. */
  get cutOffs(): number {
    return (this.#others.get(CUT_OFFS_KEY)?.value ?? 0) as number;
  }

  /** Revision of the last decision. 0: none yet. */
  get generation(): number {
    return this.#others.get(GENERATION_KEY)?.modRevision ?? 0;
  }

  /** Committed decisions whose entries may be missing in the audit log, with their revisions. */
  get unaudited(): (Unaudited & { revision: number })[] {
    const entry = this.#others.get(GENERATION_KEY);
    const record = (entry?.value ?? null) as GenerationRecord;
    return (record?.unaudited ?? []).map((one) => ({ revision: entry!.modRevision, ...one }));
  }

  /** Resolves when the picture has this revision or a later one. */
  reached(revision: number): Promise<void> {
    if (this.#revision >= revision) {
      return Promise.resolve();
    }
    return new Promise((done) => this.#waiters.push({ revision, done }));
  }

  #take(events: StoreEvent[], revision: number): void {
    for (const event of events) {
      if (event.type === 'put') {
        this.#put(event.entry);
      } else {
        this.#delete(event.key);
      }
    }
    this.#advance(revision);
  }

  #put(entry: Entry): void {
    const place = folderOf(entry.key);
    if (place && this.#taken.has(place.folder)) {
      this.#note(place.folder, place.name);
    } else if (place) {
      const map = this.#folders[place.folder] as Map<string, Stored<unknown>>;
      map.set(place.name, { value: entry.value, revision: entry.modRevision, made: entry.createRevision });
      this.#note(place.folder, place.name);
    } else {
      this.#others.set(entry.key, entry);
    }
  }

  #delete(key: string): void {
    const place = folderOf(key);
    if (place) {
      this.#folders[place.folder].delete(place.name);
      this.#note(place.folder, place.name);
    } else {
      this.#others.delete(key);
    }
  }

  /** @param name undefined: all records are others */
  #note(folder: Folder, name: string | undefined): void {
    const changes = this.#changes.get(folder) ?? new ChangeLog();
    this.#changes.set(folder, changes);
    changes.note(name);
  }

  #advance(revision: number): void {
    this.#revision = revision;
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.revision <= revision) {
        waiter.done();
      } else {
        this.#waiters.push(waiter);
      }
    }
  }

  #again(error: Error): void {
    if (this.#closed) {
      return;
    }
    if (error instanceof CompactedError) {
      this.open().catch(this.#onError);
    } else {
      this.#onError(error);
    }
  }
}

function folderOf(key: string): { folder: Folder; name: string } | undefined {
  for (const [folder, prefix] of Object.entries(FOLDERS)) {
    if (key.startsWith(prefix)) {
      return { folder: folder as Folder, name: key.slice(prefix.length) };
    }
  }
  return undefined;
}

/** Key of a record in the store. */
export function keyOf(folder: Folder, name: string): string {
  return FOLDERS[folder] + name;
}
