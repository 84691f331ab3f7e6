/** From policies and inventory to one node program for every node. */
import type { Inventory, Policy } from '@mirrorplane/contract';
import type { Plan } from './planned.ts';
import { Planner } from './planner.ts';
import type { Chance, Sessions } from './sessions.ts';

/**
 * Plans all policies. Equal input in any order gives equal output; `plan` with the sessions that it
 * returned gives the same again. A `Planner` gives the same, and remembers what it has planned.
 *
 * @param sessions those of the plan before; empty the first time
 * @param origins for each interface that has just moved, the node that it left. If the interface is
 * a destination, that node relays copies that senders still send there
 * @param chance for new numbers and secrets of sessions. Left out: numbers begin with 1, and have no secret
 */
export function plan(
  policies: readonly Policy[],
  inventory: Inventory,
  sessions: Sessions = {},
  origins: ReadonlyMap<string, string> = new Map(),
  chance?: Chance,
): Plan {
  return new Planner().plan(policies, inventory, { sessions, origins, chance });
}
