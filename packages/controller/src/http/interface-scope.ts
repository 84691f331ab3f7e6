/** Who may declare an interface in a scope. */
import { forbidden } from '../access/refusal.ts';
import type { InterfaceRecord } from '../store/records.ts';
import { require } from './judges.ts';
import type { MutationCall } from './mutation.ts';

/**
 * Nobody takes an interface out of the own scope, makes one outside of it, or gets at the devices of
 * a node outside of it.
 * @throws ProblemError FORBIDDEN. It tells nothing of what exists
 */
export function requireDeclaration(
  { services, judge }: Pick<MutationCall, 'services' | 'judge'>,
  old: InterfaceRecord | undefined,
  next: InterfaceRecord,
): void {
  for (const node of changedNodes(old, next)) {
    require(judge, 'inventory', 'node', node);
  }
  const { id, edge } = next;
  const known = services.inventory.get(id);
  // An edge is in the pool of its node.
  const pool = edge ? services.view.get('nodes', edge.node)?.value.pool : (known?.pool ?? next.pool);
  const will = edge ? [{ ...next, pool }] : [next, { ...next, pool }];
  // Whoever names an interface before it appears has not shown that it is theirs: its labels and
  // network would come from the declaration. Its pool comes from the node where it appears.
  const objects = known ? will : will.map((one) => ({ pool: one.pool }));
  if (!objects.every((one) => judge.on('inventory', one))) {
    throw forbidden('inventory', `interface/${id} as it would be`);
  }
}

/** Nodes of the old and the new declaration, where they are not the same. */
function changedNodes(old: InterfaceRecord | undefined, next: InterfaceRecord): Set<string> {
  const edges = [old?.edge, next.edge];
  const [was, is] = edges.map((edge) => edge && JSON.stringify([edge.node, edge.device, edge.mac, edge.allowedVlans]));
  const nodes = [
    ...(was === is ? [] : edges.map((edge) => edge?.node)),
    ...(old?.boundTo === next.boundTo ? [] : [old?.boundTo, next.boundTo]),
  ];
  return new Set(nodes.filter((node) => node !== undefined));
}
