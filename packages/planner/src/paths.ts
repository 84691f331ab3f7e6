/** ERSPAN between nodes: who sends to whom, and what is prepared where a destination is about to move. */
import { type Delivery, erspanDeliveryId, type Termination, terminationId } from '@mirrorplane/contract';
import type { awayNodes, Cluster } from './cluster.ts';
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
export interface Move {
  home: string;
  away: ReturnType<typeof awayNodes>[number];
  /** How copies leave at either node. */
  end: Exclude<Delivery, { kind: 'erspan' }>;
  senders: ReadonlySet<string>;
}

/**
 * The destination migrates: its other node receives like its home, and senders have the way there already, so that the change
 * from one to the other is one write at each of them. Until every sender has made it, the newer node among them, the older
 * of the two nodes passes on to the newer what reaches it for a guest that is not there.
 */
export function prepareMove({ home, away, end, senders }: Move, network: Network): void {
  const { path, programs, cluster } = network;
  const [older, newer] = away.guest === 'expected' ? [home, away.node] : [away.node, home];
  const others = sortedBy(senders, (name) => name).filter((from) => from !== away.node && from !== home);
  if (path(older, newer).number === undefined || path(home, away.node).number === undefined) {
    return;
  }
  const deliveryOf = (node: string, id: string) =>
    programs.get(node)!.deliveries.find((delivery) => delivery.id === id);
  programs.get(away.node)!.deliveries.push({ ...end });
  for (const from of others) {
    // A sender learns now which way the node is: by the change of home there is nothing left to find out.
    if (away.guest === 'expected') connect(path(from, away.node), network);
    else receive(path(from, away.node), programs, cluster);
  }
  const forward = erspanDeliveryId(end.policy, newer);
  if (!deliveryOf(older, forward)) {
    connect(path(older, newer), network);
  }
  // The newer node does not take its own copies by itself: a clone says that it runs, too (ADR 0034).
  deliveryOf(older, end.id)!.instead = { interface: end.interface, delivery: forward, when: 'absent' };
}
