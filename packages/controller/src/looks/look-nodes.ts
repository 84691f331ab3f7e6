/** On which nodes a look is carried out. */
import type { CurrentInventory } from '../inventory/current-inventory.ts';

/** Nodes that have one of these interfaces, or have it soon because it migrates, in order. */
export function nodesOf(subjects: Iterable<string>, inventory: CurrentInventory): string[] {
  const { granted } = inventory.now();
  const nodes = new Set<string>();
  for (const id of subjects) {
    for (const node of granted.get(id) ?? []) {
      nodes.add(node);
    }
  }
  return [...nodes].sort();
}
