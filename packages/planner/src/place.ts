/** Where a policy has to act: its destination node and, for each source, the nodes that capture it. */
import { type Params, type Policy, type StatusReason, say } from '@mirrorplane/contract';
import { type Cluster, type ClusterInterface, currentPools, deviceNodes, handoverNodes, homeNode } from './cluster.ts';
import { policyType } from './kinds.ts';
import { unencrypted } from './tunnels.ts';

/** One source, and the nodes that capture it. */
export interface SourcePlacement {
  id: string;
  /** Position among the sources of the policy. */
  slot: number;
  kind: ClusterInterface['kind'];
  /** Nodes that get a capture. Most sources of a policy have the same list, as one object. */
  captureNodes: readonly string[];
  /** Nodes where it has a device now, sorted. */
  deviceNodes: string[];
}

/** The nodes of a policy, before session numbers are allocated. */
export interface Placement {
  policy: Policy;
  destination?: ClusterInterface;
  /** Undefined while the destination has no node. Also set for a disabled policy. */
  destinationNode?: string;
  /** Other nodes where a migrating destination has a device. Empty for a disabled policy. */
  destinationHandovers: ReturnType<typeof handoverNodes>;
  sources: SourcePlacement[];
  reasons: StatusReason[];
}

/**
 * Places one policy. Captures on nodes other than the destination's still need a session number.
 */
export function place(policy: Policy, cluster: Cluster): Placement {
  const destination = cluster.interfaces.get(policy.destination);
  const destinationNode = destination && homeNode(destination);
  const placement: Placement = {
    policy,
    ...(destination && { destination }),
    ...(destinationNode !== undefined && { destinationNode }),
    destinationHandovers: [],
    sources: [],
    reasons: [],
  };
  if (!policy.enabled) {
    return placement;
  }
  const { target, reasons } = findTarget(policy, destination, destinationNode, cluster);
  const reach = target && new Reach(target, cluster);
  for (const [slot, id] of policy.sources.entries()) {
    const item = cluster.interfaces.get(id);
    if (!item) {
      reasons.push({ ...say('SOURCE_ABSENT', { gone: id }), interface: id });
      continue;
    }
    const devices = deviceNodes(item);
    if (devices.length === 0) {
      reasons.push({ ...say('SOURCE_ABSENT', absence(item)), interface: id });
    }
    const captures = reach ? captureNodesOf(item, devices, reach) : { nodes: [], reasons: [] };
    reasons.push(...captures.reasons);
    placement.sources.push({ id, slot, kind: item.kind, captureNodes: captures.nodes, deviceNodes: devices });
  }
  const reachable = (node: string) => {
    const known = cluster.nodes.get(node);
    const isNear = target?.hasUnderlay && known?.underlay && cluster.domainOfPool.get(known.pool) === target.domain;
    return isNear && !unencrypted(node, target.node, cluster);
  };
  placement.destinationHandovers = target
    ? [...handoverNodes(target.item), ...lateOrigin(target, cluster)].filter(({ node }) => reachable(node))
    : [];
  placement.reasons = withoutRepetition(reasons);
  return placement;
}

/** The node that the destination has just left. Senders that do not know yet still send there. */
function lateOrigin({ item, node }: Target, { origins }: Cluster): Placement['destinationHandovers'] {
  const before = origins.get(item.id);
  const concerned = before !== undefined && before !== node && !deviceNodes(item).includes(before);
  return concerned ? [{ node: before, role: 'origin' }] : [];
}

/** Removes repeated reasons: a node that blocks 40 sources is named once. */
function withoutRepetition(reasons: readonly StatusReason[]): StatusReason[] {
  const seen = new Map<string, StatusReason>();
  for (const reason of reasons) {
    const key = JSON.stringify([reason.code, reason.interface, reason.node]);
    seen.set(key, seen.get(key) ?? reason);
  }
  return [...seen.values()];
}

interface Target {
  item: ClusterInterface;
  node: string;
  pool: string;
  domain: string | undefined;
  hasUnderlay: boolean;
}

/** The destination as the sources see it. Without a target, nothing is captured for it. */
function findTarget(
  policy: Policy,
  item: ClusterInterface | undefined,
  node: string | undefined,
  cluster: Cluster,
): { target?: Target; reasons: StatusReason[] } {
  const id = policy.destination;
  if (!item) {
    return { reasons: [{ ...say('DESTINATION_ABSENT', { gone: id }), interface: id }] };
  }
  // An edge is planned before its device is reported, because the agent finds the device itself.
  const reasons: StatusReason[] = [];
  if (deviceNodes(item).length === 0) {
    reasons.push({ ...say('DESTINATION_ABSENT', absence(item)), interface: id });
  }
  if (node === undefined) {
    return { reasons };
  }
  const known = cluster.nodes.get(node);
  if (!known) {
    reasons.push({ ...say('NODE_UNDERLAY_UNKNOWN', { end: node }), node });
    return { reasons };
  }
  if (item.kind === 'edge') {
    if (policy.vlanId === undefined) {
      reasons.push({ ...say('POLICY_VLAN_REQUIRED', { interface: id }), interface: id });
      return { reasons };
    }
    if (item.edge?.allowedVlans?.includes(policy.vlanId) === false) {
      const { vlanId } = policy;
      reasons.push({ ...say('POLICY_VLAN_NOT_IN_TRUNK', { interface: id, vlanId }), interface: id });
    }
  }
  const domain = cluster.domainOfPool.get(known.pool);
  const target = { item, node, pool: known.pool, domain, hasUnderlay: known.underlay !== undefined };
  return { target, reasons };
}

/** Why an interface has no device. A tap that was created again may lack its alias. */
function absence({ id, kind, boundTo, contested = [] }: ClusterInterface): Params {
  if (boundTo !== undefined && contested.length > 0) {
    return { interface: id, boundTo, claimants: [...contested] };
  }
  return kind === 'edge' ? { edge: id } : { interface: id };
}

/**
 * The nodes that capture a source: all nodes of its pools that may reach the destination and have
 * an underlay.
 */
function captureNodesOf(
  item: ClusterInterface,
  devices: readonly string[],
  reach: Reach,
): { nodes: readonly string[]; reasons: StatusReason[] } {
  const { target, cluster } = reach;
  if (policyType([item.kind], target.item.kind) === undefined) {
    const both = { interface: item.id, destination: target.item.id };
    return { nodes: [], reasons: [{ ...say('POLICY_PHYSICAL_TO_VIRTUAL', both), interface: item.id }] };
  }
  const pools = currentPools(cluster, item).map((pool) => ({
    pool,
    barrier: crossDomain(pool, item, target, cluster),
  }));
  const allowed = pools.flatMap(({ pool, barrier }) => (barrier === undefined ? [pool] : []));
  const contested = new Set(item.contested);
  const only = item.kind === 'edge' ? [homeNode(item)] : item.boundTo === undefined ? undefined : [item.boundTo];
  const { nodes, lacking } = only ? reach.of(only, allowed) : reach.ofPools(allowed);
  // A node without a device of the source gives no reasons: it captures nothing yet.
  const here = new Set(devices);
  const isOurs = (name: string) => !contested.has(name);
  const reasons = [
    ...pools.flatMap(({ barrier }) => barrier ?? []),
    ...[...lacking].flatMap(([name, reasonsOfNode]) => (here.has(name) && isOurs(name) ? reasonsOfNode : [])),
    ...devices.filter((name) => !cluster.nodes.has(name)).map((name) => unknownNode(name, item)),
  ];
  return { nodes: contested.size === 0 ? nodes : nodes.filter(isOurs), reasons };
}

/** Nodes that can send to a target, and why others cannot. */
interface Reached {
  nodes: readonly string[];
  lacking: ReadonlyMap<string, StatusReason[]>;
}

/** Which nodes can send to a target. Most sources of a policy are in one pool, which is looked at once. */
class Reach {
  readonly target: Target;
  readonly cluster: Cluster;
  readonly #known = new Map<string, Reached>();

  constructor(target: Target, cluster: Cluster) {
    this.target = target;
    this.cluster = cluster;
  }

  /** All nodes of these pools. The same object for the same pools. */
  ofPools(pools: readonly string[]): Reached {
    const key = JSON.stringify(pools);
    const names = () => pools.flatMap((pool) => this.cluster.nodesOfPool.get(pool) ?? []);
    const known = this.#known.get(key) ?? this.of(names(), pools);
    this.#known.set(key, known);
    return known;
  }

  /** Those of some nodes that are in these pools. */
  of(names: readonly (string | undefined)[], pools: readonly string[]): Reached {
    const nodes: string[] = [];
    const lacking = new Map<string, StatusReason[]>();
    for (const name of names) {
      const node = name === undefined ? undefined : this.cluster.nodes.get(name);
      if (node && pools.includes(node.pool)) {
        const reasons = lackingOf(node, this.target, this.cluster);
        if (reasons.length === 0) {
          nodes.push(node.name);
        } else {
          lacking.set(node.name, reasons);
        }
      }
    }
    return { nodes, lacking };
  }
}

/**
 * Why a source in this pool may not reach the destination; undefined where it may. The
 * communication domain is checked again here, because a source may have moved since the policy was
 * accepted. If the domain of a pool is unknown, only the pool of the destination is allowed.
 */
function crossDomain(pool: string, item: ClusterInterface, target: Target, cluster: Cluster): StatusReason | undefined {
  const domain = cluster.domainOfPool.get(pool);
  if (pool === target.pool || (domain !== undefined && domain === target.domain)) {
    return undefined;
  }
  const here = { interface: item.id, domain: domain ?? 'unknown', pool };
  const there = { destination: target.item.id, otherDomain: target.domain ?? 'unknown', otherPool: target.pool };
  return { ...say('POLICY_CROSS_DOMAIN', { ...here, ...there }), interface: item.id };
}

/**
 * Why the node cannot send to the destination: ends of the path without an underlay address, or
 * without the encryption that a pool demands. Empty: it can.
 */
function lackingOf(node: { name: string; underlay?: unknown }, target: Target, cluster: Cluster): StatusReason[] {
  if (node.name === target.node) {
    return [];
  }
  const unknown = [...(target.hasUnderlay ? [] : [target.node]), ...(node.underlay === undefined ? [node.name] : [])];
  if (unknown.length > 0) {
    return unknown.map(noAddress);
  }
  const { pool = '', nodes = [] } = unencrypted(node.name, target.node, cluster) ?? {};
  return nodes.map((name) => ({ ...say('WIREGUARD_MISSING', { node: name, pool }), node: name }));
}

function noAddress(node: string): StatusReason {
  return { ...say('NODE_UNDERLAY_UNKNOWN', { node }), node };
}

function unknownNode(node: string, { id }: ClusterInterface): StatusReason {
  return { ...say('NODE_UNDERLAY_UNKNOWN', { node, interface: id }), node };
}
