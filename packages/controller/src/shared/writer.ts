/**
 * Writes what controllers share. Writes that come while one is under way are written together by
 * the next one, so that an audit entry and the events of a change cost one transaction.
 */
import { Serial } from '@mirrorplane/base';
import { allEntries, WRITES_KEY } from '../store/shared-space.ts';
import type { SharedOperation, SharedSpace } from '../store/store.ts';
import { StoreUnavailableError } from '../store/store.ts';

/** Bytes and operations of one transaction: less than etcd takes. */
const MOST_BYTES = 1 << 20;
const MOST_OPS = 2000;
interface Group {
  ops: readonly SharedOperation[];
  done: (error?: unknown) => void;
}

export class SharedWriter {
  readonly space: SharedSpace;
  readonly #serial = new Serial();
  #waiting: Group[] = [];
  /** Revision of the last write. Undefined: it is not known. */
  #revision: number | undefined;

  constructor(space: SharedSpace) {
    this.space = space;
  }

  /**
   * Carries out all operations, or none. A later operation on a key takes the place of an earlier
   * one. @throws what the store throws. StoreUnavailableError: it may be carried out all the same
   */
  write(ops: readonly SharedOperation[]): Promise<void> {
    if (ops.length === 0) {
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ops, done: (error) => (error === undefined ? resolve() : reject(error)) });
      void this.#serial.run(() => this.#writeWaiting());
    });
  }

  /**
   * Writes what it makes of values as they are now: no other write comes in between.
   * @param make may read. It makes no more than one transaction takes
   * @throws as `write`
   */
  rewrite(make: () => Promise<readonly SharedOperation[]>): Promise<void> {
    return this.#serial.run(async () => {
      // Known before anything is read, so that a write whose outcome was not known is seen.
      this.#revision ??= await this.#readRevision();
      const ops = await make();
      if (ops.length > 0) {
        await this.#commit([{ ops, done: () => undefined }]);
      }
    });
  }

  /** Resolves when no write is under way. */
  settled(): Promise<void> {
    return this.#serial.settled();
  }

  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const groups = this.#take();
      const error = await this.#commit(groups).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      for (const { done } of groups) {
        done(error);
      }
    }
  }

  /** The groups of the next transaction. */
  #take(): Group[] {
    let bytes = 0;
    let count = 0;
    const most = this.#waiting.findIndex(({ ops }, index) => {
      bytes += ops.reduce((sum, op) => sum + op.key.length + (op.type === 'put' ? op.value.length : 0), 0);
      count += ops.length;
      return index > 0 && (bytes > MOST_BYTES || count > MOST_OPS);
    });
    return this.#waiting.splice(0, most < 0 ? this.#waiting.length : most);
  }

  async #commit(groups: readonly Group[]): Promise<void> {
    const ops = new Map(groups.flatMap((group) => group.ops.map((op) => [op.key, op] as const)));
    const modRevision = this.#revision ?? (await this.#readRevision());
    this.#revision = undefined;
    const compare = [{ key: WRITES_KEY, modRevision }];
    const { ok, revision } = await this.space.txn({ compare, ops: [...ops.values()] });
    if (!ok) {
      throw new StoreUnavailableError('a write whose outcome was not known came in between');
    }
    this.#revision = revision;
  }

  async #readRevision(): Promise<number> {
    const found = await allEntries(this.space, WRITES_KEY, { keysOnly: true });
    return found.find(({ key }) => key === WRITES_KEY)?.modRevision ?? 0;
  }
}
