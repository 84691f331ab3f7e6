/**
 * The inventory that planning reads, and who is believed to have each interface. Kept, and brought
 * up to date.
 */

import { recordsOf } from '../inventory/inventory.ts';
import { KeptPlaces } from '../inventory/kept-places.ts';
import { ObservedInventory, type ObservedNow } from '../inventory/observed-inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { policiesOf } from '../store/policies.ts';
import type { View } from '../store/view.ts';

/** What is kept, and of when it is. */
interface Kept {
  places: KeptPlaces;
  observed: ObservedInventory;
  /** `changesOf('interfaces')` of the last look. */
  records: number;
  /** Interfaces that `observed` has to look at. */
  concerned: Set<string>;
}

export class PlanningInventory {
  readonly #view: View;
  readonly #live: LiveNodes;
  #kept: Kept | undefined;
  #named: { changes: number; ids: ReadonlySet<string> } | undefined;

  constructor(view: View, live: LiveNodes) {
    this.#view = view;
    this.#live = live;
  }

  /** Forgets everything: the next look is one at all. */
  reset(): void {
    this.#kept = undefined;
  }

  /** Decides anew which claims of nodes are accepted, where something has changed. */
  judge(): void {
    const records = recordsOf(this.#view);
    const count = this.#view.changesOf('interfaces');
    const changed = this.#kept && this.#view.changedSince('interfaces', this.#kept.records);
    const kept = this.#kept && changed ? this.#kept : newlyKept();
    const concerned = kept.places.update(records, this.#live, changed ?? records.interfaces.keys());
    const grants = new Map([...concerned].map((id) => [id, kept.places.place(id)?.granted ?? []]));
    const { claims } = this.#live;
    if (this.#kept && changed) {
      claims.grantOf(grants);
    } else {
      claims.grant(grants);
    }
    for (const id of concerned) {
      kept.concerned.add(id);
    }
    this.#kept = { ...kept, records: count };
  }

  /** The inventory of this moment, and the operations that make the records so. */
  now(): ObservedNow {
    this.judge();
    const { observed, concerned } = this.#kept!;
    const result = observed.update(recordsOf(this.#view), this.#live, {
      concerned,
      named: { has: (id) => this.#isNamed(id) },
      now: this.#live.now(),
    });
    concerned.clear();
    return result;
  }

  /** Whether a policy names the interface. */
  #isNamed(id: string): boolean {
    const changes = this.#view.changesOf('policies');
    if (this.#named?.changes !== changes) {
      const ids = policiesOf(this.#view).flatMap(({ sources, destination }) => [...sources, destination]);
      this.#named = { changes, ids: new Set(ids) };
    }
    return this.#named.ids.has(id);
  }
}

function newlyKept(): Kept {
  const places = new KeptPlaces();
  return { places, observed: new ObservedInventory(places), records: 0, concerned: new Set() };
}
