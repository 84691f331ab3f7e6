/**
 * Warnings about the effect of a VLAN ID of copies on other policies. They are shown when a policy
 * is written, and in the dry run.
 */
import type { Policy, PolicySpec, Warning } from '@mirrorplane/contract';
import { type Cluster, homeDomain } from './cluster.ts';
import { sortedBy } from './order.ts';

/** The most names in one message. A policy may have a thousand sources. */
const MAX_NAMES = 4;

/** Copies that leave a node with a VLAN ID. */
interface Push {
  policy: string;
  vlanId: number;
  node: string;
  domain: string;
}

/** An edge whose traffic a policy mirrors. */
interface MirroredEdge {
  id: string;
  node: string;
  domain: string;
  /** VLANs that the port carries; undefined: not declared. */
  vlans: readonly number[] | undefined;
}

type Writing = Pick<PolicySpec, 'name' | 'sources' | 'destination' | 'vlanId'>;

/**
 * - `POLICY_VLAN_MIRRORED`: a policy pushes a VLAN ID that mirrored edges of another policy may
 *   carry. On nodes other than the one where copies leave, all frames of that VLAN count as copies
 *   that a switch has brought.
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
  return [
    ...(push ? enabled.flatMap((policy) => pushed(push, policy, mirroredEdges(policy, cluster))) : []),
    ...pushes.flatMap((other) => carried(other, edges)),
    ...(push ? shared(push, pushes) : []),
  ];
}

function pushOf({ name, destination, vlanId }: Writing, cluster: Cluster): Push | undefined {
  const item = cluster.interfaces.get(destination);
  const domain = item?.edge && homeDomain(cluster, item);
  if (vlanId === undefined || domain === undefined || !item?.edge) {
    return undefined;
  }
  return { policy: name, vlanId, node: item.edge.node, domain };
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

/**
 * Edges that a switch may bring the copies to: on other nodes, and on the node where copies leave.
 */
function reached({ vlanId, node, domain }: Push, edges: readonly MirroredEdge[]): [MirroredEdge[], MirroredEdge[]] {
  const carrying = edges.filter((edge) => edge.domain === domain && (edge.vlans?.includes(vlanId) ?? true));
  return [carrying.filter((edge) => edge.node !== node), carrying.filter((edge) => edge.node === node)];
}

/** The effect of the written policy on edges of another policy. */
function pushed(push: Push, { name }: Policy, edges: readonly MirroredEdge[]): Warning[] {
  const [elsewhere, here] = reached(push, edges);
  const vlan = `VLAN ${push.vlanId}`;
  const taken = `policy "${name}" does not mirror frames of ${vlan} at ${listed(elsewhere)} any more: such frames count as copies of this policy that a switch has brought`;
  const mixed = `policy "${name}" mirrors ${listed(here)}, where copies of this policy and other frames of ${vlan} may meet: copies that come back are not mirrored, and all other frames are`;
  return messagesOf(elsewhere, taken, here, mixed).map((message) => ({
    code: 'POLICY_VLAN_MIRRORED',
    field: 'vlanId',
    message: `${message}; use a VLAN ID that carries no other traffic`,
  }));
}

/** The effect of another policy on edges of the written policy. */
function carried(push: Push, edges: readonly MirroredEdge[]): Warning[] {
  const [elsewhere, here] = reached(push, edges);
  const vlan = `VLAN ${push.vlanId}`;
  const taken = `frames of ${vlan} at ${listed(elsewhere)} are not mirrored: they count as copies of policy "${push.policy}" that a switch has brought`;
  const mixed = `at ${listed(here)} copies of policy "${push.policy}" and other frames of ${vlan} may meet: copies that come back are not mirrored, and all other frames are`;
  return messagesOf(elsewhere, taken, here, mixed).map((message) => ({
    code: 'POLICY_VLAN_MIRRORED',
    field: 'sources',
    message: `${message}; give policy "${push.policy}" a VLAN ID that carries no other traffic`,
  }));
}

function messagesOf(
  elsewhere: readonly MirroredEdge[],
  taken: string,
  here: readonly MirroredEdge[],
  mixed: string,
): string[] {
  return [...(elsewhere.length > 0 ? [taken] : []), ...(here.length > 0 ? [mixed] : [])];
}

function shared({ vlanId, domain }: Push, pushes: readonly Push[]): Warning[] {
  const same = pushes.filter((other) => other.vlanId === vlanId && other.domain === domain);
  if (same.length === 0) {
    return [];
  }
  const names = namesOf(same.map(({ policy }) => `"${policy}"`));
  const message = `VLAN ${vlanId} is also the VLAN ID of ${same.length === 1 ? 'policy' : 'policies'} ${names}, so the VLAN ID does not tell their copies apart; use another VLAN ID if that matters`;
  return [{ code: 'POLICY_VLAN_SHARED', field: 'vlanId', message }];
}

function listed(edges: readonly MirroredEdge[]): string {
  return namesOf(edges.map(({ id, node }) => `"${id}" (node "${node}")`));
}

function namesOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return more > 0 ? `${names.slice(0, MAX_NAMES).join(', ')} and ${more} more` : names.join(', ');
}
