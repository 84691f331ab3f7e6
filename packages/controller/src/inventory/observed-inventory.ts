/**
 * What `observedInterfaces` gives, kept from one planning to the next. Only interfaces are looked at
 * whose records or devices differ, and those that have no device.
 */
import type { Interface } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { Stored } from '../store/view.ts';
import { withoutFormer } from './former-interfaces.ts';
import { type Merged, type Records, toInterface } from './inventory.ts';
import type { KeptPlaces } from './kept-places.ts';
import { identityOf, operationsOf, withIdentity } from './observed-interfaces.ts';
import type { Contest } from './places.ts';
import { SortedItems } from './sorted-items.ts';
import { Surroundings } from './surroundings.ts';

type Record = Stored<InterfaceRecord>;

/** The inventory, the operations that make the records so, and what differs from the last one. */
export interface ObservedNow {
  inventory: Merged;
  ops: Operation[];
}

export class ObservedInventory {
  readonly #places: KeptPlaces;
  /** Records as they are after the operations. */
  readonly #records = new Map<string, Record>();
  readonly #items = new SortedItems<Interface>();
  readonly #surroundings = new Surroundings();
  /**
   * Interfaces that no operator has declared, and that have no device. Their records end by time.
   */
  readonly #absent = new Set<string>();
  /** Interfaces whose records differ from those of the store. */
  readonly #unwritten = new Set<string>();
  readonly #contests = new Map<string, readonly Contest[]>();

  constructor(places: KeptPlaces) {
    this.#places = places;
  }

  /** An interface as it was when `update` was called last. */
  get(id: string): Interface | undefined {
    return this.#items.get(id);
  }

  /**
   * The inventory of this moment.
   * @param concerned interfaces that `KeptPlaces.update` has named since the last call
   * @param named ids that policies name
   */
  update(
    records: Records,
    live: LiveNodes,
    { concerned, named, now }: { concerned: Iterable<string>; named: Pick<ReadonlySet<string>, 'has'>; now: number },
  ): ObservedNow {
    const looked = new Map<string, Interface>();
    for (const id of new Set([...concerned, ...this.#unwritten])) {
      this.#look(id, records, looked);
    }
    for (const id of this.#absent) {
      const item = looked.get(id) ?? this.#items.get(id);
      if (item) {
        looked.set(id, item);
      }
    }
    const observed = [...looked.values()];
    const before = new Map([...looked.keys()].map((id) => [id, this.#records.get(id)!]));
    const kept = withoutFormer(before, { observed, named, nodes: records.nodes, now });
    const ops: Operation[] = [];
    for (const [id, item] of looked) {
      ops.push(...this.#settle(id, item, kept.get(id), records));
    }
    return {
      inventory: {
        ...this.#surroundings.of(records, live),
        interfaces: this.#items.all() as Interface[],
        granted: { get: (id) => this.#places.place(id)?.granted },
        contests: [...this.#contests.values()].flat(),
        due: this.#places.due,
      },
      ops,
    };
  }

  /** Makes the record and the item of one interface again. */
  #look(id: string, records: Records, looked: Map<string, Interface>): void {
    const place = this.#places.place(id);
    this.#note(id, place?.contests);
    const stored = records.interfaces.get(id);
    const record = withIdentity(id, stored, identityOf(this.#places.sightings(id), stored?.value.boundTo));
    if (record === undefined) {
      this.#records.delete(id);
      this.#items.set(id, undefined);
      this.#absent.delete(id);
      this.#unwritten.delete(id);
      return;
    }
    const item = toInterface(record, place, records);
    const isElsewhere = item.devices.length > 0 && !record.value.edge && record.value.pool !== item.pool;
    this.#records.set(id, isElsewhere ? { ...record, value: { ...record.value, pool: item.pool } } : record);
    looked.set(id, item);
  }

  #note(id: string, contests: readonly Contest[] | undefined): void {
    if (contests === undefined || contests.length === 0) {
      this.#contests.delete(id);
    } else {
      this.#contests.set(id, contests);
    }
  }

  /** @param record as it shall be in the store. Undefined: it shall not */
  #settle(id: string, item: Interface, record: Record | undefined, records: Records): Operation[] {
    const isAbsent = item.home === undefined && item.devices.length === 0;
    if (isAbsent && !item.declared) {
      this.#absent.add(id);
    } else {
      this.#absent.delete(id);
    }
    this.#items.set(id, record && item);
    if (record) {
      this.#records.set(id, record);
    }
    const ops = operationsOf(id, records.interfaces.get(id)?.value, record?.value);
    if (ops.length > 0) {
      this.#unwritten.add(id);
    } else {
      this.#unwritten.delete(id);
    }
    return ops;
  }
}
