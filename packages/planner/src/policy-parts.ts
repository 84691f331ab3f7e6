/** What one policy has in the program of each node. */
import {
  type Capture,
  captureId,
  type Delivery,
  edgeDeliveryId,
  erspanDeliveryId,
  localDeliveryId,
  type Policy,
  say,
  type Termination,
} from '@mirrorplane/contract';
import type { Cluster } from './cluster.ts';
import { byText, sortedBy } from './order.ts';
import { connect, type Drafts, type Network, type Path, prepareHandover } from './paths.ts';
import type { Placement } from './place.ts';
import type { PolicyPlan } from './planned.ts';
import { type PolicyPart, samePart, textOf } from './programs.ts';
import { type allocateSessions, MAX_SESSIONS_PER_NODE } from './sessions.ts';

type Numbers = ReturnType<typeof allocateSessions>;

/** The result of planning for one policy, and its part in the program of each node. */
export interface PlannedPolicy {
  plan: PolicyPlan;
  /** By node. */
  parts: ReadonlyMap<string, PolicyPart>;
}

/**
 * Plans one policy that is placed.
 * @param before the last result. What is written the same stays the same object
 */
export function planPolicy(
  placement: Placement,
  numbers: Numbers,
  cluster: Cluster,
  before: PlannedPolicy | undefined,
): PlannedPolicy {
  const drafts = new PolicyDrafts();
  const plan = carryOut(placement, numbers, drafts, cluster);
  const { uid, maxRate } = placement.policy;
  return { plan, parts: drafts.finish(uid, maxRate, before?.parts) };
}

interface Draft {
  captures: Capture[];
  deliveries: Delivery[];
  terminations: Termination[];
}

class PolicyDrafts implements Drafts {
  readonly #byNode = new Map<string, Draft>();

  get(node: string): Draft {
    const draft = this.#byNode.get(node) ?? { captures: [], deliveries: [], terminations: [] };
    this.#byNode.set(node, draft);
    return draft;
  }

  /**
   * @param maxRate a budget is used where copies are made, so each delivery of the policy carries
   * it
   */
  finish(
    policy: string,
    maxRate: number | undefined,
    before: ReadonlyMap<string, PolicyPart> | undefined,
  ): Map<string, PolicyPart> {
    const shared = new SharedLists(before?.values() ?? []);
    const parts = new Map<string, PolicyPart>();
    for (const [node, { captures, deliveries, terminations }] of this.#byNode) {
      const rated = maxRate === undefined ? deliveries : deliveries.map((delivery) => ({ ...delivery, maxRate }));
      const part: PolicyPart = {
        policy,
        captures: shared.captures(captures),
        deliveries: shared.list(rated),
        terminations: shared.list(terminations),
      };
      const last = before?.get(node);
      if (captures.length + deliveries.length + terminations.length > 0) {
        parts.set(node, last && samePart(part, last) ? last : part);
      }
    }
    return parts;
  }
}

/** Gives lists that are written the same as one object. */
class SharedLists {
  /** By text. */
  readonly #lists = new Map<string, readonly (Capture | Delivery | Termination)[]>();
  /** Lists of captures as they were drafted, and what became of them. */
  readonly #drafted: [readonly Capture[], readonly Capture[]][] = [];

  constructor(before: Iterable<PolicyPart>) {
    for (const { captures, deliveries, terminations } of before) {
      for (const list of [captures, deliveries, terminations]) {
        this.#lists.set(textOf(list), list);
      }
    }
  }

  /** Most nodes have the same captures, which are compared as objects. */
  captures(drafted: readonly Capture[]): readonly Capture[] {
    const known = this.#drafted.find(
      ([other]) => other.length === drafted.length && other.every((item, index) => item === drafted[index]),
    );
    if (known) {
      return known[1];
    }
    const list = this.list(drafted);
    this.#drafted.push([drafted, list]);
    return list;
  }

  list<T extends Capture | Delivery | Termination>(items: readonly T[]): readonly T[] {
    const sorted = items.toSorted((a, b) => byText(a.id, b.id));
    const text = textOf(sorted);
    const known = this.#lists.get(text) ?? sorted;
    this.#lists.set(text, known);
    return known as readonly T[];
  }
}

/** Writes captures, deliveries and terminations of one policy into drafts. */
function carryOut(placement: Placement, numbers: Numbers, drafts: Drafts, cluster: Cluster): PolicyPlan {
  const { policy, destinationNode } = placement;
  const { uid } = policy;
  const isExhausted = numbers.exhausted.has(uid);
  const result: PolicyPlan = {
    uid,
    ...(placement.destination && destinationNode !== undefined && { destinationNode }),
    reasons: [...placement.reasons],
    sources: policy.sources.map((id) => ({ interface: id, nodes: [] })),
    paths: [],
  };
  if (placement.destination && destinationNode !== undefined) {
    carryOutTo(
      { ...placement, destination: placement.destination, destinationNode },
      { numbers, drafts, cluster },
      result,
    );
  }
  if (isExhausted) {
    const values = { node: destinationNode!, most: MAX_SESSIONS_PER_NODE };
    result.reasons.push({ ...say('SESSIONS_EXHAUSTED', values), node: destinationNode! });
  }
  return result;
}

type Arrived = Placement & Required<Pick<Placement, 'destination' | 'destinationNode'>>;

/** The destination has a node. */
function carryOutTo(
  placement: Arrived,
  { numbers, drafts, cluster }: { numbers: Numbers; drafts: Drafts; cluster: Cluster },
  result: PolicyPlan,
): void {
  const { policy, destination, destinationNode } = placement;
  const { uid } = policy;
  const isExhausted = numbers.exhausted.has(uid);
  const end = endDelivery(policy, destination.kind === 'edge');
  const senders = draftCaptures(placement, { end, isExhausted, drafts }, result);
  if (senders.size === 0) {
    return;
  }
  drafts.get(destinationNode).deliveries.push({ ...end });
  const { sessions } = numbers;
  const path = (from: string, to: string): Path => ({
    policy: uid,
    from,
    to,
    end: end.id,
    number: Object.hasOwn(sessions, to) ? sessions[to]!.policies[uid] : undefined,
    destinationMtu: destination.devices.find(({ node }) => node === to)?.mtu,
  });
  const network: Network = { path, programs: drafts, cluster };
  for (const from of sortedBy(senders, (name) => name)) {
    if (from !== destinationNode) {
      result.paths.push(connect(path(from, destinationNode), network));
    }
  }
  for (const other of isExhausted ? [] : placement.destinationHandovers) {
    prepareHandover({ home: destinationNode, other, end, senders }, network);
  }
}

/** @returns the nodes with a capture */
function draftCaptures(
  { policy, destinationNode, sources }: Arrived,
  { end, isExhausted, drafts }: { end: ReturnType<typeof endDelivery>; isExhausted: boolean; drafts: Drafts },
  result: PolicyPlan,
): Set<string> {
  const senders = new Set<string>();
  const away = erspanDeliveryId(policy.uid, destinationNode);
  const sourcePlans = new Map(result.sources.map((source) => [source.interface, source]));
  // Most sources have the same list of nodes.
  const lists = new Map<readonly string[], { node: string; captures: Capture[] }[]>();
  const draftsOf = (nodes: readonly string[]) => {
    const known = lists.get(nodes) ?? nodes.map((node) => ({ node, captures: drafts.get(node).captures }));
    lists.set(nodes, known);
    return known;
  };
  for (const { id, slot, kind, captureNodes, deviceNodes } of sources) {
    const nodes = isExhausted ? captureNodes.filter((node) => node === destinationNode) : captureNodes;
    const here = captureOf(policy, end, { id, slot, kind }, end.id);
    const elsewhere = { ...here, delivery: away };
    for (const { node, captures } of draftsOf(nodes)) {
      captures.push(node === destinationNode ? here : elsewhere);
      senders.add(node);
    }
    const isCaptured = (node: string) => nodes.includes(node);
    sourcePlans.get(id)!.nodes = deviceNodes.every(isCaptured) ? deviceNodes : deviceNodes.filter(isCaptured);
  }
  return senders;
}

/** Where the copies of a policy come out, as text that can be compared. */
export function endOf({ destination, vlanId }: Policy): string {
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
