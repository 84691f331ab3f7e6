/**
 * Reads the devices that have to carry what leaves by a device: what they have sent, and what they
 * can send.
 */
import { AROUND_FRAME } from '@mirrorplane/contract';
import { type Carrier, carriersOf } from '../discovery/carriers.ts';
import type { Link } from '../netlink/link.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import { linkSpeed, readSending, type Sending } from './uplink-load.ts';

/** Queues with a configured rate. */
const SHAPERS = new Set(['tbf', 'htb', 'hfsc', 'cake', 'netem', 'cbq', 'taprio']);

/** Sent bytes of a carrier, and its speed in bytes a second. Undefined: unknown. */
export interface CarrierReading extends Sending {
  ifindex: number;
  capacity: number | undefined;
  /** A virtual device accepts all packets. Hardware accepts no more than it can send. */
  isVirtual: boolean;
}

export interface CarrierParts {
  client: RtClient;
  /** Speeds of devices by name, in Mbit/s, as set by the operator. */
  rates?: Readonly<Record<string, number>>;
}

/** Reads each carrier of `link` that can be read. */
export async function readCarriers(
  link: Link,
  links: readonly Link[],
  { client, rates }: CarrierParts,
): Promise<CarrierReading[]> {
  const readings: CarrierReading[] = [];
  for (const carrier of carriersOf(link, links)) {
    const { ifindex, linkType, bus } = carrier.link;
    const isVirtual = linkType !== '' && bus === undefined;
    const sending = await readSending(client, ifindex);
    if (sending) {
      readings.push({ ...sending, ifindex, capacity: capacityOf(carrier, link, rates), isVirtual });
    }
  }
  return readings;
}

/**
 * Speed of a device by which packets leave the node, bytes a second: the lowest of its carriers.
 * Undefined: not known.
 */
export function speedOf(link: Link, links: readonly Link[], rates?: CarrierParts['rates']): number | undefined {
  const known = carriersOf(link, links).flatMap((carrier) => capacityOf(carrier, link, rates) ?? []);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** Speed in bytes a second. The speed of a virtual device has no meaning. */
function capacityOf({ link, whole }: Carrier, { name }: Link, rates: CarrierParts['rates']): number | undefined {
  const megabits = rates?.[link.name] ?? (whole ? rates?.[name] : undefined);
  if (megabits !== undefined) {
    return (megabits * 1_000_000) / 8;
  }
  return link.linkType === '' ? linkSpeed(link.name, link.ifindex) : undefined;
}

/** Whether saturation of the device can be detected: by its speed, or by a growing queue. */
export function givesWay({ capacity, queue, isVirtual }: CarrierReading): boolean {
  if (capacity !== undefined) {
    return true;
  }
  return queue !== undefined && (!isVirtual || SHAPERS.has(queue.kind));
}

/** Sent bytes, including the bytes around frames on a wire. */
export function wireBytes({ bytes, packets }: Sending): number {
  return bytes + packets * AROUND_FRAME;
}
