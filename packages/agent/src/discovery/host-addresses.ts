/**
 * The addresses of the node itself. On an edge, traffic with these addresses is not business
 * traffic.
 */
import { networkInterfaces } from 'node:os';
import type { Link } from '../netlink/link.ts';

/**
 * IPv4 and IPv6 addresses of all devices that are up in the agent's network namespace. Sorted, each
 * once.
 */
export function hostAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return [...new Set(addresses)].sort();
}

/**
 * Remembers the addresses. Reading them lists all devices of the kernel, and waits for the lock of a
 * process that is making one: a pass for this device must not. A new device without addresses changes
 * nothing, and the kernel reports addresses.
 */
export class KnownHostAddresses {
  readonly #read: () => string[];
  #known: string[] | undefined;
  /** Devices when the addresses were read, by ifindex, and whether each was up. */
  #devices: ReadonlyMap<number, boolean> = new Map();

  /** @param read reads the addresses. Default `hostAddresses` */
  constructor(read: () => string[] = hostAddresses) {
    this.#read = read;
  }

  /** As `hostAddresses`. @param links the current devices */
  of(links: readonly Link[]): string[] {
    if (this.#known === undefined || this.#haveChanged(links)) {
      this.#devices = new Map(links.map(({ ifindex, up }) => [ifindex, up]));
      this.#known = this.#read();
    }
    return this.#known;
  }

  /** To be called when addresses have changed, or may have. */
  forget(): void {
    this.#known = undefined;
  }

  /** Whether one of the devices is gone, or has been set up or down. */
  #haveChanged(links: readonly Link[]): boolean {
    const known = links.filter(({ ifindex }) => this.#devices.has(ifindex));
    return known.length < this.#devices.size || known.some(({ ifindex, up }) => this.#devices.get(ifindex) !== up);
  }
}
