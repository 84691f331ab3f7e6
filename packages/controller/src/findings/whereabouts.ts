/** Where an interface is now, as the inventory says. */
import type { CurrentInventory } from '../inventory/current-inventory.ts';

/** Where an interface is, and the MAC addresses of its guest. */
export interface Whereabouts {
  /** Absent: it has no device now. */
  node?: string;
  macs: readonly string[];
}

/** The node of an interface, and the MAC addresses that its guest uses. */
export function whereabouts(inventory: CurrentInventory): (id: string) => Whereabouts {
  return (id) => {
    const { home, edge, devices = [] } = inventory.now().interfaces.find((one) => one.id === id) ?? {};
    const node = home ?? (devices.length > 0 ? edge?.node : undefined);
    const macs = devices.flatMap(({ guestMacs = [] }) => guestMacs).map((mac) => mac.toLowerCase());
    return { ...(node !== undefined && { node }), macs: [...new Set(macs)] };
  };
}
