/**
 * Walks through lists whose order changes all the time: the order that the first page has found is
 * kept for the others.
 */
import { randomBytes } from 'node:crypto';

/** Milliseconds that a walk is kept after its last page. */
const KEPT_MS = 10 * 60 * 1000;
/** Walks, and keys of all of them, at a time: the oldest ends for one more. */
const MAX_WALKS = 64;
const MAX_KEYS = 500_000;

export class Walks {
  readonly #clock: () => number;
  /** The one that was used last is behind. */
  readonly #walks = new Map<string, { keys: readonly string[]; usedAt: number }>();

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** @returns what finds the keys again */
  begin(keys: readonly string[]): string {
    const id = randomBytes(12).toString('base64url');
    this.#walks.set(id, { keys, usedAt: this.#clock() });
    this.#bound();
    return id;
  }

  /** The keys in the order of the first page; undefined: they are not kept any more. */
  keys(id: string): readonly string[] | undefined {
    const walk = this.#walks.get(id);
    this.#walks.delete(id);
    if (!walk || this.#clock() - walk.usedAt > KEPT_MS) {
      return undefined;
    }
    this.#walks.set(id, { keys: walk.keys, usedAt: this.#clock() });
    return walk.keys;
  }

  #bound(): void {
    let keys = [...this.#walks.values()].reduce((sum, walk) => sum + walk.keys.length, 0);
    for (const [id, walk] of this.#walks) {
      const isOld = this.#clock() - walk.usedAt > KEPT_MS;
      if (!isOld && this.#walks.size <= MAX_WALKS && (keys <= MAX_KEYS || this.#walks.size === 1)) {
        return;
      }
      this.#walks.delete(id);
      keys -= walk.keys.length;
    }
  }
}
