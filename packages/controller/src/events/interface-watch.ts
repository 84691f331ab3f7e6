/** Makes events for the differences between the interfaces of two plans. */
import type { EventDraft } from '@mirrorplane/contract';
import { tellContests } from '../inventory/contests.ts';
import type { Merged } from '../inventory/inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { interfaceStep, type Whereabouts } from './interface-changes.ts';

export class InterfaceWatch {
  readonly #live: LiveNodes;
  readonly #interfaces = new Map<string, Whereabouts>();
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
    const present = new Set<string>();
    for (const item of interfaces) {
      const { events, next } = interfaceStep(this.#interfaces.get(item.id), item);
      present.add(item.id);
      drafts.push(...events);
      this.#interfaces.set(item.id, next);
    }
    for (const id of this.#interfaces.keys()) {
      if (!present.has(id)) {
        this.#interfaces.delete(id);
      }
    }
    drafts.push(...tellContests(contests, this.#live));
    const isNews = !this.#first;
    this.#first = false;
    return isNews ? drafts : [];
  }
}
