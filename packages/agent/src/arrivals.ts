/** Where unicast towards mirrored guests is captured before a firewall of their bridge can drop it. Pure. */
import type { Arrival, ArrivalPort, HookCapture } from './datapath/datapath.ts';
import type { ForwardingEntry } from './discovery/forwarding.ts';
import type { Link } from './discovery/links.ts';

/** What `planArrivals` gives: parts of a DatapathState. */
export interface ArrivalPlan {
  captures: HookCapture[];
  arrivalPorts: ArrivalPort[];
  arrivals: Arrival[];
}

/**
 * Takes the captures of what guests receive, and moves them to the ports of the guests' bridges, for the addresses that the
 * bridges know. What a bridge floods (broadcast, multicast, addresses not learned yet) stays with the guest's device.
 *
 * An address that a bridge has behind two ports (with VLAN filtering it may) is left to the devices too.
 */
export function planArrivals(
  captures: readonly HookCapture[],
  links: readonly Link[],
  forwarding: readonly ForwardingEntry[],
): ArrivalPlan {
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
    if (arrivalBridge === 0) return capture;
    bridges.add(arrivalBridge);
    guests.add(capture.ifindex);
    return { ...capture, arrivalBridge };
  });
  return {
    captures: moved,
    arrivalPorts: links.flatMap((link): ArrivalPort[] => {
      if (bridges.has(link.ifindex)) return [{ ifindex: link.ifindex, hook: 'egress', bridge: link.ifindex }];
      // A port that does not forward drops what it receives: its frames do not arrive.
      if (!bridges.has(link.master) || !link.forwarding) return [];
      return [{ ifindex: link.ifindex, hook: 'ingress', bridge: link.master }];
    }),
    arrivals: unambiguous(forwarding)
      .filter(({ bridge, port }) => bridges.has(bridge) && guests.has(port))
      .map(({ bridge, port, mac }) => ({ bridge, mac, ifindex: port })),
  };
}

function unambiguous(forwarding: readonly ForwardingEntry[]): ForwardingEntry[] {
  const groups = Map.groupBy(forwarding, ({ bridge, mac }) => `${bridge} ${mac}`);
  return [...groups.values()].flatMap((entries) => {
    const ports = new Set(entries.map(({ port }) => port));
    return ports.size === 1 ? [entries[0]!] : [];
  });
}
