/**
 * Walks through lists whose order changes all the time: the order that the first page has found is
 * kept for the others.
 */
import { randomBytes } from 'node:crypto';
import { givesWay } from '../auth/fair-share.ts';

/** Milliseconds that a walk is kept after its last page. */
const KEPT_MS = 10 * 60 * 1000;
/** Walks at a time, and of one user: for one more, the oldest ends of who has most. */
const PLACES = { each: 16, total: 64 };
/** Keys of all walks together. */
const MAX_KEYS = 500_000;

interface Walk {
  keys: readonly string[];
  usedAt: number;
  /** Name of the user. */
  holder: string;
}

export class Walks {
  readonly #clock: () => number;
  /** The one that was used last is behind. */
  readonly #walks = new Map<string, Walk>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /**
   * @param holder name of the user who reads the list
   * @returns what finds the keys again
   */
  begin(keys: readonly string[], holder: string): string {
    const id = randomBytes(12).toString('base64url');
    this.#makeRoom(keys.length, holder);
    this.#walks.set(id, { keys, usedAt: this.#clock(), holder });
    return id;
  }

  /** The keys in the order of the first page; undefined: they are not kept any more. */
  keys(id: string): readonly string[] | undefined {
    const walk = this.#walks.get(id);
    this.#walks.delete(id);
    if (!walk || this.#clock() - walk.usedAt > KEPT_MS) {
      return undefined;
    }
    this.#walks.set(id, { ...walk, usedAt: this.#clock() });
    return walk.keys;
  }

  /** Ends walks that are too old, or have to give way to one with so many keys. */
  #makeRoom(more: number, holder: string): void {
    for (const [id, { usedAt }] of this.#walks) {
      if (this.#clock() - usedAt > KEPT_MS) {
        this.#walks.delete(id);
      }
    }
    const holders = () => new Map([...this.#walks].map(([id, walk]) => [id, walk.holder]));
    const oldest = givesWay(holders(), holder, PLACES);
    this.#walks.delete(oldest ?? '');
    while (this.#walks.size > 0 && more + this.#keysOf() > MAX_KEYS) {
      const [most] = [...Map.groupBy(this.#walks, ([, walk]) => walk.holder).values()].sort(
        (a, b) => this.#keysOf(b) - this.#keysOf(a),
      );
      this.#walks.delete(most![0]![0]);
    }
  }

  #keysOf(walks: Iterable<[string, Walk]> = this.#walks): number {
    return [...walks].reduce((sum, [, { keys }]) => sum + keys.length, 0);
  }
}
