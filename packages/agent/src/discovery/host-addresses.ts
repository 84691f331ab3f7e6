/**
 * The addresses of the node itself. On an edge, traffic with these addresses is not business
 * traffic.
 */
import { networkInterfaces } from 'node:os';

/**
 * IPv4 and IPv6 addresses of all devices that are up in the agent's network namespace. Sorted, each
 * once.
 */
export function hostAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return [...new Set(addresses)].sort();
}
