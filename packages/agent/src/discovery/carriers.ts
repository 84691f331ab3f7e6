/** Finds the devices by which packets of a device may leave the node. Pure. See docs/adr/0037. */

import type { Link } from '../netlink/link.ts';
import { BONDS, indexLinks, kindOf, type LinkIndex, lower } from './device-kinds.ts';

/** A device that may carry the packets of another device. */
export interface Carrier {
  link: Link;
  /**
   * This device carries all packets that the first device could send, for example if the first is a
   * bridge and this one its port.
   */
  whole: boolean;
}

/** The most stacked devices that the kernel allows (MAX_NEST_DEV). */
const MAX_DEPTH = 8;

/**
 * The device itself and those below it: the lower device of a VLAN or macvlan device, the slaves of
 * a bond, the ports of a bridge that lead away from the node. If there are several, a packet may
 * take any of them.
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

/**
 * Ports that lead to a network. If none is known, all ports except taps, because a veth may lead
 * there.
 */
function outward(ports: readonly Link[]): readonly Link[] {
  const kinds = new Set(['tap', 'veth', 'xen-vif', 'representor']);
  const networks = ports.filter((port) => !kinds.has(kindOf(port)));
  return networks.length > 0 ? networks : ports.filter((port) => kindOf(port) === 'veth');
}

/**
 * The uplink of Open vSwitch, if the node has only one. The kernel does not say to which Open
 * vSwitch bridge a port belongs.
 */
function onlyUplink({ byIfindex }: LinkIndex): readonly Link[] {
  const all = [...byIfindex.values()];
  const switches = new Set(all.filter(({ linkType }) => linkType === 'openvswitch').map(({ ifindex }) => ifindex));
  const uplinks = all.filter(
    (port) => switches.has(port.master) && ['physical', 'bond', 'vlan'].includes(kindOf(port)),
  );
  return uplinks.length === 1 ? uplinks : [];
}

/** Devices behind the other end of a veth, if that end is a port of a bridge in this namespace. */
function beyond(link: Link, { byIfindex }: LinkIndex): readonly Link[] {
  const peer = link.peer === undefined ? undefined : byIfindex.get(link.peer);
  const master = peer?.peer === link.ifindex ? byIfindex.get(peer.master) : undefined;
  return master && kindOf(master) === 'bridge' ? [master] : [];
}
