/** The addresses of the node itself: traffic with them on an edge is not business traffic. */
import { networkInterfaces } from 'node:os';

/** IPv4 and IPv6 addresses of every device that is up, in the network namespace of the agent, sorted, each once. */
export function hostAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return [...new Set(addresses)].sort();
}
