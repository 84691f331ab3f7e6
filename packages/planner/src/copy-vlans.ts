/** Which VLAN IDs carry copies, and how an edge recognises such copies if a switch brings them. */
import type { GuestCopies, Policy, PolicySpec } from '@mirrorplane/contract';
import { type Cluster, homeDomain } from './cluster.ts';
import { byText } from './order.ts';
import type { PlannedProgram } from './programs.ts';

/** The most MAC addresses in one program. A policy of the largest size has 1,024 sources. */
export const MAX_COPY_MACS = 8192;

/** The fields of a policy that decide which copies it sends out. */
export type Writing = Pick<PolicySpec, 'name' | 'sources' | 'destination' | 'vlanId' | 'direction'>;

/** Copies that leave a node with a VLAN ID. */
export interface Push {
  policy: string;
  vlanId: number;
  node: string;
  domain: string;
  direction: Policy['direction'];
  /**
   * Each unicast copy has one of these MAC addresses. Undefined: not known, or a source is an edge.
   */
  macs: ReadonlySet<string> | undefined;
}

/** The push of a policy. Undefined: the destination is no edge, or its place is not known. */
export function pushOf(
  { name, sources, destination, vlanId, direction: written }: Writing,
  cluster: Cluster,
): Push | undefined {
  const direction = written === 'inbound' || written === 'outbound' ? written : 'all';
  const item = cluster.interfaces.get(destination);
  const domain = item?.edge && homeDomain(cluster, item);
  if (vlanId === undefined || domain === undefined || !item?.edge) {
    return undefined;
  }
  return { policy: name, vlanId, node: item.edge.node, domain, direction, macs: macsOf(sources, cluster) };
}

/**
 * The MAC addresses of all sources. Undefined if one source has no device: it may get a device at
 * any moment. Undefined if a device reports none: the node may not know the guest yet.
 */
function macsOf(sources: readonly string[], cluster: Cluster): ReadonlySet<string> | undefined {
  const macs = new Set<string>();
  for (const id of sources) {
    const item = cluster.interfaces.get(id);
    if (item === undefined || item.kind === 'edge' || item.devices.length === 0) {
      return undefined;
    }
    for (const { guestMacs } of item.devices) {
      if (guestMacs === undefined) {
        return undefined;
      }
      for (const mac of guestMacs) {
        macs.add(mac);
      }
    }
  }
  return macs;
}

/**
 * The VLAN IDs with copies of known MAC addresses, in the order of IDs, as far as there is room.
 */
export function guestCopiesOf(pushes: readonly Push[]): GuestCopies[] {
  let room = MAX_COPY_MACS;
  const byVlan = Map.groupBy(
    pushes.toSorted((a, b) => a.vlanId - b.vlanId),
    ({ vlanId }) => vlanId,
  );
  return [...byVlan].flatMap(([vlanId, same]) => {
    if (same.some(({ macs }) => macs === undefined)) {
      return [];
    }
    const macs = [...new Set(same.flatMap((push) => [...push.macs!]))].sort(byText);
    const needed = macs.length + 1; // one more for multicast and broadcast
    if (needed > room) {
      return [];
    }
    room -= needed;
    const [first, ...others] = new Set(same.map((push) => push.direction));
    return [{ vlanId, direction: others.length > 0 ? 'all' : first!, macs }];
  });
}

/** What a node is told of VLAN IDs with copies. */
export type CopyVlans = Pick<PlannedProgram, 'copyVlans' | 'ownCopyVlans' | 'guestCopies'>;

/**
 * Tells every node which VLAN IDs carry copies in its communication domain, because a switch may
 * bring copies to any edge. Also tells the node how it recognises copies: which VLAN IDs only its
 * own edges push, and, if it mirrors edges, the MAC addresses on copies of guests.
 * @param pushes of all enabled policies
 * @param mirroring nodes with an edge that is a source of an enabled policy
 * @returns by node. Nodes that are told the same share one object
 */
export function copyVlansOf(
  pushes: readonly Push[],
  mirroring: ReadonlySet<string>,
  nodes: readonly string[],
  cluster: Cluster,
): Map<string, CopyVlans> {
  const byDomain = Map.groupBy(pushes, ({ domain }) => domain);
  /**
   * By domain, and whether a node mirrors: for nodes without a push of their own. Most nodes are
   * such.
   */
  const shared = new Map<string, CopyVlans>();
  return new Map(
    nodes.map((node): [string, CopyVlans] => {
      const pool = cluster.nodes.get(node)?.pool;
      const domain = pool === undefined ? undefined : cluster.domainOfPool.get(pool);
      const all = (domain !== undefined && byDomain.get(domain)) || [];
      const mirrors = domain !== undefined && mirroring.has(node);
      if (all.some((push) => push.node === node)) {
        return [node, toldOf(all, node, mirrors)];
      }
      const key = `${mirrors} ${domain}`;
      const told = shared.get(key) ?? toldOf(all, node, mirrors);
      shared.set(key, told);
      return [node, told];
    }),
  );
}

function toldOf(all: readonly Push[], node: string, mirrors: boolean): CopyVlans {
  const others = all.filter((push) => push.node !== node);
  const elsewhere = new Set(others.map(({ vlanId }) => vlanId));
  const copyVlans = [...new Set(all.map(({ vlanId }) => vlanId))].sort((a, b) => a - b);
  const own = copyVlans.filter((id) => !elsewhere.has(id));
  const guestCopies = mirrors ? guestCopiesOf(others) : [];
  return {
    copyVlans,
    ...(own.length > 0 && { ownCopyVlans: own }),
    ...(guestCopies.length > 0 && { guestCopies }),
  };
}
