/**
 * Domains, pools and nodes of an inventory, kept from one moment to the next. What is the same stays
 * the same object.
 */
import type { Inventory } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { type Records, surroundingsOf, underlayOf } from './inventory.ts';

type All = Omit<Inventory, 'interfaces'>;

export class Surroundings {
  #last: All = { domains: [], pools: [], nodes: [] };
  #pools: ReadonlyMap<string, All['pools'][number]> = new Map();
  #nodes: ReadonlyMap<string, All['nodes'][number]> = new Map();

  /** All of the inventory but its interfaces, sorted by name. */
  of(records: Records, live: LiveNodes): All {
    if (this.#isStill(records, live)) {
      return this.#last;
    }
    const { domains, pools, nodes } = surroundingsOf(records, live);
    this.#last = {
      domains: sameWhereEqual(this.#last.domains, domains, (a, b) => a.name === b.name),
      pools: sameWhereEqual(this.#last.pools, pools, (a, b) => a.domain === b.domain && a.underlay === b.underlay),
      nodes: sameWhereEqual(this.#last.nodes, nodes, (a, b) => a.pool === b.pool && a.underlay === b.underlay),
    };
    this.#pools = new Map(this.#last.pools.map((pool) => [pool.name, pool]));
    this.#nodes = new Map(this.#last.nodes.map((node) => [node.name, node]));
    return this.#last;
  }

  /** Whether all is as it was. Nearly always it is: so nothing is made or sorted to see it. */
  #isStill({ domains, pools, nodes }: Records, live: LiveNodes): boolean {
    const { domains: known } = this.#last;
    return (
      known.length === domains.size &&
      known.every(({ name }) => domains.has(name)) &&
      this.#pools.size === pools.size &&
      pools.values().every(({ value }) => {
        const pool = this.#pools.get(value.name);
        return pool !== undefined && pool.domain === value.domain && pool.underlay === value.underlay;
      }) &&
      this.#nodes.size === nodes.size &&
      nodes.values().every(({ value }) => {
        const node = this.#nodes.get(value.name);
        return node !== undefined && node.pool === value.pool && node.underlay === underlayOf(value.name, live);
      })
    );
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
