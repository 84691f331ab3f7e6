/**
 * Makes one decision at a time. A decision is committed only if the state on which it depends is
 * unchanged.
 */
import { Serial } from '@mirrorplane/base';
import type { GenerationRecord, Unaudited } from './records.ts';
import { GENERATION_KEY } from './records.ts';
import type { Operation, Store } from './store.ts';
import type { View } from './view.ts';

/**
 * Operations to write, and the answer for the revision of the write. Without operations, nothing is
 * written.
 */
export interface Decision<T> {
  ops: Operation[];
  /**
   * False if no other decision can depend on the written data. The generation then stays. Default
   * true.
   */
  decisive?: boolean;
  /** The entry for the audit log, after the commit (`audited`). */
  audit?: Unaudited;
  result(revision: number): T;
}

/** The most repetitions of a decision, after another controller was faster. */
const MAX_ATTEMPTS = 32;

/**
 * More than the number of parallel requests. If the audit log cannot be written, the oldest entries
 * are dropped.
 */
const MAX_UNAUDITED = 256;

export class Decisions {
  readonly #store: Store;
  readonly #view: View;
  readonly #serial = new Serial();
  /** Committed decisions whose lines may not be in the audit log yet. */
  #unaudited: Unaudited[] = [];
  /** A decision of which it is not known whether it was committed: the store did not answer. */
  #unsure: Unaudited | undefined;
  #onFound: (entry: Unaudited & { revision: number }) => void = () => undefined;

  constructor(store: Store, view: View) {
    this.#store = store;
    this.#view = view;
  }

  /** Calls `found` with a decision that was committed, although its caller was told that it is not known. */
  onFound(found: (entry: Unaudited & { revision: number }) => void): void {
    this.#onFound = found;
  }

  /**
   * Calls `make` when all earlier decisions are visible in the view, and commits its result. `make`
   * must be synchronous, so that it sees one state. It may be called again if another controller
   * wrote in between. If it throws, nothing is written, and the error is thrown here.
   * @param dryRun true: nothing is written; the result is for the current revision
   */
  decide<T>(make: () => Decision<T>, dryRun = false): Promise<T> {
    return this.#serial.run(() => this.#run(make, dryRun));
  }

  /**
   * The decision of this revision is in the audit log. Until this call, the store remembers that
   * its entry is missing.
   */
  audited(revision: number): void {
    this.#unaudited = this.#unaudited.filter((entry) => entry.revision !== revision);
  }

  /** Resolves when all decisions requested so far are made. */
  async settled(): Promise<void> {
    await this.#serial.settled();
  }

  async #run<T>(make: () => Decision<T>, dryRun: boolean): Promise<T> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.#findUnsure();
      const generation = this.#view.generation;
      const { ops, decisive = true, audit, result } = make();
      if (dryRun || ops.length === 0) {
        return result(this.#view.revision);
      }
      const unaudited = [...this.#unaudited, ...(audit ? [audit] : [])].slice(-MAX_UNAUDITED);
      const value: GenerationRecord = unaudited.length > 0 ? { unaudited } : null;
      const all: Operation[] = decisive ? [...ops, { type: 'put', key: GENERATION_KEY, value }] : ops;
      const compare = [{ key: GENERATION_KEY, modRevision: generation }];
      const { ok, revision } = await this.#store.txn({ compare, ops: all }).catch((error: unknown) => {
        this.#unsure = audit ?? this.#unsure;
        throw error;
      });
      await this.#view.reached(revision);
      if (ok) {
        // The one that was not known compared the same generation: it cannot be committed any more.
        this.#unsure = decisive ? undefined : this.#unsure;
        if (audit) {
          this.#unaudited.push({ ...audit, revision });
        }
        return result(revision);
      }
    }
    throw new Error(`a decision lost ${MAX_ATTEMPTS} races against another controller`);
  }

  /** Looks whether the decision that was not known is committed. @throws what the store throws */
  async #findUnsure(): Promise<void> {
    if (this.#unsure === undefined) {
      return;
    }
    const entry = await this.#store.get(GENERATION_KEY);
    await this.#view.reached(entry?.modRevision ?? 0);
    const wanted = JSON.stringify(this.#unsure);
    const found = this.#view.unaudited.find(({ revision, ...one }) => JSON.stringify(one) === wanted);
    if (found) {
      this.#unsure = undefined;
      this.#unaudited.push(found);
      this.#onFound(found);
    }
  }
}
