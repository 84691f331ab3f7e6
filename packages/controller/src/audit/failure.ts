/** What the audit log owes while the disk refuses to take it. */
import type { AuditEntry } from '@mirrorplane/contract';

type Entry = Omit<AuditEntry, 'seq' | 'prev'>;

/** The most entries of decisions that are kept. No decision is made meanwhile, so few are under way. */
const MOST_OWED = 256;

export class Failure {
  /** True: all entries are kept. False: only those of decisions that the store has committed. */
  readonly #keepsAll: boolean;
  #owed: Entry[] = [];
  /** Entries that nobody tries again: their callers were told. */
  #lost = 0;
  #since = 0;
  /** Why it cannot be written. Undefined: it can. */
  reason: string | undefined;
  /** Entries that could not be written since the start. */
  count = 0;

  constructor(keepsAll: boolean) {
    this.#keepsAll = keepsAll;
  }

  /** Whether the next write has to say that there was a failure. */
  get isTold(): boolean {
    return this.reason !== undefined;
  }

  /** Entries that are not in the log since the last write that has succeeded. */
  get missing(): number {
    return this.#owed.length + this.#lost;
  }

  /** A write has failed. @param now milliseconds since 1970 */
  add(error: unknown, entries: readonly Entry[], now: number): void {
    const { code, message } = error as NodeJS.ErrnoException;
    this.#since = this.reason === undefined ? now : this.#since;
    this.reason = code ?? message;
    this.count += entries.length;
    for (const entry of entries) {
      if ((this.#keepsAll || isDecision(entry)) && this.#owed.length < MOST_OWED) {
        this.#owed.push(entry);
      } else {
        this.#lost++;
      }
    }
  }

  /** Entries to write before all others: what is owed, and one about the failure. @param now ISO 8601 */
  owed(now: string): Entry[] {
    if (this.reason === undefined) {
      return [];
    }
    const since = new Date(this.#since).toISOString();
    const about: Entry = {
      time: now,
      actor: 'controller',
      actorKind: 'controller',
      address: 'controller',
      action: 'request',
      resource: 'audit/',
      outcome: 'failed',
      detail: `the log could not be written since ${since} (${this.reason}): ${this.#lost} entries are missing`,
    };
    return [...this.#owed, about];
  }

  /** All that was owed is written. */
  over(late: (revision: number) => void): void {
    for (const { revision } of this.#owed.filter(isDecision)) {
      late(revision!);
    }
    this.#owed = [];
    this.#lost = 0;
    this.reason = undefined;
  }
}

const isDecision = ({ outcome, revision }: Entry) => outcome === 'done' && revision !== undefined;
