/**
 * Warnings about the effect of a VLAN ID of copies on other policies. They are shown when a policy
 * is written, and in the dry run.
 */
import { type Policy, sayRule, type Warning } from '@mirrorplane/contract';
import { type Cluster, homeDomain } from './cluster.ts';
import { guestCopiesOf, type Push, pushOf, type Writing } from './copy-vlans.ts';
import { sortedBy } from './order.ts';

/** The most names in one message. A policy may have a thousand sources. */
const MAX_NAMES = 4;

/** An edge whose traffic a policy mirrors. */
interface MirroredEdge {
  id: string;
  node: string;
  domain: string;
  /** VLANs that the port carries; undefined: not declared. */
  vlans: readonly number[] | undefined;
}

/**
 * - `POLICY_VLAN_MIRRORED`: a policy pushes a VLAN ID that mirrored edges of another policy may
 *   carry. Which frames there count as copies depends on what is known of the copies, see
 *   copy-vlans.ts.
 * - `POLICY_VLAN_SHARED`: other policies of the communication domain push the same VLAN ID.
 *
 * @param others all other policies; disabled ones have no effect
 */
export function vlanWarnings(spec: Writing, others: readonly Policy[], cluster: Cluster): Warning[] {
  const push = pushOf(spec, cluster);
  const edges = mirroredEdges(spec, cluster);
  const enabled = sortedBy(
    others.filter((policy) => policy.enabled),
    ({ name }) => name,
  );
  const pushes = enabled.flatMap((policy) => pushOf(policy, cluster) ?? []);
  const telling = tellingVlans(push ? [...pushes, push] : pushes);
  return [
    ...(push ? enabled.flatMap((policy) => pushed(push, policy, mirroredEdges(policy, cluster), telling)) : []),
    ...pushes.flatMap((other) => carried(other, edges, telling)),
    ...(push ? shared(push, pushes) : []),
  ];
}

function mirroredEdges({ sources }: Writing, cluster: Cluster): MirroredEdge[] {
  return sources.flatMap((id) => {
    const item = cluster.interfaces.get(id);
    const domain = item?.edge && homeDomain(cluster, item);
    return item?.edge && domain !== undefined
      ? [{ id, node: item.edge.node, domain, vlans: item.edge.allowedVlans }]
      : [];
  });
}

/** Whether copies are recognised by MAC addresses at an edge of another node. */
type Telling = (push: Push, edge: MirroredEdge) => boolean;

function tellingVlans(pushes: readonly Push[]): Telling {
  const byEdgeNode = new Map<string, ReadonlySet<number>>();
  return ({ vlanId, domain }, { node }) => {
    const others = () => pushes.filter((other) => other.domain === domain && other.node !== node);
    const known = byEdgeNode.get(node) ?? new Set(guestCopiesOf(others()).map((copies) => copies.vlanId));
    byEdgeNode.set(node, known);
    return known.has(vlanId);
  };
}

/** Edges that a switch may bring copies to, by the way in which copies are recognised there. */
interface Reached {
  /** By the VLAN ID alone. */
  byVlan: MirroredEdge[];
  /** By MAC addresses of the sources. */
  byAddress: MirroredEdge[];
  /** One by one: the copies leave the same node. */
  byCopy: MirroredEdge[];
}

function reached(push: Push, edges: readonly MirroredEdge[], telling: Telling): Reached {
  const carrying = edges.filter(
    ({ domain, vlans }) => domain === push.domain && (vlans?.includes(push.vlanId) ?? true),
  );
  const elsewhere = carrying.filter(({ node }) => node !== push.node);
  return {
    byVlan: elsewhere.filter((edge) => !telling(push, edge)),
    byAddress: elsewhere.filter((edge) => telling(push, edge)),
    byCopy: carrying.filter(({ node }) => node === push.node),
  };
}

/** The effect of the written policy on edges of another policy. */
function pushed(push: Push, { name }: Policy, edges: readonly MirroredEdge[], telling: Telling): Warning[] {
  const { byVlan, byAddress, byCopy } = reached(push, edges, telling);
  const vlan = `VLAN ${push.vlanId}`;
  return warningsOf('vlanId', 'use a VLAN ID that carries no other traffic', [
    [
      byVlan,
      `policy "${name}" does not mirror frames of ${vlan} at ${listed(byVlan)} any more: such frames count as copies of this policy that a switch has brought`,
    ],
    [
      byAddress,
      `policy "${name}" does not mirror frames of ${vlan} ${kindsOf(push, 'this policy')} at ${listed(byAddress)} any more: such frames count as copies of this policy that a switch has brought, and all other frames are mirrored`,
    ],
    [
      byCopy,
      `policy "${name}" mirrors ${listed(byCopy)}, where copies of this policy and other frames of ${vlan} may meet: copies that come back are not mirrored, and all other frames are`,
    ],
  ]);
}

/** The effect of another policy on edges of the written policy. */
function carried(push: Push, edges: readonly MirroredEdge[], telling: Telling): Warning[] {
  const { byVlan, byAddress, byCopy } = reached(push, edges, telling);
  const vlan = `VLAN ${push.vlanId}`;
  const other = `policy "${push.policy}"`;
  return warningsOf('sources', `give ${other} a VLAN ID that carries no other traffic`, [
    [
      byVlan,
      `frames of ${vlan} at ${listed(byVlan)} are not mirrored: they count as copies of ${other} that a switch has brought`,
    ],
    [
      byAddress,
      `frames of ${vlan} ${kindsOf(push, other)} at ${listed(byAddress)} are not mirrored: they count as copies that a switch has brought, and all other frames are mirrored`,
    ],
    [
      byCopy,
      `at ${listed(byCopy)} copies of ${other} and other frames of ${vlan} may meet: copies that come back are not mirrored, and all other frames are`,
    ],
  ]);
}

/** The frames that can be copies of the push. */
function kindsOf({ direction }: Push, policy: string): string {
  const sides = { all: 'from or to', inbound: 'to', outbound: 'from' }[direction];
  const groups = direction === 'outbound' ? '' : ', broadcast and multicast,';
  return `${sides} MAC addresses of sources of ${policy}${groups}`;
}

function warningsOf(field: string, remedy: string, groups: [MirroredEdge[], string][]): Warning[] {
  return groups
    .filter(([edges]) => edges.length > 0)
    .map(([, text]) => ({ field, ...sayRule('POLICY_VLAN_MIRRORED', { text: `${text}; ${remedy}` }) }));
}

function shared({ vlanId, domain }: Push, pushes: readonly Push[]): Warning[] {
  const same = pushes.filter((other) => other.vlanId === vlanId && other.domain === domain);
  if (same.length === 0) {
    return [];
  }
  const names = namesOf(same.map(({ policy }) => `"${policy}"`));
  const text = `VLAN ${vlanId} is also the VLAN ID of ${same.length === 1 ? 'policy' : 'policies'} ${names}, so the VLAN ID does not tell their copies apart; use another VLAN ID if that matters`;
  return [{ field: 'vlanId', ...sayRule('POLICY_VLAN_SHARED', { text }) }];
}

function listed(edges: readonly MirroredEdge[]): string {
  return namesOf(edges.map(({ id, node }) => `"${id}" (node "${node}")`));
}

function namesOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return more > 0 ? `${names.slice(0, MAX_NAMES).join(', ')} and ${more} more` : names.join(', ');
}
