/** The newest items of each id. */

/** Items by id, at most so many of an id: one that comes all the time costs no more than others. */
export class NewestById<T> {
  readonly #most: number;
  readonly #items = new Map<string, T[]>();

  constructor(most: number) {
    this.#most = most;
  }

  add(id: string, item: T): void {
    const items = this.#items.get(id);
    if (items === undefined) {
      this.#items.set(id, [item]);
      return;
    }
    items.push(item);
    if (items.length > this.#most) {
      items.shift();
    }
  }

  /** Removes an item, if it is still there. It is one of the oldest. */
  remove(id: string, item: T): void {
    const items = this.#items.get(id);
    const at = items?.indexOf(item) ?? -1;
    if (items === undefined || at < 0) {
      return;
    }
    items.splice(at, 1);
    if (items.length === 0) {
      this.#items.delete(id);
    }
  }

  /** The items of an id, the oldest first. */
  of(id: string): readonly T[] {
    return this.#items.get(id) ?? [];
  }
}
