/** By which devices of the node a packet that one of them sends may leave it. Pure. See docs/adr/0037. */

import type { Link } from '../netlink/link.ts';
import { BONDS, indexLinks, kindOf, type LinkIndex, lower } from './device-kinds.ts';

/** A device that may have to carry what another one sends. */
export interface Carrier {
  link: Link;
  /** All that the first device could send passes here, as where it is a bridge and this one its port. */
  whole: boolean;
}

/** Devices on top of each other, as the kernel takes them (MAX_NEST_DEV). */
const MAX_DEPTH = 8;

/**
 * The device itself, and those below it: what a VLAN or macvlan device is on top of, the slaves of a bond, the ports of a
 * bridge that lead away from the node. Which of several is taken is not asked: any of them may be.
 */
export function carriersOf(link: Link, links: readonly Link[]): Carrier[] {
  const found = new Map<number, Carrier>();
  walk({ link, whole: true }, indexLinks(links), found, MAX_DEPTH);
  return [...found.values()];
}

function walk(carrier: Carrier, all: LinkIndex, found: Map<number, Carrier>, depth: number): void {
  const { link, whole } = carrier;
  if (found.has(link.ifindex)) {
    return;
  }
  found.set(link.ifindex, carrier);
  if (depth === 0) {
    return;
  }
  const isBridge = kindOf(link) === 'bridge';
  for (const next of nextOf(link, all)) {
    if (!found.has(next.ifindex)) {
      walk({ link: next, whole: whole && isBridge }, all, found, depth - 1);
    }
  }
}

function nextOf(link: Link, all: LinkIndex): readonly Link[] {
  const kind = kindOf(link);
  const ports = all.byMaster.get(link.ifindex) ?? [];
  if (kind === 'bridge') {
    return outward(ports.filter(({ forwarding }) => forwarding));
  }
  if (BONDS.has(kind)) {
    return ports;
  }
  if (kind === 'openvswitch') {
    return onlyUplink(all);
  }
  if (kind === 'veth') {
    return beyond(link, all);
  }
  const below = lower(link, all);
  return below ? [below] : [];
}

/** Ports that lead to a network. Where none is known to, a cable of the host may lead there: all but taps. */
function outward(ports: readonly Link[]): readonly Link[] {
  const kinds = new Set(['tap', 'veth', 'xen-vif', 'representor']);
  const networks = ports.filter((port) => !kinds.has(kindOf(port)));
  return networks.length > 0 ? networks : ports.filter((port) => kindOf(port) === 'veth');
}

/** The kernel does not say to which bridge of Open vSwitch a port belongs: known where the node has one uplink there. */
function onlyUplink({ byIfindex }: LinkIndex): readonly Link[] {
  const all = [...byIfindex.values()];
  const switches = new Set(all.filter(({ linkType }) => linkType === 'openvswitch').map(({ ifindex }) => ifindex));
  const uplinks = all.filter(
    (port) => switches.has(port.master) && ['physical', 'bond', 'vlan'].includes(kindOf(port)),
  );
  return uplinks.length === 1 ? uplinks : [];
}

/** What a veth sends comes in at its other end; where that is the port of a bridge here, it goes on from there. */
function beyond(link: Link, { byIfindex }: LinkIndex): readonly Link[] {
  const peer = link.peer === undefined ? undefined : byIfindex.get(link.peer);
  const master = peer?.peer === link.ifindex ? byIfindex.get(peer.master) : undefined;
  return master && kindOf(master) === 'bridge' ? [master] : [];
}
