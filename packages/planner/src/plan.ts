/** From policies and inventory to one node program for every node. */
import {
  type Capture,
  captureId,
  type Delivery,
  edgeDeliveryId,
  erspanDeliveryId,
  type Inventory,
  localDeliveryId,
  type Policy,
  type StatusReason,
  say,
} from '@mirrorplane/contract';
import { type Cluster, handoverNodes, homeNode, indexCluster } from './cluster.ts';
import { addCopyVlans } from './copy-vlans.ts';
import { byText, sortedBy } from './order.ts';
import { connect, type Path, prepareHandover } from './paths.ts';
import { type Placement, place } from './place.ts';
import { emptyPrograms, type PathPlan, type PlannedProgram } from './programs.ts';
import { allocateSessions, type Chance, MAX_SESSIONS_PER_NODE, type Sessions } from './sessions.ts';

/** One source of a policy: the nodes where it has a device now and is to be captured, sorted. */
export interface SourcePlan {
  interface: string;
  nodes: string[];
}

/**
 * The result of planning for one policy. The status is computed from it and from the agents'
 * reports.
 */
export interface PolicyPlan {
  uid: string;
  /** The node of the destination; undefined while the destination is nowhere. */
  destinationNode?: string;
  /** Reasons that follow from the inventory alone. Empty for a disabled policy. */
  reasons: StatusReason[];
  /** One for every source, in the order of the policy. */
  sources: SourcePlan[];
  /** Sorted by `from`. Also from nodes where a source may appear. */
  paths: PathPlan[];
}

/** The desired state of the whole cluster. Both maps are sorted by key. */
export interface Plan {
  /** Node name to program, for every node of the inventory. */
  programs: Map<string, PlannedProgram>;
  /** To be stored, and given to the next call. */
  sessions: Sessions;
  /** Policy uid to the result of planning. */
  policies: Map<string, PolicyPlan>;
}

/**
 * Plans all policies. Equal input in any order gives equal output; `plan` with the sessions that it
 * returned gives the same again.
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
  const cluster = indexCluster(inventory, origins);
  const placements = sortedBy(policies, ({ uid }) => uid).map((policy) => place(policy, cluster));
  const demands = placements.map((placement) => ({
    uid: placement.policy.uid,
    end: endOf(placement.policy),
    node: placement.destinationNode,
    needed: placement.sources.some(({ captureNodes }) =>
      captureNodes.some((node) => node !== placement.destinationNode),
    ),
    handoverNodes: placement.destinationHandovers.flatMap(({ node }) => [node, placement.destinationNode!]),
  }));
  const allocated = allocateSessions(sessions, demands, chance);
  const programs = emptyPrograms(cluster);
  addCopyVlans(policies, programs, cluster);
  const plans = placements.map((placement): [string, PolicyPlan] => {
    const { uid } = placement.policy;
    return [uid, carryOut(placement, allocated, programs, cluster)];
  });
  addBudgets(policies, programs);
  addStandby(policies, programs, cluster);
  for (const program of programs.values()) {
    for (const list of [program.captures, program.deliveries, program.terminations]) {
      list.sort((a, b) => byText(a.id, b.id));
    }
    program.standby.sort((a, b) => byText(a.interface, b.interface));
    program.handingOver.sort(byText);
  }
  return { programs, sessions: allocated.sessions, policies: new Map(plans) };
}

/** A budget is used where copies are made, so each node's delivery of the policy carries it. */
function addBudgets(policies: readonly Policy[], programs: ReadonlyMap<string, PlannedProgram>): void {
  const rates = new Map(policies.map(({ uid, maxRate }) => [uid, maxRate]));
  for (const delivery of [...programs.values()].flatMap(({ deliveries }) => deliveries)) {
    const maxRate = rates.get(delivery.policy);
    if (maxRate !== undefined) {
      delivery.maxRate = maxRate;
    }
  }
}

/**
 * Tells nodes which interfaces of policies have a device there while the guest is on another node.
 */
function addStandby(
  policies: readonly Policy[],
  programs: ReadonlyMap<string, PlannedProgram>,
  cluster: Cluster,
): void {
  const used = new Set(
    policies.flatMap(({ enabled, sources, destination }) => (enabled ? [...sources, destination] : [])),
  );
  for (const id of used) {
    const item = cluster.interfaces.get(id);
    const handovers = item ? handoverNodes(item) : [];
    for (const { node, role } of handovers) {
      programs.get(node)?.standby.push({ interface: id, role });
    }
    if (item && handovers.some(({ role }) => role === 'target')) {
      programs.get(homeNode(item)!)?.handingOver.push(id);
    }
  }
}

/** Writes captures, deliveries and terminations of one policy into the programs. */
function carryOut(
  placement: Placement,
  { sessions, exhausted }: ReturnType<typeof allocateSessions>,
  programs: Map<string, PlannedProgram>,
  cluster: Cluster,
): PolicyPlan {
  const { policy, destination, destinationNode } = placement;
  const { uid } = policy;
  const result: PolicyPlan = { uid, reasons: placement.reasons, sources: [], paths: [] };
  const planned = new Map<string, string[]>();
  if (destination && destinationNode !== undefined) {
    result.destinationNode = destinationNode;
    const senders = new Set<string>();
    const end = endDelivery(policy, destination.kind === 'edge');
    for (const { id, slot, kind, captureNodes, deviceNodes } of placement.sources) {
      const nodes = exhausted.has(uid) ? captureNodes.filter((node) => node === destinationNode) : captureNodes;
      for (const node of nodes) {
        const delivery = node === destinationNode ? end.id : erspanDeliveryId(uid, destinationNode);
        programs.get(node)!.captures.push(captureOf(policy, end, { id, slot, kind }, delivery));
        senders.add(node);
      }
      const captured = new Set(nodes);
      const present = deviceNodes.filter((node) => captured.has(node));
      planned.set(id, present);
    }
    if (senders.size > 0) {
      programs.get(destinationNode)!.deliveries.push({ ...end });
    }
    const path = (from: string, to: string): Path => ({
      policy: uid,
      from,
      to,
      end: end.id,
      number: Object.hasOwn(sessions, to) ? sessions[to]!.policies[uid] : undefined,
      destinationMtu: destination.devices.find(({ node }) => node === to)?.mtu,
    });
    const network = { path, programs, cluster };
    for (const from of sortedBy(senders, (name) => name)) {
      if (from !== destinationNode) {
        result.paths.push(connect(path(from, destinationNode), network));
      }
    }
    for (const other of senders.size > 0 && !exhausted.has(uid) ? placement.destinationHandovers : []) {
      prepareHandover({ home: destinationNode, other, end, senders }, network);
    }
  }
  if (exhausted.has(uid)) {
    const values = { node: destinationNode!, most: MAX_SESSIONS_PER_NODE };
    result.reasons.push({ ...say('SESSIONS_EXHAUSTED', values), node: destinationNode! });
  }
  result.sources = policy.sources.map((id) => ({ interface: id, nodes: planned.get(id) ?? [] }));
  return result;
}

/** Where the copies of a policy come out, as text that can be compared. */
function endOf({ destination, vlanId }: Policy): string {
  return vlanId === undefined ? destination : `${destination} VLAN ${vlanId}`;
}

/** The delivery on the node of the destination. */
function endDelivery(policy: Policy, isEdge: boolean): Exclude<Delivery, { kind: 'erspan' }> {
  const { uid, destination, vlanId } = policy;
  if (isEdge) {
    return { id: edgeDeliveryId(uid), policy: uid, kind: 'edge', interface: destination, vlanId: vlanId! };
  }
  return {
    id: localDeliveryId(uid),
    policy: uid,
    kind: 'local',
    interface: destination,
    ...(policy.allowFeedback && { allowFeedback: true }),
  };
}

function captureOf(
  policy: Policy,
  end: ReturnType<typeof endDelivery>,
  source: { id: string; slot: number; kind: Capture['kind'] },
  delivery: string,
): Capture {
  return {
    id: captureId(policy.uid, source.id),
    policy: policy.uid,
    source: source.id,
    kind: source.kind,
    sourceSlot: source.slot,
    direction: policy.direction,
    percent: policy.percent,
    delivery,
    ...(end.kind === 'edge' && { skipVlanId: end.vlanId }),
  };
}
