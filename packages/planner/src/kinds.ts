/** The type matrix: which kinds of interface can be mirrored into which. */
import type { InterfaceKind, Inventory, PolicySpec, PolicyType } from '@mirrorplane/contract';

/**
 * The type of a policy with these kinds of sources and destination. Undefined without a source, for
 * edge and virtual sources together, and for an edge source with a virtual destination.
 */
export function policyType(
  sourceKinds: Iterable<InterfaceKind>,
  destinationKind: InterfaceKind,
): PolicyType | undefined {
  const kinds = new Set(sourceKinds);
  const fromEdge = kinds.has('edge');
  const fromVirtual = kinds.has('vm') || kinds.has('nfv');
  if (fromEdge === fromVirtual) {
    return undefined;
  }
  if (destinationKind === 'edge') {
    return fromEdge ? 'physical' : 'virtual-to-physical';
  }
  return fromEdge ? undefined : 'virtual';
}

/**
 * The type of a policy where not all of its interfaces are known. It follows from those that are, and
 * from what the policy says: a VLAN ID is for an edge, and an unknown source counts as virtual.
 */
export function typeAsAsked({ sources, destination, vlanId }: PolicySpec, { interfaces }: Inventory): PolicyType {
  const kindOf = (id: string) => interfaces.find((one) => one.id === id)?.kind;
  const known = sources.map(kindOf).filter((kind) => kind !== undefined);
  const destinationKind = kindOf(destination) ?? (vlanId === undefined ? 'vm' : 'edge');
  return policyType(known.length > 0 ? known : ['vm'], destinationKind) ?? 'virtual';
}
