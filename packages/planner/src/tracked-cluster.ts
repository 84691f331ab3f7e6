/** An indexed inventory that stays from one plan to the next, and takes over what differs. */
import type { EdgeBinding, Inventory } from '@mirrorplane/contract';
import { type Cluster, type ClusterInterface, type ClusterNode, encrypts } from './cluster.ts';
import { sortedBy } from './order.ts';
import { forDiffering } from './sorted-lists.ts';
import { TrackedTable, type Tracker } from './tracked.ts';

/** Whether two values are written the same. */
export function isSameText(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

export class TrackedCluster implements Cluster {
  readonly interfaces: TrackedTable<ClusterInterface>;
  readonly nodes: TrackedTable<ClusterNode>;
  readonly nodesOfPool: TrackedTable<readonly string[]>;
  readonly domainOfPool: TrackedTable<string>;
  readonly encryptedPools: TrackedTable<true>;
  readonly origins: TrackedTable<string>;
  /** Names of all nodes, sorted. It is another array whenever a node or a pool differs. */
  nodeNames: readonly string[] = [];
  /** Edges of each node, sorted by interface. A list is replaced if an edge of it differs. */
  readonly edges = new Map<string, readonly EdgeBinding[]>();
  #last: readonly ClusterInterface[] = [];

  constructor(tracker: Tracker) {
    this.interfaces = new TrackedTable<ClusterInterface>(tracker, isSameText);
    this.nodes = new TrackedTable<ClusterNode>(tracker, isSameText);
    this.nodesOfPool = new TrackedTable<readonly string[]>(tracker, isSameText);
    this.domainOfPool = new TrackedTable<string>(tracker, isSameText);
    this.encryptedPools = new TrackedTable<true>(tracker, isSameText);
    this.origins = new TrackedTable<string>(tracker, isSameText);
  }

  /** Takes over an inventory. Lists that are sorted, and objects that have stayed, make it fast. */
  update(inventory: Inventory, origins: ReadonlyMap<string, string>): void {
    this.#takeInterfaces(inventory.interfaces);
    this.#takeNodes(inventory);
    for (const [id, node] of origins) {
      this.origins.set(id, node);
    }
    this.origins.keepOnly(new Set(origins.keys()));
  }

  #takeInterfaces(items: readonly ClusterInterface[]): void {
    forDiffering(this.#last, items, (id, item) => this.#takeInterface(id, item));
    this.#last = items;
  }

  #takeInterface(id: string, item: ClusterInterface | undefined): void {
    const before = this.interfaces.get(id);
    if (this.interfaces.set(id, item)) {
      this.#moveEdge(id, before, item);
    }
  }

  #moveEdge(id: string, before: ClusterInterface | undefined, now: ClusterInterface | undefined): void {
    if (before?.edge) {
      const { node } = before.edge;
      this.edges.set(
        node,
        (this.edges.get(node) ?? []).filter((edge) => edge.interface !== id),
      );
    }
    if (now?.edge) {
      const { node, device, mac } = now.edge;
      const binding = { interface: id, ...(device !== undefined && { device }), ...(mac !== undefined && { mac }) };
      this.edges.set(
        node,
        sortedBy([...(this.edges.get(node) ?? []), binding], (edge) => edge.interface),
      );
    }
  }

  #takeNodes({ nodes, pools }: Inventory): void {
    let differs = false;
    for (const pool of pools) {
      differs = this.domainOfPool.set(pool.name, pool.domain) || differs;
      this.encryptedPools.set(pool.name, encrypts(pool) || undefined);
    }
    this.encryptedPools.keepOnly(new Set(pools.map(({ name }) => name)));
    this.domainOfPool.keepOnly(new Set(pools.map(({ name }) => name)), () => {
      differs = true;
    });
    for (const node of nodes) {
      differs = this.nodes.set(node.name, node) || differs;
    }
    this.nodes.keepOnly(new Set(nodes.map(({ name }) => name)), () => {
      differs = true;
    });
    if (!differs) {
      return;
    }
    const sorted = sortedBy(nodes, ({ name }) => name);
    this.nodeNames = sorted.map(({ name }) => name);
    const byPool = Map.groupBy(sorted, ({ pool }) => pool);
    for (const [pool, members] of byPool) {
      this.nodesOfPool.set(
        pool,
        members.map(({ name }) => name),
      );
    }
    this.nodesOfPool.keepOnly(new Set(byPool.keys()));
  }
}
