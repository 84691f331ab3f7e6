/** The simulated cluster: which nodes, pools, interfaces and policies there are. Pure. */

/** Nodes of one resource pool. */
export const POOL_NODES = 50;

/** Size of a simulated cluster. */
export interface Size {
  nodes: number;
  /** Interfaces of each node that are sources of the policy of that node. */
  interfaces: number;
}

/** A node, by its number from 1. */
export const nodeName = (node: number) => `node-${node}`;

/** The number of the pool of a node, from 1. */
export const poolOf = (node: number) => Math.ceil(node / POOL_NODES);

export const poolName = (pool: number) => `pool-${pool}`;

/** The numbers of the nodes of a pool, the first and the last. */
export function nodesOf(pool: number, { nodes }: Size): { first: number; last: number } {
  return { first: (pool - 1) * POOL_NODES + 1, last: Math.min(pool * POOL_NODES, nodes) };
}

/** Number of pools. */
export const poolsOf = ({ nodes }: Size) => poolOf(nodes);

/** An interface that begins on a node, and is a source of the policy of that node. */
export const sourceId = (node: number, source: number) => `vm-${node}-${source}/0`;

/** The destination of the policy of a node. */
export const destinationId = (node: number) => `ids-${node}/0`;

/** The node of a destination: the next one of the same pool, so that copies leave their node. */
export function destinationNode(node: number, size: Size): number {
  const { first, last } = nodesOf(poolOf(node), size);
  return node === last ? first : node + 1;
}

export const policyName = (node: number) => `p-${node}`;

/** The uid of the policy of a node. */
export const policyUid = (node: number) => `uid-p-${node}`;

/** The number that a packet is compared with, of a percentage: as agents compute it. */
export const thresholdOf = (percent: number) => Math.round((percent / 100) * 2 ** 32);
