/** Small files that controllers share: each one is a sealed value under `files/`. */

import type { FileChanges, FileCopies } from '../store/file-copies.ts';
import { allEntries } from '../store/shared-space.ts';
import type { SharedOperation, SharedSpace } from '../store/store.ts';
import type { ClusterKey } from './cluster-key.ts';
import type { SharedWriter } from './writer.ts';

export const FILES_PREFIX = 'files/';
/** Totals of nodes. */
export const COUNTERS_PREFIX = 'counters/';
/** Bytes, and number, of files that are written at once where there are many. */
const MOST_BYTES = 512 << 10;
const MOST_FILES = 64;

export class SharedFiles implements FileCopies {
  readonly #writer: SharedWriter;
  readonly #key: ClusterKey;
  /** What the store has. */
  readonly #contents: Map<string, string>;
  /** Files of which a write has failed: the store may have either content. */
  readonly #unsure = new Set<string>();
  /** Operations that wait for the authority: without it, nothing is in the store. */
  #first: readonly SharedOperation[];

  private constructor(
    writer: SharedWriter,
    key: ClusterKey,
    contents: Map<string, string>,
    first: readonly SharedOperation[],
  ) {
    this.#writer = writer;
    this.#key = key;
    this.#contents = contents;
    this.#first = first;
  }

  /**
   * Reads all files.
   * @param first operations that go with the first write of an authority. Earlier writes wait for it as well
   * @throws SealError if one was changed
   */
  static async open(writer: SharedWriter, key: ClusterKey, first: readonly SharedOperation[]): Promise<SharedFiles> {
    return new SharedFiles(writer, key, await readFiles(writer.space, key), first);
  }

  /** Contents by name, as the store has them. Of totals only what was there at the start. */
  get contents(): ReadonlyMap<string, string> {
    return this.#contents;
  }

  /** The totals that were there at the start, once: they are not kept in memory. */
  takeCounters(): Map<string, string> {
    const counters = new Map([...this.#contents].filter(([name]) => name.startsWith(COUNTERS_PREFIX)));
    for (const name of counters.keys()) {
      this.#contents.delete(name);
    }
    return counters;
  }

  /** Carries out many changes, some at a time. @throws as `write`; a part may be carried out then */
  async writeMany(changes: FileChanges): Promise<void> {
    let next: Record<string, string | undefined> = {};
    let bytes = 0;
    for (const [name, content] of Object.entries(changes)) {
      const size = content?.length ?? 0;
      if (bytes + size > MOST_BYTES || Object.keys(next).length >= MOST_FILES) {
        await this.write(next);
        [next, bytes] = [{}, 0];
      }
      next[name] = content;
      bytes += size;
    }
    await this.write(next);
  }

  async write(changes: FileChanges): Promise<void> {
    const changed = Object.entries(changes).filter(
      ([name, content]) =>
        this.#unsure.has(name) || this.#contents.get(name) !== content || name.startsWith(COUNTERS_PREFIX),
    );
    const ops = changed.map(([name, content]): SharedOperation => {
      const key = FILES_PREFIX + name;
      return content === undefined
        ? { type: 'delete', key }
        : { type: 'put', key, value: this.#key.seal(key, content, isLong(name)) };
    });
    if (ops.length === 0) {
      return;
    }
    if (this.#first.length > 0 && changes['ca.crt'] === undefined) {
      this.#first = [...this.#first, ...ops];
      return;
    }
    for (const [name] of changed) {
      this.#unsure.add(name);
    }
    await this.#writer.write([...this.#first, ...ops]);
    this.#first = [];
    for (const [name, content] of changed) {
      this.#unsure.delete(name);
      if (content === undefined || name.startsWith(COUNTERS_PREFIX)) {
        this.#contents.delete(name);
      } else {
        this.#contents.set(name, content);
      }
    }
  }
}

/** Contents of all files by name. @throws SealError if one was changed */
export async function readFiles(space: SharedSpace, key: ClusterKey): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for (const { key: at, value } of await allEntries(space, FILES_PREFIX)) {
    contents.set(at.slice(FILES_PREFIX.length), key.open(at, value));
  }
  return contents;
}

/** Totals and marks of events have no secrets, and are long. */
function isLong(name: string): boolean {
  return name.startsWith(COUNTERS_PREFIX) || name === EVENTS_TOLD;
}

/** What the event log knows of events that it does not have any more. */
export const EVENTS_TOLD = 'events-told';
