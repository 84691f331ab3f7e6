/**
 * Where unicast towards mirrored guests is captured before a firewall of their bridge can drop it.
 * Pure.
 */
import type { Arrival, ArrivalPort, HookCapture } from '../datapath/datapath.ts';
import type { ForwardingEntry } from '../discovery/forwarding.ts';
import { FLOODED, type Link } from '../netlink/link.ts';

/** The result of `planArrivals`: parts of a DatapathState. */
export interface ArrivalPlan<C = HookCapture> {
  captures: C[];
  arrivalPorts: ArrivalPort[];
  arrivals: Arrival[];
}

/** What of a capture says where its packets arrive. */
type Placed = Pick<HookCapture, 'edge' | 'hook' | 'ifindex' | 'arrivalBridge'>;

/**
 * Moves captures of packets to guests to the ports of the guests' bridges, for addresses that the
 * bridges know. Flooded frames (broadcast, multicast, addresses that are not learned yet) are still
 * captured at the guest's device. The exception is a firewall bridge of one guest: all its frames
 * go to this guest, so it need not learn at all.
 *
 * Addresses behind a port that does not forward are not moved: no frame reaches a guest there.
 *
 * An address behind two ports of a bridge (possible with VLAN filtering) is captured at the devices
 * too, and so is a guest with more than MAX_ADDRESSES. Only frames that a firewall drops are then
 * missed.
 *
 * @param guestDevices ifindexes of devices with a guest behind them: a guest that has left the node
 * never appears there
 */
export function planArrivals<C extends Placed>(
  captures: readonly C[],
  links: readonly Link[],
  forwarding: readonly ForwardingEntry[],
  guestDevices: ReadonlySet<number> = new Set(),
): ArrivalPlan<C> {
  if (!links.some(({ linkType }) => linkType === 'bridge')) {
    return { captures: [...captures], arrivalPorts: [], arrivals: [] };
  }
  const byIfindex = new Map(links.map((link) => [link.ifindex, link]));
  const bridgeOf = (ifindex: number) => {
    const master = byIfindex.get(byIfindex.get(ifindex)?.master ?? 0);
    return master?.linkType === 'bridge' ? master.ifindex : 0;
  };
  const bridges = new Set<number>();
  const guests = new Set<number>();
  const moved = captures.map((capture) => {
    const guest = !capture.edge && capture.hook === 'egress' && capture.ifindex !== 0;
    const arrivalBridge = guest ? bridgeOf(capture.ifindex) : 0;
    if (arrivalBridge === 0) {
      return capture;
    }
    bridges.add(arrivalBridge);
    guests.add(capture.ifindex);
    return { ...capture, arrivalBridge };
  });
  return {
    captures: moved,
    arrivalPorts: links.flatMap((link): ArrivalPort[] => {
      if (bridges.has(link.ifindex)) {
        return [{ ifindex: link.ifindex, hook: 'egress', bridge: link.ifindex, uplink: false }];
      }
      // A port that does not forward drops incoming frames, so they do not arrive.
      if (!bridges.has(link.master) || !link.forwarding) {
        return [];
      }
      const uplink = (link.learns ?? true) && !guestDevices.has(link.ifindex);
      return [{ ifindex: link.ifindex, hook: 'ingress', bridge: link.master, uplink }];
    }),
    arrivals: [...bridges].flatMap((bridge) => {
      // The table may be older than the links. A device that has left a bridge is no longer its
      // port, and its frames also pass another port.
      const isPort = (ifindex: number) => ifindex === bridge || byIfindex.get(ifindex)?.master === bridge;
      const entries = forwarding.filter((entry) => entry.bridge === bridge && isPort(entry.port));
      const known = bounded(unambiguous(entries));
      const ports = links.filter((link) => link.master === bridge);
      const sole = ports.length === 2 ? ports.filter(({ ifindex }) => guests.has(ifindex)) : [];
      const guest = sole.length === 1 ? sole[0]! : undefined;
      if (guest === undefined || !guest.forwarding) {
        return known.filter(({ ifindex }) => guests.has(ifindex) && byIfindex.get(ifindex)?.forwarding);
      }
      return [...known, ...floodedTo(guest, byIfindex.get(bridge)!, ports)];
    }),
  };
}

/**
 * The other port of firewall bridges of one mirrored guest. After a veth pair, it is no longer
 * known by which device a frame came to the node. So copies that a switch has returned are searched
 * here.
 */
export function firewallUplinks(captures: readonly HookCapture[], links: readonly Link[]): number[] {
  const bridges = new Set(links.filter(({ linkType }) => linkType === 'bridge').map(({ ifindex }) => ifindex));
  const ports = Map.groupBy(
    links.filter(({ master }) => bridges.has(master)),
    ({ master }) => master,
  );
  if (ports.size === 0) {
    return [];
  }
  const guests = new Set(captures.filter(({ edge }) => !edge).map(({ ifindex }) => ifindex));
  return [...ports.values()].flatMap((pair) => {
    const others = pair.filter(({ ifindex }) => !guests.has(ifindex));
    return pair.length === 2 && others.length === 1 ? [others[0]!.ifindex] : [];
  });
}

/**
 * The most addresses of one port that are captured on arrival. A guest with more addresses is
 * captured at its device.
 */
const MAX_ADDRESSES = 1024;

/**
 * Leaves out ports with too many addresses, so that a guest that floods its bridge takes no room
 * from others.
 */
function bounded(arrivals: readonly Arrival[]): Arrival[] {
  const ports = Map.groupBy(arrivals, ({ ifindex }) => ifindex);
  return [...ports.values()].filter(({ length }) => length <= MAX_ADDRESSES).flat();
}

/** Addresses that stand for kinds of frames (find_arrival in packages/bpf/src/capture.h). */
const FLOOD_ADDRESSES = [
  [FLOODED.unicast, '00:00:00:00:00:00'],
  [FLOODED.multicast, '01:00:00:00:00:00'],
  [FLOODED.broadcast, 'ff:ff:ff:ff:ff:ff'],
] as const;

/**
 * Arrivals for flooded frames of a bridge with two ports, one of them a guest's. All its frames go
 * to the guest, except those for the node.
 */
function floodedTo(guest: Link, bridge: Link, ports: readonly Link[]): Arrival[] {
  const own = [bridge, ...ports].map(({ mac }) => ({ bridge: bridge.ifindex, mac, ifindex: bridge.ifindex }));
  const floods = (guest.floods ?? 7) & (bridge.floods ?? 7);
  const kinds = FLOOD_ADDRESSES.filter(([kind]) => floods & kind);
  return [...own, ...kinds.map(([, mac]) => ({ bridge: bridge.ifindex, mac, ifindex: guest.ifindex }))];
}

/** The entries of one bridge, without addresses that are behind two ports. */
function unambiguous(forwarding: readonly ForwardingEntry[]): Arrival[] {
  return [...Map.groupBy(forwarding, ({ mac }) => mac)].flatMap(([mac, entries]) => {
    const [{ bridge, port }] = entries as [ForwardingEntry];
    return entries.every((entry) => entry.port === port) ? [{ bridge, mac, ifindex: port }] : [];
  });
}
