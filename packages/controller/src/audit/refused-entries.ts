/**
 * Entries of what anybody may do without end: what is refused, and signing in. They are written at
 * once while there are few. When there are many, one entry stands for several, so that they cannot
 * push other entries out of the log. All who have not proved who they are share one budget.
 */
import type { AuditDraft } from '@mirrorplane/contract';
import { TokenBucket } from '../token-bucket.ts';

/** Entries at once, and then an entry each ten minutes: less than 30 MB in a year. */
const OF_STRANGERS = { reserve: 60, perSecond: 1 / 600 };
/** Entries of one user, API token or node at once, and then one each ten seconds. */
const OF_ONE = { reserve: 100, perSecond: 1 / 10 };
/** Users, API tokens and nodes that have a budget of their own. Others share one. */
const MOST_ACTORS = 1000;
/** Milliseconds between two tries to write what is pending. */
const TRY_MS = 60_000;

/** Things that an entry names which stands for several refusals. */
const MOST_RESOURCES = 8;

interface Pending {
  draft: AuditDraft;
  count: number;
  /** Some of the things that the refusals were about, the first ones. */
  resources: ReadonlySet<string>;
}

export interface RefusedEntriesOptions {
  append: (draft: AuditDraft) => Promise<void>;
  /** Told when an entry cannot be written later on. */
  failed: (error: unknown) => void;
  /** Clock of the budgets, milliseconds. Default `performance.now` */
  now?: () => number;
}

export class RefusedEntries {
  readonly #options: RefusedEntriesOptions;
  readonly #buckets = new Map<string, TokenBucket>();
  /** By budget, action and outcome: what is not written yet. */
  readonly #pending = new Map<string, Map<string, Pending>>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RefusedEntriesOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#retry(true), TRY_MS).unref();
  }

  /**
   * Resolves when the entry is on the disk, or will be written together with others.
   * @param count number of refusals, or of sign-ins, that it stands for
   */
  async add(draft: AuditDraft, count = 1): Promise<void> {
    const budget = this.#budgetOf(draft);
    const pending = this.#pending.get(budget) ?? new Map<string, Pending>();
    const kind = `${draft.action} ${draft.outcome}`;
    const before = pending.get(kind);
    const named = [...new Set([...(before?.resources ?? []), draft.resource])];
    const sum = { draft, count: (before?.count ?? 0) + count, resources: new Set(named.slice(0, MOST_RESOURCES)) };
    if (this.#bucket(budget).take()) {
      pending.delete(kind);
      await this.#write(sum);
    } else {
      this.#pending.set(budget, pending.set(kind, sum));
    }
  }

  /** Writes what is pending. */
  close(): void {
    clearInterval(this.#timer);
    this.#retry(false);
  }

  /** @param isLimited whether the budget counts */
  #retry(isLimited: boolean): void {
    for (const [budget, pending] of this.#pending) {
      for (const [kind, sum] of pending) {
        if (!isLimited || this.#bucket(budget).take()) {
          pending.delete(kind);
          this.#write(sum).catch(this.#options.failed);
        }
      }
    }
  }

  #write({ draft, count, resources }: Pending): Promise<void> {
    const several = resources.size > 1 && { resources: [...resources] };
    return this.#options.append({ ...draft, ...(count > 1 && { count, ...several }) });
  }

  #budgetOf({ actor, actorKind }: AuditDraft): string {
    if (actorKind === 'stranger') {
      return 'strangers';
    }
    const name = `${actorKind} ${actor}`;
    return this.#buckets.has(name) || this.#buckets.size < MOST_ACTORS ? name : 'others';
  }

  #bucket(budget: string): TokenBucket {
    const { now } = this.#options;
    const share = budget === 'strangers' ? OF_STRANGERS : OF_ONE;
    const bucket = this.#buckets.get(budget) ?? new TokenBucket({ ...share, ...(now && { now }) });
    this.#buckets.set(budget, bucket);
    return bucket;
  }
}
