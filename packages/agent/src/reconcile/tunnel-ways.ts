/** The ways of encrypted copies of a program, and the devices of this node for them. Pure. */
import type { NodeProblem, NodeProgram, Tunnel } from '@mirrorplane/contract';
import type { Surroundings } from './surroundings.ts';

/** The address of the other node on the underlay, also if copies go by a tunnel. */
export function underlayAddress({ address, tunnel }: { address: string; tunnel?: Tunnel | undefined }): string {
  return tunnel?.endpoint.address ?? address;
}

/** ifindexes of the devices that are there. */
export function tunnelDevices({ tunnels }: Surroundings): number[] {
  return [...(tunnels?.values() ?? [])].flatMap((state) => ('ifindex' in state ? [state.ifindex] : []));
}

/**
 * ifindex of the device of a tunnel. 0: it is absent. Then copies are dropped, and never sent in
 * clear text.
 */
export function tunnelDevice({ ownKey }: Tunnel, { tunnels }: Surroundings): number {
  const state = tunnels?.get(ownKey);
  return state && 'ifindex' in state ? state.ifindex : 0;
}

/** Policies with copies that this node cannot encrypt or decrypt. Nothing of them is sent or delivered. */
export function untunnelled({ deliveries, terminations }: NodeProgram, { tunnels }: Surroundings): NodeProblem[] {
  const ways = [...deliveries.filter((delivery) => delivery.kind === 'erspan'), ...terminations];
  const whys = ways.flatMap(({ policy, tunnel }): [string, string][] => {
    const state = tunnel && (tunnels?.get(tunnel.ownKey) ?? { why: 'there is no WireGuard device' });
    return state && 'why' in state ? [[policy, state.why]] : [];
  });
  return [...new Map(whys)].map(([policy, message]) => ({ code: 'WIREGUARD_MISSING', message, policy }));
}
