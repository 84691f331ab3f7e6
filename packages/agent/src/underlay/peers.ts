/** The WireGuard peers that a program needs. Pure. */
import { type NodeProgram, type Tunnel, tunnelAddress } from '@mirrorplane/contract';
import type { WireguardPeer } from '../netlink/wireguard.ts';

function tunnelsOf({ deliveries, terminations }: NodeProgram): Tunnel[] {
  const ways = [...deliveries.filter((delivery) => delivery.kind === 'erspan'), ...terminations];
  return ways.flatMap(({ tunnel }) => tunnel ?? []);
}

/** Peers by own public key, and then by the public key of the peer: only nodes of paths of this node. */
export function peersOf(program: NodeProgram): Map<string, Map<string, WireguardPeer>> {
  const byOwn = new Map<string, Map<string, WireguardPeer>>();
  for (const { ownKey, peerKey, endpoint } of tunnelsOf(program)) {
    const peers = byOwn.get(ownKey) ?? new Map<string, WireguardPeer>();
    byOwn.set(ownKey, peers);
    if (!peers.has(peerKey)) {
      peers.set(peerKey, {
        publicKey: Buffer.from(peerKey, 'base64'),
        endpoint,
        address: tunnelAddress(peerKey),
      });
    }
  }
  return byOwn;
}

/** Own public keys that a program names. */
export function ownKeys(program: NodeProgram): ReadonlySet<string> {
  return new Set(tunnelsOf(program).map(({ ownKey }) => ownKey));
}
