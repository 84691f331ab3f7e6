/**
 * Checks whether an agent's underlay can be its own. With a false address, copies of others would
 * go there.
 */
import { type NodeProblem, tunnelAddress, type Underlay } from '@mirrorplane/contract';

/**
 * Limits of the MTU, bytes: every host must accept IPv4 packets of 576 bytes (RFC 791, section
 * 3.1), and no packet exceeds 65,535.
 */
const MTU = { least: 576, most: 65_535 };

/**
 * Why an underlay is refused. Undefined: it is accepted.
 * @param others the underlays of the other registered nodes
 */
export function underlayProblem(
  { address, mtu, wireguard }: Underlay,
  others: Iterable<{ name: string; underlay?: Underlay | undefined }>,
): NodeProblem | undefined {
  const refuse = (why: string) => ({ code: 'NODE_UNDERLAY_REFUSED', message: `its mirror address ${address} ${why}` });
  const kind = specialUse(address);
  if (kind !== undefined) {
    return refuse(`is ${kind}: start its agent with --mirror-address and an address that other nodes can reach`);
  }
  if (mtu < MTU.least || mtu > MTU.most) {
    return refuse(`is on a device with MTU ${mtu}: set one from ${MTU.least} to ${MTU.most}`);
  }
  const inTunnel = wireguard && tunnelAddress(wireguard.publicKey);
  for (const { name, underlay } of others) {
    if (inTunnel !== undefined && underlay?.wireguard && tunnelAddress(underlay.wireguard.publicKey) === inTunnel) {
      return refuse(
        `comes with the WireGuard key of node "${name}": remove wireguard.json in the data folder of one of them, and restart its agent`,
      );
    }
    if (underlay?.address === address) {
      return refuse(`already belongs to node "${name}": give this node another address, or delete node "${name}"`);
    }
  }
  return undefined;
}

/**
 * The special use of an address that is not the address of one host (RFC 6890, section 2.2.2; RFC
 * 1112, section 4).
 */
function specialUse(address: string): string | undefined {
  const [first, second] = address.split('.').map(Number) as [number, number];
  if (first === 0) {
    return 'of "this network"';
  }
  if (first === 127) {
    return 'a loopback address';
  }
  if (first === 169 && second === 254) {
    return 'a link-local address';
  }
  if (first >= 224 && first < 240) {
    return 'a multicast address';
  }
  return first >= 240 ? 'a broadcast or reserved address' : undefined;
}
