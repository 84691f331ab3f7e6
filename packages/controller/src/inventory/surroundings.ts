/**
 * Domains, pools and nodes of an inventory, kept from one moment to the next. What is the same stays
 * the same object.
 */
import type { Inventory } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { type Records, surroundingsOf } from './inventory.ts';

type All = Omit<Inventory, 'interfaces'>;

export class Surroundings {
  #last: All = { domains: [], pools: [], nodes: [] };

  /** All of the inventory but its interfaces, sorted by name. */
  of(records: Records, live: LiveNodes): All {
    const { domains, pools, nodes } = surroundingsOf(records, live);
    this.#last = {
      domains: sameWhereEqual(this.#last.domains, domains, (a, b) => a.name === b.name),
      pools: sameWhereEqual(this.#last.pools, pools, (a, b) => a.domain === b.domain && a.underlay === b.underlay),
      nodes: sameWhereEqual(this.#last.nodes, nodes, (a, b) => a.pool === b.pool && a.underlay === b.underlay),
    };
    return this.#last;
  }
}

/**
 * The list `now`, with the objects of `before` that are equal; `before` itself where all are. Both
 * are sorted.
 */
function sameWhereEqual<T extends { name: string }>(
  before: readonly T[],
  now: readonly T[],
  isEqual: (a: T, b: T) => boolean,
): readonly T[] {
  let at = 0;
  const result = now.map((item) => {
    while (at < before.length && before[at]!.name < item.name) {
      at++;
    }
    const known = before[at];
    return known?.name === item.name && isEqual(known, item) ? known : item;
  });
  const isSame = result.length === before.length && result.every((item, index) => item === before[index]);
  return isSame ? before : result;
}
