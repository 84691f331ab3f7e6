/** The indexed inventory, and the queries of validation, planning and status. */
import type { Inventory } from '@mirrorplane/contract';
import { sortedBy } from './order.ts';

export type ClusterInterface = Inventory['interfaces'][number];
export type ClusterNode = Inventory['nodes'][number];

/**
 * What a reader of the cluster may ask of a map. Who reads a whole map cannot be told what of it
 * has changed.
 */
export type LookUp<V> = Pick<ReadonlyMap<string, V>, 'get' | 'has'>;

/** An inventory with look-ups by name. Lists are sorted. */
export interface Cluster {
  interfaces: LookUp<ClusterInterface>;
  nodes: LookUp<ClusterNode>;
  nodesOfPool: LookUp<readonly string[]>;
  domainOfPool: LookUp<string>;
  /** Names of pools that demand encrypted copies. */
  encryptedPools: LookUp<true>;
  /** By interface: the node that it has just left, where its device is already gone. */
  origins: LookUp<string>;
}

/** Whether a pool demands encrypted copies. */
export function encrypts({ underlay }: Inventory['pools'][number]): boolean {
  return underlay === 'wireguard';
}

/** Reads every list of the inventory once. */
export function indexCluster(inventory: Inventory, origins: ReadonlyMap<string, string> = new Map()): Cluster {
  const nodesOfPool = new Map<string, string[]>();
  const nodes = sortedBy(inventory.nodes, (node) => node.name);
  for (const { name, pool } of nodes) {
    const list = nodesOfPool.get(pool);
    if (list) {
      list.push(name);
    } else {
      nodesOfPool.set(pool, [name]);
    }
  }
  return {
    interfaces: new Map(sortedBy(inventory.interfaces, ({ id }) => id).map((item) => [item.id, item])),
    nodes: new Map(nodes.map((node) => [node.name, node])),
    nodesOfPool,
    domainOfPool: new Map(inventory.pools.map((pool) => [pool.name, pool.domain])),
    encryptedPools: new Map(inventory.pools.filter(encrypts).map(({ name }) => [name, true])),
    origins,
  };
}

/**
 * The home node of an interface: for an edge the declared node, else the node of the guest, else
 * the node of the newest device.
 */
export function homeNode(item: ClusterInterface): string | undefined {
  return item.edge?.node ?? item.home ?? item.devices.at(-1)?.node;
}

/**
 * The other nodes where a migrating interface has a device, apart from its home. `target`: the
 * device is newer than the one at home. `origin`: it is older. Empty for an interface that does not
 * migrate.
 */
export function handoverNodes(item: ClusterInterface): { node: string; role: 'origin' | 'target' }[] {
  const home = homeNode(item);
  const at = item.devices.findIndex(({ node }) => node === home);
  if (item.edge || at < 0) {
    return [];
  }
  return item.devices.flatMap(({ node }, index) =>
    node === home ? [] : [{ node, role: index > at ? ('target' as const) : ('origin' as const) }],
  );
}

/**
 * The nodes where the interface has a device now, sorted. A device of an edge counts on its
 * declared node only.
 */
export function deviceNodes(item: ClusterInterface): string[] {
  const names = new Set(item.devices.map((device) => device.node));
  const edgeNode = item.edge?.node;
  return sortedBy(
    [...names].filter((node) => edgeNode === undefined || node === edgeNode),
    (node) => node,
  );
}

/** Whether the interface has a device now that counts. */
export function hasDevice({ devices, edge }: ClusterInterface): boolean {
  return devices.some(({ node }) => edge === undefined || node === edge.node);
}

/** The pool that the interface belongs to now, or the last one known. */
export function homePool(cluster: Cluster, item: ClusterInterface): string | undefined {
  const node = homeNode(item) ?? item.boundTo;
  return (node === undefined ? undefined : cluster.nodes.get(node)?.pool) ?? item.pool;
}

/**
 * Every pool where the interface has a device now (two during a migration between pools), or the
 * last one known.
 */
export function currentPools(cluster: Cluster, item: ClusterInterface): string[] {
  const pools = new Set<string>();
  for (const node of deviceNodes(item)) {
    const pool = cluster.nodes.get(node)?.pool;
    if (pool !== undefined) {
      pools.add(pool);
    }
  }
  if (pools.size === 0) {
    const last = homePool(cluster, item);
    return last === undefined ? [] : [last];
  }
  return sortedBy(pools, (pool) => pool);
}

/**
 * The communication domain that the interface belongs to. Undefined where its pool is not known.
 */
export function homeDomain(cluster: Cluster, item: ClusterInterface): string | undefined {
  const pool = homePool(cluster, item);
  return pool === undefined ? undefined : cluster.domainOfPool.get(pool);
}
