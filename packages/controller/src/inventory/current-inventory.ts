/** The inventory of this moment. It is made again only where something that it is made of changed. */
import type { Interface } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { type Merged, mergeInventory, recordsOf } from './inventory.ts';

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
  #kept: Kept | undefined;
  #byId: { of: Merged; items: ReadonlyMap<string, Interface> } | undefined;

  constructor(view: View, live: LiveNodes) {
    this.#view = view;
    this.#live = live;
  }

  /** The inventory. Its readers share it, and change nothing in it. */
  now(): Merged {
    const made = [this.#live.changes, ...FOLDERS.map((folder) => this.#view.changesOf(folder))].join(' ');
    const kept = this.#kept;
    if (kept?.made === made && this.#live.now() < kept.until) {
      return kept.inventory;
    }
    const inventory = mergeInventory(recordsOf(this.#view), this.#live);
    const until = Math.min(inventory.due ?? Infinity, this.#live.presentUntil() ?? Infinity);
    this.#kept = { inventory, made, until };
    return inventory;
  }

  /** One interface. */
  get(id: string): Interface | undefined {
    const of = this.now();
    if (this.#byId?.of !== of) {
      this.#byId = { of, items: new Map(of.interfaces.map((item) => [item.id, item])) };
    }
    return this.#byId.items.get(id);
  }
}
