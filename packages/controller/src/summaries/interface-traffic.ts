/** What an interface carries, as the device of its guest counts it. */
import type { DestinationSummary, Interface, InterfaceTraffic } from '@mirrorplane/contract';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';

type Placed = Pick<Interface, 'home' | 'edge' | 'devices'>;

/** The device of its guest, where the agent is connected. */
function deviceOf({ home, edge, devices }: Placed, live: LiveNodes): { node: LiveNode; ifindex: number } | undefined {
  const device = devices.findLast(({ node }) => node === (home ?? edge?.node)) ?? devices.at(-1);
  const node = device && live.get(device.node);
  return node?.connected ? { node, ifindex: device!.ifindex } : undefined;
}

/** The mean of the last minute. Undefined: it has no device, or its agent has not told of it twice. */
export function interfaceTraffic(item: Placed, live: LiveNodes): InterfaceTraffic | undefined {
  const device = deviceOf(item, live);
  const rate = device?.node.traffic.rate(device.ifindex, live.steady());
  return (
    rate && {
      inbound: perSecond(rate.inbound),
      outbound: perSecond(rate.outbound),
      unread: rate.unread === undefined ? null : rounded(rate.unread),
      seconds: Math.round(rate.seconds),
    }
  );
}

/** Whether the guest of an interface reads what its device is given. Null: not known. */
export function interfaceReading(item: Placed | undefined, live: LiveNodes): DestinationSummary['reading'] {
  const device = item && deviceOf(item, live);
  const reading = device?.node.traffic.reading(device.ifindex, live.steady());
  return reading ? { read: rounded(reading.read), unread: rounded(reading.unread) } : null;
}

function perSecond({ packets, bytes }: { packets: number; bytes: number }) {
  return { packetsPerSecond: rounded(packets), bitsPerSecond: rounded(8 * bytes) };
}

/** Three digits: a rate that changes by less has not changed for its readers. */
function rounded(rate: number): number {
  return Number(rate.toPrecision(3));
}
