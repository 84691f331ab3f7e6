/**
 * The MAC addresses of guests. Nodes where copies may come back recognise copies of these guests by
 * them.
 */
import { MAX_GUEST_MACS } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';
import type { NodeDevice } from './devices.ts';
import type { ForwardingEntry } from './forwarding.ts';

/** Data that a guest's device is matched with. */
interface Around {
  links: readonly Link[];
  /** Forwarding tables of bridges. Undefined: they are not read. */
  forwarding?: readonly ForwardingEntry[] | undefined;
}

/**
 * Collects the addresses from identity providers, and from the forwarding table of the device's
 * bridge. A bridge forgets a silent address. Here an address stays for as long as the device
 * belongs to the guest, because frames to this address are still copied.
 */
export class GuestMacs {
  /** By ifindex. */
  #known: ReadonlyMap<number, { id: string; macs: ReadonlySet<string> }> = new Map();

  /** Adds `guestMacs` to guests' devices. Undefined: unknown, or more than MAX_GUEST_MACS. */
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
      const all = new Set([...kept, ...said, ...(learned.get(ifindex) ?? [])]);
      const macs = new Set([...all].slice(0, MAX_GUEST_MACS + 1));
      known.set(ifindex, { id: identity.id, macs });
      // A router or a firewall may forward frames of other hosts, and only a bridge that learns
      // sees their addresses.
      const isTold = macs.size > 0 && macs.size <= MAX_GUEST_MACS && (identity.kind === 'vm' || ports.has(ifindex));
      return { ...rest, identity, ifindex, ...(isTold && { guestMacs: [...macs].sort() }) };
    });
    this.#known = known;
    return result;
  }
}

/** Addresses that bridges have learned, by port, and the ports where bridges learn. */
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
