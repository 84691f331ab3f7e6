/** Which copies between nodes have to be encrypted, and by which keys. */
import { type Delivery, type Termination, type Tunnel, tunnelAddress } from '@mirrorplane/contract';
import type { Cluster } from './cluster.ts';

/** Why copies between two nodes cannot be encrypted, although a pool demands it. */
export interface Unencrypted {
  /** The pool that demands it. */
  pool: string;
  /** The ends that cannot encrypt, sorted as given. Not empty. */
  nodes: string[];
}

/**
 * The pool that demands that copies between two nodes are encrypted. Undefined: none does. Copies
 * that stay on a node cross no network.
 */
export function demandingPool(from: string, to: string, cluster: Cluster): string | undefined {
  if (from === to) {
    return undefined;
  }
  const pools = [from, to].flatMap((name) => cluster.nodes.get(name)?.pool ?? []);
  return pools.find((pool) => cluster.encryptedPools.has(pool));
}

/** Undefined: the path may be planned. */
export function unencrypted(from: string, to: string, cluster: Cluster): Unencrypted | undefined {
  const pool = demandingPool(from, to, cluster);
  if (pool === undefined) {
    return undefined;
  }
  const nodes = [from, to].filter((name) => cluster.nodes.get(name)?.underlay?.wireguard === undefined);
  return nodes.length > 0 ? { pool, nodes } : undefined;
}

/**
 * Whether a node may send on, to another node, what it receives from these senders. It carries their
 * copies, so what their pools demand counts too, and not only what its own two ends do.
 */
export function mayRelay(
  senders: Iterable<string>,
  { origin, target }: { origin: string; target: string },
  cluster: Cluster,
): boolean {
  if (demandingPool(origin, target, cluster) !== undefined) {
    return true;
  }
  return [...senders].every((from) => demandingPool(from, origin, cluster) === undefined);
}

/** How one node addresses another one. */
export interface Way {
  /** IPv4 address in the header of ERSPAN. */
  address: string;
  /** Undefined: in clear text. */
  tunnel?: Tunnel;
}

/**
 * The way from a node to another one, as `own` sees it. Both have an underlay.
 * @throws Error if encryption is demanded and cannot be done: the caller has to ask `unencrypted`
 */
export function wayTo(own: string, peer: string, cluster: Cluster): Way {
  const [near, far] = [own, peer].map((name) => cluster.nodes.get(name)!.underlay!) as [Underlay, Underlay];
  if (demandingPool(own, peer, cluster) === undefined) {
    return { address: far.address };
  }
  if (!near.wireguard || !far.wireguard) {
    throw new Error(`copies from ${own} to ${peer} cannot be encrypted`);
  }
  const peerKey = far.wireguard.publicKey;
  return {
    address: tunnelAddress(peerKey),
    tunnel: {
      ownKey: near.wireguard.publicKey,
      peerKey,
      endpoint: { address: far.address, port: far.wireguard.port },
    },
  };
}

type Underlay = NonNullable<NonNullable<ReturnType<Cluster['nodes']['get']>>['underlay']>;

/** Whether a receiver's termination is for the copies of a sender's delivery. */
export function isOfPath(end: Termination, delivery: Extract<Delivery, { kind: 'erspan' }>): boolean {
  return (
    end.session === delivery.session &&
    end.generation === delivery.generation &&
    end.tunnel?.peerKey === delivery.tunnel?.ownKey &&
    end.tunnel?.ownKey === delivery.tunnel?.peerKey
  );
}

/**
 * What tells a path from others between the same nodes, as one of them sees it: its number, and the
 * keys.
 */
export function pathOf(end: Pick<Termination, 'session' | 'generation' | 'tunnel'>): string {
  const { session, generation, tunnel } = end;
  return `${session}.${generation}${tunnel ? ` ${tunnel.ownKey} ${tunnel.peerKey}` : ''}`;
}
