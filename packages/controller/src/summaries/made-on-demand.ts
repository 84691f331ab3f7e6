/**
 * A map over a sorted list, whose values are made each time that they are asked for. An item that
 * differs is another object.
 */
import { foundIn } from '@mirrorplane/planner';

export class MadeOnDemand<T extends { readonly id: string }, V> implements ReadonlyMap<string, V> {
  readonly isSorted = true;
  /** How an item is seen to be another one without making its value. */
  readonly signs = { of: (id: string): unknown => this.#find(id), isAll: true };
  readonly #items: readonly T[];
  readonly #make: (item: T) => V;

  /** @param items in the order of their ids */
  constructor(items: readonly T[], make: (item: T) => V) {
    this.#items = items;
    this.#make = make;
  }

  get size(): number {
    return this.#items.length;
  }

  get(id: string): V | undefined {
    const found = this.#find(id);
    return found && this.#make(found);
  }

  #find(id: string): T | undefined {
    return foundIn(this.#items, id);
  }

  has(id: string): boolean {
    return this.get(id) !== undefined;
  }

  forEach(each: (value: V, id: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [id, value] of this) {
      each(value, id, this);
    }
  }

  *entries(): MapIterator<[string, V]> {
    for (const item of this.#items) {
      yield [item.id, this.#make(item)];
    }
  }

  *keys(): MapIterator<string> {
    for (const { id } of this.#items) {
      yield id;
    }
  }

  *values(): MapIterator<V> {
    for (const item of this.#items) {
      yield this.#make(item);
    }
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}
