/** What a topic is made of. */

/** Items by their keys, each made when it is asked for. A plain map is one, too. */
export interface TopicItems {
  keys(): Iterable<string>;
  get(key: string): object | undefined;
  /** How it is seen without making an item that the item is another one. Undefined: by making it. */
  readonly signs?: Signs | undefined;
  /** Whether keys come sorted. */
  readonly isSorted?: boolean;
}

export interface Signs {
  /** Another value: the item has changed. */
  of(key: string): unknown;
  /** Whether the same value says that nothing has. Else its numbers may have. */
  isAll: boolean;
}

/** Items that are made of entries. */
export class EntryItems<E> implements TopicItems {
  readonly signs: Signs | undefined;
  readonly #entries: ReadonlyMap<string, E>;
  readonly #make: (entry: E) => object;

  /** @param sign see `Signs`: what of an entry is more than numbers */
  constructor(entries: ReadonlyMap<string, E>, make: (entry: E) => object, sign: (entry: E) => unknown) {
    this.#entries = entries;
    this.#make = make;
    this.signs = { of: (key) => sign(entries.get(key)!), isAll: false };
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  get(key: string): object | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#make(entry);
  }
}

/** The items of which `isSeen` is true. What one sees of an item may be a part of it. */
export class SeenItems implements TopicItems {
  readonly signs: Signs | undefined;
  readonly isSorted: boolean;
  readonly #items: TopicItems;
  readonly #isSeen: (key: string) => boolean;
  readonly #shown: (key: string, item: object) => object | undefined;

  /** @param shown what one sees of an item */
  constructor(
    items: TopicItems,
    isSeen: (key: string) => boolean,
    shown: (key: string, item: object) => object | undefined = (_, item) => item,
  ) {
    this.signs = items.signs;
    this.isSorted = items.isSorted ?? false;
    this.#items = items;
    this.#isSeen = isSeen;
    this.#shown = shown;
  }

  *keys(): Generator<string> {
    for (const key of this.#items.keys()) {
      if (this.#isSeen(key)) {
        yield key;
      }
    }
  }

  get(key: string): object | undefined {
    const item = this.#isSeen(key) ? this.#items.get(key) : undefined;
    return item && this.#shown(key, item);
  }
}
