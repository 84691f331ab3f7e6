/** Nodes as a controller finds them at its start. */
import type { JudgedPlaces } from '../inventory/judged-places.ts';
import { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { PlanningInventory } from './planning-inventory.ts';

/** What is known of nodes, and what follows of it for interfaces. */
export interface StoredNodes {
  live: LiveNodes;
  observed: PlanningInventory;
  places: JudgedPlaces;
}

/**
 * Makes both from what the store has.
 * @param clock milliseconds since 1970
 * @param steady a clock that never goes back, milliseconds
 */
export function openNodes(view: View, clock: () => number, steady: () => number): StoredNodes {
  const live = new LiveNodes(clock, steady);
  const observed = new PlanningInventory(view, live);
  const { places } = observed;
  live.claims.judgeBy(() => void places.judge());
  const states = view.take('nodeStates');
  for (const [name, { value }] of view.all('nodes')) {
    const state = states.get(name);
    if (state) {
      live.restore(name, state.value);
    }
    if (value.revoked) {
      live.admission(name, true);
    }
  }
  return { live, observed, places };
}
