/** What controllers share beside the records: keys under `/mirrorplane/shared/`, with bytes as values. */

import { WRITES_KEY } from '../shared-space.ts';
import type {
  Compare,
  SharedEntry,
  SharedOperation,
  SharedRange,
  SharedSpace,
  StoreEvent,
  Watch,
  Watcher,
} from '../store.ts';
import type { Cluster } from './cluster.ts';
import { afterPrefix } from './keys.ts';
import { answers, type Condition, type KeyValue, operations, rangeRequest } from './messages.ts';
import { EtcdWatch } from './watch.ts';

/** One operation as etcd takes it. */
export interface EtcdOperation {
  isPut: boolean;
  bytes: Buffer;
}

/** Writes with the right to write, exactly once. @param mark key that is written by each of these writes */
export type FencedWrite = (
  compare: readonly Condition[],
  ops: readonly EtcdOperation[],
  mark: string,
) => Promise<{ ok: boolean; revision: number }>;

const ROOT = '/mirrorplane/shared/';
/** Keys of one answer: with their values, or without. A value has a few hundred kilobytes at most. */
const PAGE = { values: 32, keys: 1000 };

export class EtcdShared implements SharedSpace {
  readonly #cluster: Cluster;
  readonly #write: FencedWrite;
  readonly #watching: (watch: Watch) => void;

  /** @param watching gets each watch, so that it ends with the store */
  constructor(cluster: Cluster, write: FencedWrite, watching: (watch: Watch) => void) {
    this.#cluster = cluster;
    this.#write = write;
    this.#watching = watching;
  }

  async *entries(
    prefix: string,
    { from = prefix, keysOnly = false, revision = 0 }: SharedRange = {},
  ): AsyncGenerator<SharedEntry> {
    const limit = keysOnly ? PAGE.keys : PAGE.values;
    let at = revision;
    for (let key = ROOT + from; ; ) {
      const request = rangeRequest({ key, end: afterPrefix(ROOT + prefix), limit, revision: at, keysOnly });
      const page = answers.range(await this.#cluster.ask('range', request));
      at ||= page.revision;
      yield* page.entries.map(toEntry);
      if (!page.more) {
        return;
      }
      key = `${page.entries.at(-1)!.key}\0`;
    }
  }

  async revision(): Promise<number> {
    return answers.range(await this.#cluster.ask('range', rangeRequest({ key: ROOT, keysOnly: true }))).revision;
  }

  txn({ compare, ops }: { compare: readonly Compare[]; ops: readonly SharedOperation[] }) {
    return this.#write(
      compare.map(({ key, modRevision }) => ({ key: ROOT + key, modRevision })),
      ops.map((op) => {
        const isPut = op.type === 'put';
        return { isPut, bytes: isPut ? operations.put(ROOT + op.key, op.value) : operations.remove(ROOT + op.key) };
      }),
      ROOT + WRITES_KEY,
    );
  }

  async watch(prefix: string, fromRevision: number, watcher: Watcher): Promise<Watch> {
    const toEvent = ({ deleted, entry }: { deleted: boolean; entry: KeyValue }): StoreEvent =>
      deleted ? { type: 'delete', key: entry.key.slice(ROOT.length) } : { type: 'put', entry: toEntry(entry) };
    const range = { key: ROOT + prefix, end: afterPrefix(ROOT + prefix), toEvent };
    const watch = new EtcdWatch(this.#cluster, range, fromRevision, watcher);
    this.#watching(watch);
    await watch.open();
    return watch;
  }
}

function toEntry({ key, value, createRevision, modRevision }: KeyValue) {
  return { key: key.slice(ROOT.length), value, createRevision, modRevision };
}
