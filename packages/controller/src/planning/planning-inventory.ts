/**
 * The inventory that planning reads, and who is believed to have each interface. Kept, and brought
 * up to date.
 */
import type { Interface } from '@mirrorplane/contract';
import { recordsOf } from '../inventory/inventory.ts';
import { JudgedPlaces, type PlacesNews } from '../inventory/judged-places.ts';
import { ObservedInventory, type ObservedNow } from '../inventory/observed-inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { policiesOf } from '../store/policies.ts';
import type { View } from '../store/view.ts';

export class PlanningInventory {
  readonly #view: View;
  readonly #live: LiveNodes;
  /** Where interfaces are, for all who have to know. */
  readonly places: JudgedPlaces;
  readonly #news: () => PlacesNews;
  #observed: ObservedInventory | undefined;
  #named: { changes: number; ids: ReadonlySet<string> } | undefined;

  constructor(view: View, live: LiveNodes) {
    this.#view = view;
    this.#live = live;
    this.places = new JudgedPlaces(view, live);
    this.#news = this.places.reader();
  }

  /** An interface as planning knows it. */
  get(id: string): Interface | undefined {
    return this.#observed?.get(id);
  }

  /** Forgets everything: the next look is one at all. */
  reset(): void {
    this.places.reset();
  }

  /** The inventory of this moment, and the operations that make the records so. */
  now(): ObservedNow {
    const { places, concerned, isNew } = this.#news();
    const isFirst = isNew || this.#observed === undefined;
    const observed = isFirst ? new ObservedInventory(places) : this.#observed!;
    this.#observed = observed;
    return observed.update(recordsOf(this.#view), this.#live, {
      concerned,
      named: { has: (id) => this.#isNamed(id) },
      now: this.#live.now(),
    });
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
