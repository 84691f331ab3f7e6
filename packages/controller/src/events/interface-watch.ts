/** Makes events for the differences between the interfaces of two plans. */
import type { EventDraft, Interface } from '@mirrorplane/contract';
import { forDiffering, foundIn } from '@mirrorplane/planner';
import { tellContests } from '../inventory/contests.ts';
import type { Merged } from '../inventory/inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { interfaceStep, type Whereabouts } from './interface-changes.ts';

export class InterfaceWatch {
  readonly #live: LiveNodes;
  /** What an interface of the previous inventory does not say: where it was last, and where it is about to go. */
  readonly #remembered = new Map<string, Whereabouts>();
  /** Interfaces of the previous inventory. */
  #last: Merged['interfaces'] = [];
  #first = true;

  /** @param live gets the contests of each inventory */
  constructor(live: LiveNodes) {
    this.#live = live;
  }

  /**
   * Events for changes since the previous inventory. The state at the start of the controller
   * causes no events.
   */
  changes({ interfaces, contests }: Merged): EventDraft[] {
    const drafts: EventDraft[] = [];
    forDiffering(this.#last, interfaces, (id, item) => {
      const before = foundIn(this.#last, id);
      const known = this.#remembered.get(id) ?? (before && whereaboutsOf(before));
      this.#remembered.delete(id);
      if (item === undefined) {
        return;
      }
      const { events, next } = interfaceStep(known, item);
      drafts.push(...events);
      if (next.target !== undefined || next.home !== whereaboutsOf(item).home) {
        this.#remembered.set(id, next);
      }
    });
    this.#last = interfaces;
    drafts.push(...tellContests(contests, this.#live));
    const isNews = !this.#first;
    this.#first = false;
    return isNews ? drafts : [];
  }
}

/** What the interface itself says. */
function whereaboutsOf({ devices, home }: Interface): Whereabouts {
  return { devices, home: home ?? devices.at(-1)?.node };
}
