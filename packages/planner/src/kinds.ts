/** The type matrix: which kinds of interface can be mirrored into which. */
import type { InterfaceKind, PolicyType } from '@mirrorplane/contract';

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
