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
  /** Nodes that get a capture. */
  captureNodes: string[];
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
    const captures = target ? captureNodesOf(item, devices, target, cluster) : { nodes: [], reasons: [] };
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
  target: Target,
  cluster: Cluster,
): { nodes: string[]; reasons: StatusReason[] } {
  if (policyType([item.kind], target.item.kind) === undefined) {
    const both = { interface: item.id, destination: target.item.id };
    return { nodes: [], reasons: [{ ...say('POLICY_PHYSICAL_TO_VIRTUAL', both), interface: item.id }] };
  }
  const pools = currentPools(cluster, item).map((pool) => ({
    pool,
    barrier: crossDomain(pool, item, target, cluster),
  }));
  const allowed = new Set(pools.filter(({ barrier }) => barrier === undefined).map(({ pool }) => pool));
  const isEdge = item.kind === 'edge';
  const contested = new Set(item.contested);
  const only = isEdge ? homeNode(item) : item.boundTo;
  const candidates =
    only !== undefined || isEdge ? [only] : [...allowed].flatMap((pool) => cluster.nodesOfPool.get(pool) ?? []);
  const ours = candidates.flatMap((name) => {
    const node = name === undefined ? undefined : cluster.nodes.get(name);
    const isOurs = node !== undefined && allowed.has(node.pool) && !contested.has(node.name);
    return isOurs ? [{ name: node.name, lacking: lackingOf(node, target, cluster) }] : [];
  });
  // A node without a device of the source gives no reasons: it captures nothing yet.
  const here = new Set(devices);
  const reasons = [
    ...pools.flatMap(({ barrier }) => barrier ?? []),
    ...ours.flatMap(({ name, lacking }) => (here.has(name) ? lacking : [])),
    ...devices.filter((name) => !cluster.nodes.has(name)).map((name) => unknownNode(name, item)),
  ];
  return { nodes: ours.filter(({ lacking }) => lacking.length === 0).map(({ name }) => name), reasons };
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
