/** What an interface carries, as the device of its guest counts it. */
import type { Interface, InterfaceTraffic } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';

/** The mean of the last minute. Undefined: it has no device, or its agent has not told of it twice. */
export function interfaceTraffic(
  { home, edge, devices }: Pick<Interface, 'home' | 'edge' | 'devices'>,
  live: LiveNodes,
): InterfaceTraffic | undefined {
  const device = devices.findLast(({ node }) => node === (home ?? edge?.node)) ?? devices.at(-1);
  const node = device && live.get(device.node);
  const rate = node?.connected ? node.traffic.rate(device!.ifindex, live.now()) : undefined;
  return (
    rate && {
      inbound: perSecond(rate.inbound),
      outbound: perSecond(rate.outbound),
      seconds: Math.round(rate.seconds),
    }
  );
}

/** Three digits: a rate that changes by less has not changed for its readers. */
function perSecond({ packets, bytes }: { packets: number; bytes: number }) {
  return { packetsPerSecond: Number(packets.toPrecision(3)), bitsPerSecond: Number((8 * bytes).toPrecision(3)) };
}
