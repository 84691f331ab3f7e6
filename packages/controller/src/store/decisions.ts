/** One decision at a time: what is decided from the state is committed only if the state is still the same. */
import { Serial } from '@mirrorplane/base';
import type { GenerationRecord, Unaudited } from './records.ts';
import { GENERATION_KEY } from './records.ts';
import type { Operation, Store } from './store.ts';
import type { View } from './view.ts';

/** What to write, and the answer, given the revision at which it was written. Without operations nothing is written. */
export interface Decision<T> {
  ops: Operation[];
  /** False where no other decision can depend on what is written: the generation then stays. Default true. */
  decisive?: boolean;
  /** What the audit log is to say of it, once it is written; see `audited`. */
  audit?: Unaudited;
  result(revision: number): T;
}

/** How often a decision is made again because another controller was faster. */
const MAX_ATTEMPTS = 32;

/** More than requests can be under way; where the audit log cannot be written, the oldest are given up. */
const MAX_UNAUDITED = 256;

export class Decisions {
  readonly #store: Store;
  readonly #view: View;
  readonly #serial = new Serial();
  /** Decisions that are committed, and whose lines are not known to be in the audit log. */
  #unaudited: Unaudited[] = [];

  constructor(store: Store, view: View) {
    this.#store = store;
    this.#view = view;
  }

  /**
   * Calls `make` when all earlier decisions are visible in the view, and commits what it returns. `make` must not
   * wait, so that it sees one state; it may be called again where another controller wrote in between. What it throws
   * is thrown here, and nothing is written.
   * @param dryRun true: nothing is written, the result is that of the present revision.
   */
  decide<T>(make: () => Decision<T>, dryRun = false): Promise<T> {
    return this.#serial.run(() => this.#run(make, dryRun));
  }

  /** The decision of this revision is in the audit log. Until then the store remembers that it has to come there. */
  audited(revision: number): void {
    this.#unaudited = this.#unaudited.filter((entry) => entry.revision !== revision);
  }

  /** Resolves when all decisions asked for so far are made. */
  async settled(): Promise<void> {
    await this.#serial.settled();
  }

  async #run<T>(make: () => Decision<T>, dryRun: boolean): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const generation = this.#view.generation;
      const { ops, decisive = true, audit, result } = make();
      if (dryRun || ops.length === 0) {
        return result(this.#view.revision);
      }
      const unaudited = [...this.#unaudited, ...(audit ? [audit] : [])].slice(-MAX_UNAUDITED);
      const value: GenerationRecord = unaudited.length > 0 ? { unaudited } : null;
      const all: Operation[] = decisive ? [...ops, { type: 'put', key: GENERATION_KEY, value }] : ops;
      const { ok, revision } = await this.#store.txn({
        compare: [{ key: GENERATION_KEY, modRevision: generation }],
        ops: all,
      });
      await this.#view.reached(revision);
      if (ok) {
        if (audit) {
          this.#unaudited.push({ ...audit, revision });
        }
        return result(revision);
      }
    }
    throw new Error(`a decision lost ${MAX_ATTEMPTS} races against another controller`);
  }
}
