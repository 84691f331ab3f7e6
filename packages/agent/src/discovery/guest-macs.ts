/** The MAC addresses that guests use: nodes where copies come back tell copies of these guests from other frames by them. */
import { MAX_GUEST_MACS } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';
import type { NodeDevice } from './devices.ts';
import type { ForwardingEntry } from './forwarding.ts';

/** What a guest's device is matched with. */
interface Around {
  links: readonly Link[];
  /** The bridges' forwarding tables; left out: they are not read. */
  forwarding?: readonly ForwardingEntry[] | undefined;
}

/**
 * Gathers them: what identity providers say, and what the bridge of the device has learned behind it. A bridge forgets
 * an address that is silent. Here it stays as long as the device is that of the guest: copies of what is sent to it go on.
 */
export class GuestMacs {
  /** By ifindex. */
  #known: ReadonlyMap<number, { id: string; macs: ReadonlySet<string> }> = new Map();

  /** Gives guests' devices `guestMacs`. Without it: not known, or more than MAX_GUEST_MACS. */
  look(devices: readonly NodeDevice[], around: Around): NodeDevice[] {
    const { learned, ports } = behindPorts(around);
    const before = this.#known;
    const known = new Map<number, { id: string; macs: ReadonlySet<string> }>();
    const result = devices.map((device) => {
      const { identity, ifindex, guestMacs: said = [], ...rest } = device;
      if (identity === undefined || identity.kind === 'edge') {
        return device;
      }
      const last = before.get(ifindex);
      const kept = last?.id === identity.id ? last.macs : [];
      const macs = new Set([...kept, ...said, ...(learned.get(ifindex) ?? [])].slice(0, MAX_GUEST_MACS + 1));
      known.set(ifindex, { id: identity.id, macs });
      // Behind a router or a firewall there may be others, and only the bridge sees whom it lets through.
      const isTold = macs.size > 0 && macs.size <= MAX_GUEST_MACS && (identity.kind === 'vm' || ports.has(ifindex));
      return { ...rest, identity, ifindex, ...(isTold && { guestMacs: [...macs].sort() }) };
    });
    this.#known = known;
    return result;
  }
}

/** What bridges have learned, by port, and the ports where they learn. */
function behindPorts({ links, forwarding }: Around) {
  const learned = new Map<number, string[]>();
  if (forwarding === undefined) {
    return { learned, ports: new Set<number>() };
  }
  for (const { port, mac } of forwarding) {
    learned.set(port, [...(learned.get(port) ?? []), mac]);
  }
  const bridges = new Set(links.filter(({ linkType }) => linkType === 'bridge').map(({ ifindex }) => ifindex));
  const ports = links.filter(({ master, learns }) => bridges.has(master) && learns !== false);
  return { learned, ports: new Set(ports.map(({ ifindex }) => ifindex)) };
}
