/**
 * The identity provider `declared`: edge-connected interfaces that an operator named by device or
 * MAC address.
 */
import type { EdgeBinding, NodeProblem } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';

/** The devices of edge-connected interfaces, by ifindex, and problems. */
export interface DeclaredEdges {
  edges: Map<number, string>;
  problems: NodeProblem[];
}

/**
 * Finds the devices of the declared edges. A MAC address is first searched among the permanent
 * addresses of NICs, and then among the current addresses of devices. It must match exactly one
 * Ethernet device. For example, slaves of a bond share the address of the bond, but each has its
 * own permanent address.
 */
export function bindEdges(bindings: readonly EdgeBinding[], links: readonly Link[]): DeclaredEdges {
  const edges = new Map<number, string>();
  const problems: NodeProblem[] = [];
  for (const binding of bindings) {
    const found = candidates(binding, links);
    if (found.length > 1) {
      problems.push(
        duplicate(binding, `${found.map((link) => link.name).join(' and ')} have the MAC address ${binding.mac}`),
      );
      continue;
    }
    const link = found[0];
    if (link === undefined) {
      continue;
    }
    const other = edges.get(link.ifindex);
    if (other !== undefined) {
      problems.push(duplicate(binding, `the device ${link.name} is already declared as ${other}`));
      continue;
    }
    edges.set(link.ifindex, binding.interface);
  }
  return { edges, problems };
}

function candidates(binding: EdgeBinding, links: readonly Link[]): Link[] {
  if (binding.device !== undefined) {
    return named(links, binding.device);
  }
  const mac = binding.mac?.toLowerCase();
  if (mac === undefined) {
    return [];
  }
  const ethernet = links.filter((link) => link.ethernet);
  const permanent = ethernet.filter((link) => link.permanentMac === mac);
  if (permanent.length > 0) {
    return permanent;
  }
  const current = ethernet.filter((link) => link.mac === mac);
  const physical = current.filter((link) => link.linkType === '');
  return physical.length > 0 ? physical : current;
}

/** The device with this name, or else with this alternative name (`altname`). */
export function named(links: readonly Link[], name: string): Link[] {
  const first = links.filter((link) => link.name === name);
  return first.length > 0 ? first : links.filter(({ altNames }) => altNames?.includes(name));
}

function duplicate(binding: EdgeBinding, why: string): NodeProblem {
  return { code: 'INTERFACE_DUPLICATE', message: `${binding.interface}: ${why}`, interface: binding.interface };
}
