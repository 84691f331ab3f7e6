/** Makes events for the differences between the interfaces of two plans. */
import type { EventDraft } from '@mirrorplane/contract';
import { forDiffering } from '@mirrorplane/planner';
import { tellContests } from '../inventory/contests.ts';
import type { Merged } from '../inventory/inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { interfaceStep, type Whereabouts } from './interface-changes.ts';

export class InterfaceWatch {
  readonly #live: LiveNodes;
  readonly #interfaces = new Map<string, Whereabouts>();
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
      if (item === undefined) {
        this.#interfaces.delete(id);
        return;
      }
      const { events, next } = interfaceStep(this.#interfaces.get(id), item);
      drafts.push(...events);
      this.#interfaces.set(id, next);
    });
    this.#last = interfaces;
    drafts.push(...tellContests(contests, this.#live));
    const isNews = !this.#first;
    this.#first = false;
    return isNews ? drafts : [];
  }
}
