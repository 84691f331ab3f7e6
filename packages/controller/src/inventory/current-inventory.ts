/**
 * The inventory of this moment, kept from one reading to the next. Only interfaces that may be
 * elsewhere, or have another record, are looked at again.
 */
import type { Interface } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { type Merged, type Records, recordsOf, toInterface } from './inventory.ts';
import { JudgedPlaces, type PlacesNews } from './judged-places.ts';
import type { KeptPlaces } from './kept-places.ts';
import type { Contest } from './places.ts';
import { SortedItems } from './sorted-items.ts';
import { Surroundings } from './surroundings.ts';

/** Records that an inventory is made of. */
const FOLDERS = ['domains', 'pools', 'nodes', 'interfaces'] as const;

interface Kept {
  inventory: Merged;
  /** What it was made of. */
  made: string;
  /** From when on the same reports mean something else, milliseconds since 1970. */
  until: number;
}

export class CurrentInventory {
  readonly #view: View;
  readonly #live: LiveNodes;
  readonly #news: () => PlacesNews;
  readonly #surroundings = new Surroundings();
  readonly #items: SortedItems<Interface>;
  #contests = new Map<string, readonly Contest[]>();
  readonly #listeners = new Set<(changed: Iterable<string>) => void>();
  #kept: Kept | undefined;
  #places: KeptPlaces | undefined;

  /**
   * @param places where they are kept already
   * @param planned the same interfaces as planning knows them: what is equal is kept as one object
   */
  constructor(
    view: View,
    live: LiveNodes,
    places = new JudgedPlaces(view, live),
    planned?: { get(id: string): Interface | undefined },
  ) {
    this.#items = new SortedItems(planned);
    this.#view = view;
    this.#live = live;
    this.#news = places.reader();
  }

  /** Calls `listener` with the ids of interfaces that are others now, before `now` returns them. */
  onChanged(listener: (changed: Iterable<string>) => void): void {
    this.#listeners.add(listener);
  }

  /** The inventory. Its readers share it, and change nothing in it. */
  now(): Merged {
    const made = [this.#live.changes, ...FOLDERS.map((folder) => this.#view.changesOf(folder))].join(' ');
    const kept = this.#kept;
    if (kept?.made === made && this.#live.now() < kept.until) {
      return kept.inventory;
    }
    const { places, concerned, isNew } = this.#news();
    this.#places = places;
    const records = recordsOf(this.#view);
    if (isNew) {
      this.#contests = new Map();
    }
    const changed: string[] = [];
    for (const id of isNew ? new Set([...concerned, ...this.#items.ids()]) : concerned) {
      const stored = records.interfaces.get(id);
      const place = places.place(id);
      if (place === undefined || place.contests.length === 0) {
        this.#contests.delete(id);
      } else {
        this.#contests.set(id, place.contests);
      }
      if (this.#items.set(id, stored && toInterface(stored, place, records))) {
        changed.push(id);
      }
    }
    const inventory: Merged = {
      ...this.#surroundings.of(records, this.#live),
      interfaces: this.#items.all() as Interface[],
      granted: { get: (id) => places.place(id)?.granted },
      contests: [...this.#contests.values()].flat(),
      due: places.due,
    };
    const until = Math.min(inventory.due ?? Infinity, this.#live.presentUntil() ?? Infinity);
    this.#kept = { inventory, made, until };
    for (const listener of changed.length > 0 ? this.#listeners : []) {
      listener(changed);
    }
    return inventory;
  }

  /** One interface as it would be with other pools of nodes, or other domains of pools. */
  with(id: string, records: Records): Interface | undefined {
    this.now();
    const domainOf = (node: string) => {
      const pool = records.nodes.get(node)?.value.pool;
      return pool === undefined ? undefined : records.pools.get(pool)?.value.domain;
    };
    const stored = records.interfaces.get(id);
    return (
      stored && toInterface(stored, this.#places?.placeWith(id, stored.value, domainOf, this.#live.now()), records)
    );
  }

  /** One interface. */
  get(id: string): Interface | undefined {
    this.now();
    return this.#items.get(id);
  }
}
