/** Where a policy has to act: its destination node and, for each source, the nodes that capture it. */
import type { ErrorCode, Policy, StatusReason } from '@mirrorplane/contract';
import { type Cluster, type ClusterInterface, currentPools, deviceNodes, handoverNodes, homeNode } from './cluster.ts';
import { policyType } from './kinds.ts';

/** One source that is captured somewhere, or would be. */
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

/** A policy on the map, before session numbers are given out. */
export interface Placement {
  policy: Policy;
  destination?: ClusterInterface;
  /** Set where the destination is somewhere now, also for a disabled policy. */
  destinationNode?: string;
  /** Where a migrating destination has a device too; empty for a disabled policy. */
  destinationHandovers: ReturnType<typeof handoverNodes>;
  sources: SourcePlacement[];
  reasons: StatusReason[];
}

/** Places one policy. Its captures on other nodes than the destination's still need a session number. */
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
  const reasons = new Reasons();
  const target = findTarget(policy, destination, destinationNode, cluster, reasons);
  for (const [slot, id] of policy.sources.entries()) {
    const item = cluster.interfaces.get(id);
    if (!item) {
      reasons.add('SOURCE_ABSENT', `there is no interface "${id}" any more: take it out of the sources`, {
        interface: id,
      });
      continue;
    }
    const devices = deviceNodes(item);
    if (devices.length === 0) {
      reasons.add('SOURCE_ABSENT', `"${id}" has no device now: ${absenceRemedy(item)}`, { interface: id });
    }
    const captureNodes = target ? captureNodesOf(item, devices, target, cluster, reasons) : [];
    placement.sources.push({ id, slot, kind: item.kind, captureNodes, deviceNodes: devices });
  }
  const reachable = (node: string) => {
    const known = cluster.nodes.get(node);
    return target?.hasUnderlay && known?.underlay && cluster.domainOfPool.get(known.pool) === target.domain;
  };
  placement.destinationHandovers = target
    ? [...handoverNodes(target.item), ...lateOrigin(target, cluster)].filter(({ node }) => reachable(node))
    : [];
  placement.reasons = reasons.list;
  return placement;
}

/** The node that the destination left a moment ago: senders that do not know yet still send there. */
function lateOrigin({ item, node }: Target, { origins }: Cluster): Placement['destinationHandovers'] {
  const before = origins.get(item.id);
  const concerned = before !== undefined && before !== node && !deviceNodes(item).includes(before);
  return concerned ? [{ node: before, role: 'origin' }] : [];
}

/** Reasons without repetition: a node that stands in the way of 40 sources is named once. */
class Reasons {
  readonly list: StatusReason[] = [];
  readonly #seen = new Set<string>();

  add(code: ErrorCode, message: string, about: { interface?: string; node?: string } = {}): void {
    const key = JSON.stringify([code, about.interface, about.node]);
    if (!this.#seen.has(key)) {
      this.#seen.add(key);
      this.list.push({ code, message, ...about });
    }
  }
}

interface Target {
  item: ClusterInterface;
  node: string;
  pool: string;
  domain: string | undefined;
  hasUnderlay: boolean;
}

/** The destination as the sources see it. Undefined where nothing can be captured for it. */
function findTarget(
  policy: Policy,
  item: ClusterInterface | undefined,
  node: string | undefined,
  cluster: Cluster,
  reasons: Reasons,
): Target | undefined {
  const id = policy.destination;
  if (!item) {
    reasons.add('DESTINATION_ABSENT', `there is no interface "${id}" any more: choose another destination`, {
      interface: id,
    });
    return undefined;
  }
  // An edge is planned for before its device is seen: the agent finds it by itself, also without the controller.
  if (deviceNodes(item).length === 0) {
    reasons.add('DESTINATION_ABSENT', `"${id}" has no device now: ${absenceRemedy(item)}`, { interface: id });
  }
  if (node === undefined) {
    return undefined;
  }
  const known = cluster.nodes.get(node);
  if (!known) {
    const message = `node "${node}" of the destination is not known: start its agent`;
    reasons.add('NODE_UNDERLAY_UNKNOWN', message, { node });
    return undefined;
  }
  if (item.kind === 'edge') {
    if (policy.vlanId === undefined) {
      const message = `"${id}" is an edge-connected interface: give the policy a vlanId`;
      reasons.add('POLICY_VLAN_REQUIRED', message, { interface: id });
      return undefined;
    }
    if (item.edge?.allowedVlans?.includes(policy.vlanId) === false) {
      const message = `"${id}" does not carry VLAN ${policy.vlanId} any more: extend its allowedVlans, or change the vlanId`;
      reasons.add('POLICY_VLAN_NOT_IN_TRUNK', message, { interface: id });
    }
  }
  const domain = cluster.domainOfPool.get(known.pool);
  return { item, node, pool: known.pool, domain, hasUnderlay: known.underlay !== undefined };
}

/** What may be done about an interface without device. A tap that was made again may lack its alias. */
function absenceRemedy({ id, kind, boundTo, contested = [] }: ClusterInterface): string {
  if (boundTo !== undefined && contested.length > 0) {
    const nodes = contested.map((node) => `"${node}"`).join(', ');
    return `it is bound to node "${boundTo}", and ${nodes} has it: bind it there, or "mirrorplane interface release ${id}"`;
  }
  if (kind === 'edge') return 'check the NIC and its declaration';
  return 'start the VM, attach its NIC, or set the identity of its device again';
}

/** The nodes that capture a source: its pools, as far as they may reach the destination and have an underlay for it. */
function captureNodesOf(
  item: ClusterInterface,
  devices: readonly string[],
  target: Target,
  cluster: Cluster,
  reasons: Reasons,
): string[] {
  if (policyType([item.kind], target.item.kind) === undefined) {
    const message = `"${item.id}" is an edge-connected interface and the destination "${target.item.id}" is not`;
    const remedy = 'choose an edge-connected interface as destination';
    reasons.add('POLICY_PHYSICAL_TO_VIRTUAL', `${message}: ${remedy}`, { interface: item.id });
    return [];
  }
  const pools = currentPools(cluster, item).filter((pool) => mayReach(pool, item, target, cluster, reasons));
  const allowed = new Set(pools);
  const here = new Set(devices);
  const isEdge = item.kind === 'edge';
  const contested = new Set(item.contested);
  const only = isEdge ? homeNode(item) : item.boundTo;
  const candidates =
    only !== undefined || isEdge ? [only] : pools.flatMap((pool) => cluster.nodesOfPool.get(pool) ?? []);
  const nodes = candidates.filter((name): name is string => {
    const node = name === undefined ? undefined : cluster.nodes.get(name);
    const ours = node !== undefined && allowed.has(node.pool) && !contested.has(node.name);
    return ours && canSend(node, here.has(node.name), target, reasons);
  });
  for (const name of devices) {
    if (!cluster.nodes.has(name)) {
      const message = `node "${name}", where "${item.id}" is, is not known: start its agent`;
      reasons.add('NODE_UNDERLAY_UNKNOWN', message, { node: name });
    }
  }
  return nodes;
}

/**
 * The communication domain is looked at again here, for a source may have moved since the policy was accepted. Where
 * the domain of a pool is not known, only the pool of the destination itself is trusted.
 */
function mayReach(pool: string, item: ClusterInterface, target: Target, cluster: Cluster, reasons: Reasons): boolean {
  const domain = cluster.domainOfPool.get(pool);
  if (pool === target.pool || (domain !== undefined && domain === target.domain)) {
    return true;
  }
  const here = `"${item.id}" is in communication domain "${domain ?? 'unknown'}" (pool "${pool}")`;
  const there = `the destination "${target.item.id}" in "${target.domain ?? 'unknown'}" (pool "${target.pool}")`;
  const remedy = 'move one of them, or change the policy';
  reasons.add('POLICY_CROSS_DOMAIN', `${here}, ${there}: ${remedy}`, { interface: item.id });
  return false;
}

function canSend(
  node: { name: string; underlay?: unknown },
  matters: boolean,
  target: Target,
  reasons: Reasons,
): boolean {
  if (node.name === target.node) {
    return true;
  }
  const lacking = target.hasUnderlay ? [] : [target.node];
  if (node.underlay === undefined) {
    lacking.push(node.name);
  }
  if (matters) {
    for (const name of lacking) {
      const remedy = 'give its agent a --mirror-device that is there and has an IPv4 address (see its problems)';
      const message = `node "${name}" has no address for ERSPAN: ${remedy}`;
      reasons.add('NODE_UNDERLAY_UNKNOWN', message, { node: name });
    }
  }
  return lacking.length === 0;
}
