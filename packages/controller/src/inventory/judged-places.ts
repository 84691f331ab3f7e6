/**
 * Where interfaces are and whose claims are accepted, kept for several readers. Each reader learns
 * what may have changed since it looked last.
 */
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { recordsOf } from './inventory.ts';
import { KeptPlaces } from './kept-places.ts';

/** What a reader has to look at again. */
export interface PlacesNews {
  places: KeptPlaces;
  /** Interfaces that may be elsewhere, or have another record. */
  concerned: ReadonlySet<string>;
  /** Everything was made from nothing: what the reader knows of other interfaces is void. */
  isNew: boolean;
}

interface Kept {
  places: KeptPlaces;
  /** `changesOf('interfaces')` of the last look. */
  records: number;
  /** `LiveNodes.changes` of the last look. */
  said: number;
  /** What pools and domains of nodes follow from, at the last look. */
  pools: string;
}

export class JudgedPlaces {
  readonly #view: View;
  readonly #live: LiveNodes;
  #kept: Kept | undefined;
  readonly #readers: { concerned: Set<string>; isNew: boolean }[] = [];

  constructor(view: View, live: LiveNodes) {
    this.#view = view;
    this.#live = live;
  }

  /** Forgets everything: the next look is one at all. */
  reset(): void {
    this.#kept = undefined;
  }

  /**
   * Decides again which claims of nodes are accepted, where something has changed.
   * @returns the places of this moment
   */
  judge(): KeptPlaces {
    const records = recordsOf(this.#view);
    const count = this.#view.changesOf('interfaces');
    const changed = this.#kept && this.#view.changedSince('interfaces', this.#kept.records);
    const isNew = !this.#kept || !changed;
    const places = isNew ? new KeptPlaces() : this.#kept!.places;
    const said = this.#live.changes;
    const pools = `${this.#view.changesOf('nodes')} ${this.#view.changesOf('pools')}`;
    const nodes = isNew || this.#kept!.pools !== pools ? undefined : this.#live.changedSince(this.#kept!.said);
    const concerned = places.update(records, this.#live, changed ?? records.interfaces.keys(), nodes);
    const grants = new Map([...concerned].map((id) => [id, places.place(id)?.granted ?? []]));
    const { claims } = this.#live;
    if (isNew) {
      claims.grant(grants);
    } else {
      claims.grantOf(grants);
    }
    for (const reader of this.#readers) {
      reader.isNew ||= isNew;
      for (const id of concerned) {
        reader.concerned.add(id);
      }
    }
    this.#kept = { places, records: count, said, pools };
    return places;
  }

  /** A reader. What it returns is up to date, and is told once. */
  reader(): () => PlacesNews {
    const reader = { concerned: new Set<string>(), isNew: true };
    this.#readers.push(reader);
    return () => {
      const places = this.judge();
      const news = { places, concerned: reader.concerned, isNew: reader.isNew };
      reader.concerned = new Set();
      reader.isNew = false;
      return news;
    };
  }
}
