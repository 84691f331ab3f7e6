/** ERSPAN between nodes: who sends to whom, and what is prepared where a destination is about to move. */
import { type Delivery, erspanDeliveryId, type Termination, terminationId } from '@mirrorplane/contract';
import type { Cluster, handoverNodes } from './cluster.ts';
import { sortedBy } from './order.ts';
import type { PathPlan, PlannedProgram } from './programs.ts';
import type { SessionNumber } from './sessions.ts';

/** From one node to another, for one policy. */
export interface Path {
  policy: string;
  from: string;
  to: string;
  /** id of the delivery at `to`. */
  end: string;
  /** Undefined where `to` has none left. */
  number: SessionNumber | undefined;
  /** Of the destination's device at `to`, bytes; undefined where it has none there. */
  destinationMtu: number | undefined;
}

/** Where paths are written to. */
export interface Network {
  path(from: string, to: string): Path;
  programs: ReadonlyMap<string, PlannedProgram>;
  cluster: Cluster;
}

/** ERSPAN from one node to the node of the destination. Both have an underlay: `place` saw to that. */
export function connect(path: Path, { programs, cluster }: Network): PathPlan {
  const { policy, from, to, number, destinationMtu } = path;
  const { address, mtu } = cluster.nodes.get(to)!.underlay!;
  const { session, generation } = number!;
  const id = erspanDeliveryId(policy, to);
  programs.get(from)!.deliveries.push({
    ...{ id, policy, kind: 'erspan', node: to, address, remoteMtu: mtu, session, generation },
    ...(destinationMtu !== undefined && { destinationMtu }),
  });
  return { from, to, delivery: id, termination: receive(path, programs, cluster) };
}

/** The receiving half of a path. Returns the id of the termination. */
function receive(
  { policy, from, to, end, number }: Path,
  programs: ReadonlyMap<string, PlannedProgram>,
  cluster: Cluster,
): string {
  const { address } = cluster.nodes.get(from)!.underlay!;
  const id = terminationId(policy, from);
  const { session, generation } = number!;
  const termination: Termination = { id, policy, node: from, address, session, generation, delivery: end };
  programs.get(to)!.terminations.push(termination);
  return id;
}

/** A destination with a device on two nodes. */
export interface Handover {
  home: string;
  other: ReturnType<typeof handoverNodes>[number];
  /** How copies leave at either node. */
  end: Exclude<Delivery, { kind: 'erspan' }>;
  senders: ReadonlySet<string>;
}

/**
 * The destination migrates: its other node receives like its home, and senders have the way there already, so that the change
 * from one to the other is one write at each of them. Until every sender has made it, the target node among them, the origin
 * of the two nodes relays to the target what reaches it for a guest that is not there.
 */
export function prepareHandover({ home, other, end, senders }: Handover, network: Network): void {
  const { path, programs, cluster } = network;
  const [origin, target] = other.role === 'target' ? [home, other.node] : [other.node, home];
  const others = sortedBy(senders, (name) => name).filter((from) => from !== other.node && from !== home);
  if (path(origin, target).number === undefined || path(home, other.node).number === undefined) {
    return;
  }
  const deliveryOf = (node: string, id: string) =>
    programs.get(node)!.deliveries.find((delivery) => delivery.id === id);
  programs.get(other.node)!.deliveries.push({ ...end });
  for (const from of others) {
    // A sender learns now which way the node is: by the change of home there is nothing left to find out.
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
  // The target node does not take its own copies on its own word: a clone reports that it runs, too (ADR 0034).
  deliveryOf(origin, end.id)!.duringHandover = { interface: end.interface, delivery: relay };
}
