/** ERSPAN paths between nodes, and their preparation for a destination that migrates. */
import { type Delivery, erspanDeliveryId, type Termination, terminationId } from '@mirrorplane/contract';
import type { Cluster, handoverNodes } from './cluster.ts';
import { sortedBy } from './order.ts';
import type { PathPlan, PlannedProgram } from './programs.ts';
import type { SessionNumber } from './sessions.ts';
import { mayRelay, unencrypted, wayTo } from './tunnels.ts';

/** From one node to another, for one policy. */
export interface Path {
  policy: string;
  from: string;
  to: string;
  /** id of the delivery at `to`. */
  end: string;
  /** Undefined where `to` has no free number. */
  number: SessionNumber | undefined;
  /** MTU of the destination's device on `to`, bytes. Undefined without a device there. */
  destinationMtu: number | undefined;
}

/** What one policy has in the program of each node, while it is planned. */
export interface Drafts {
  /** That of a node. There always is one. */
  get(node: string): Pick<PlannedProgram, 'captures' | 'deliveries' | 'terminations'>;
}

/** The drafts that paths are written to. */
export interface Network {
  path(from: string, to: string): Path;
  programs: Drafts;
  cluster: Cluster;
}

/**
 * ERSPAN from one node to the node of the destination. Both nodes have an underlay; `place` has
 * checked this, and that copies can be encrypted if they have to be.
 */
export function connect(path: Path, { programs, cluster }: Network): PathPlan {
  const { policy, from, to, number, destinationMtu } = path;
  const { mtu } = cluster.nodes.get(to)!.underlay!;
  const id = erspanDeliveryId(policy, to);
  programs.get(from).deliveries.push({
    ...{ id, policy, kind: 'erspan', node: to, ...wayTo(from, to, cluster), remoteMtu: mtu },
    ...proofOf(number!, from, cluster),
    ...(destinationMtu !== undefined && { destinationMtu }),
    ...(haveLanes(from, to, cluster) && { lanes: true }),
  });
  return { from, to, delivery: id, termination: receive(path, programs, cluster) };
}

/** Whether the sender can number copies on each CPU, and the receiver knows what is lost of those. */
function haveLanes(from: string, to: string, cluster: Cluster): boolean {
  return [from, to].every((name) => cluster.nodes.get(name)!.underlay!.lanes === true);
}

/** What copies of a node carry: an agent of an earlier version sends no secret. */
function proofOf({ session, generation, secret }: SessionNumber, from: string, cluster: Cluster): SessionNumber {
  const sendsIt = cluster.nodes.get(from)!.underlay!.proves === true && secret !== undefined;
  return { session, generation, ...(sendsIt && { secret }) };
}

/** The receiving half of a path. Returns the id of the termination. */
function receive({ policy, from, to, end, number }: Path, programs: Drafts, cluster: Cluster): string {
  const id = terminationId(policy, from);
  const proof = proofOf(number!, from, cluster);
  const termination: Termination = { id, policy, node: from, ...wayTo(to, from, cluster), ...proof, delivery: end };
  programs.get(to).terminations.push(termination);
  return id;
}

/** A destination with a device on two nodes. */
export interface Handover {
  home: string;
  other: ReturnType<typeof handoverNodes>[number];
  /** The delivery to the destination, on both nodes. */
  end: Exclude<Delivery, { kind: 'erspan' }>;
  senders: ReadonlySet<string>;
}

/**
 * Prepares the handover of a migrating destination. Its other node receives as its home does, and
 * senders already have the delivery to it. So the switch is one write on each sender. Until all
 * senders have switched, the target node included, the origin node relays copies for the absent
 * guest to the target node. Nothing is prepared if the relay would send in clear text what a
 * sender's pool encrypts.
 */
export function prepareHandover({ home, other, end, senders }: Handover, network: Network): void {
  const { path, programs, cluster } = network;
  const [origin, target] = other.role === 'target' ? [home, other.node] : [other.node, home];
  const others = sortedBy(senders, (name) => name).filter(
    (from) => from !== other.node && from !== home && !unencrypted(from, other.node, cluster),
  );
  if (path(origin, target).number === undefined || path(home, other.node).number === undefined) {
    return;
  }
  if (!mayRelay(senders, { origin, target }, cluster)) {
    return;
  }
  const deliveryOf = (node: string, id: string) => programs.get(node).deliveries.find((delivery) => delivery.id === id);
  programs.get(other.node).deliveries.push({ ...end });
  for (const from of others) {
    // Senders resolve the next hop to the target node now, before the home changes.
    if (other.role === 'target') {
      connect(path(from, other.node), network);
    } else {
      receive(path(from, other.node), programs, cluster);
    }
  }
  const relay = erspanDeliveryId(end.policy, target);
  if (!deliveryOf(origin, relay)) {
    connect(path(origin, target), network);
  }
  // The target node has no second delivery: its own claim that the guest runs there is no proof,
  // since a clone claims the same (ADR 0034).
  deliveryOf(origin, end.id)!.duringHandover = { interface: end.interface, delivery: relay };
}
