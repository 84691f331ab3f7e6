/** A shared space in memory, of which a write may fail: it was carried out then, or it was not. */
import { WRITES_KEY } from '../../src/store/shared-space.ts';
import type { SharedEntry, SharedOperation, SharedRange, SharedSpace, Watch, Watcher } from '../../src/store/store.ts';
import { CompactedError, StoreUnavailableError } from '../../src/store/store.ts';

/** What becomes of a write. `unknown`: it is carried out, and the answer is lost. */
export type Fate = 'done' | 'lost' | 'unknown';

export class MemorySpace implements SharedSpace {
  readonly keys = new Map<string, SharedEntry>();
  readonly #watchers = new Set<Watcher>();
  /** Decides about each write. */
  fate: () => Fate = () => 'done';
  /** The most operations and bytes of one write so far. */
  readonly most = { ops: 0, bytes: 0 };
  writes = 0;
  #revision = 1;

  async *entries(prefix: string, { from = prefix, keysOnly = false }: SharedRange = {}): AsyncGenerator<SharedEntry> {
    const found = [...this.keys.values()].filter(({ key }) => key.startsWith(prefix) && key >= from);
    for (const entry of found.sort((a, b) => (a.key < b.key ? -1 : 1))) {
      yield keysOnly ? { ...entry, value: Buffer.alloc(0) } : entry;
    }
  }

  async revision(): Promise<number> {
    return this.#revision;
  }

  async txn({
    compare,
    ops,
  }: {
    compare: readonly { key: string; modRevision: number }[];
    ops: readonly SharedOperation[];
  }) {
    this.writes++;
    const fate = this.fate();
    if (fate === 'lost') {
      throw new StoreUnavailableError('lost');
    }
    const ok = compare.every(({ key, modRevision }) => (this.keys.get(key)?.modRevision ?? 0) === modRevision);
    if (ok) {
      this.#carryOut(ops);
    }
    if (fate === 'unknown') {
      throw new StoreUnavailableError('unknown');
    }
    return { ok, revision: this.#revision };
  }

  async watch(_prefix: string, _from: number, watcher: Watcher): Promise<Watch> {
    this.#watchers.add(watcher);
    return { close: () => this.#watchers.delete(watcher) };
  }

  /** Ends all watches, as a compaction does. */
  endWatches(): void {
    for (const watcher of [...this.#watchers]) {
      this.#watchers.delete(watcher);
      watcher.onEnd(new CompactedError('compacted'));
    }
  }

  #carryOut(ops: readonly SharedOperation[]): void {
    this.#revision++;
    const bytes = ops.reduce((sum, op) => sum + (op.type === 'put' ? op.value.length : 0), 0);
    this.most.ops = Math.max(this.most.ops, ops.length);
    this.most.bytes = Math.max(this.most.bytes, bytes);
    this.keys.set(WRITES_KEY, { key: WRITES_KEY, value: Buffer.alloc(0), modRevision: this.#revision });
    for (const op of ops) {
      if (op.type === 'put') {
        this.keys.set(op.key, { key: op.key, value: op.value, modRevision: this.#revision });
      } else {
        this.keys.delete(op.key);
      }
    }
    const events = ops.map((op) =>
      op.type === 'put'
        ? { type: 'put' as const, entry: { ...this.keys.get(op.key)!, createRevision: this.#revision } }
        : op,
    );
    for (const watcher of this.#watchers) {
      watcher.onBatch(events, this.#revision);
    }
  }
}
