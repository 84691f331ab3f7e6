/** What the devices of a node carry, as its agent reads it from the kernel. */
import * as z from 'zod';
import { boundedList, MAX_BUDGETS, MAX_COUNT, MAX_DEVICES } from './bounds.ts';
import { Count } from './counters.ts';
import { DeviceName } from './names.ts';

/** Milliseconds between two readings of all devices. */
export const TRAFFIC_INTERVAL_MS = 2000;

/** Counts of one device since it was made, as its interface sees them. */
export const DeviceTraffic = z.object({
  ifindex: z.number().int().positive(),
  inbound: Count.meta({ description: 'Received by the interface. A super-packet counts as one packet.' }),
  outbound: Count.meta({ description: 'Sent by the interface. A super-packet counts as one packet.' }),
  unread: z.number().min(0).max(MAX_COUNT).optional().meta({
    description:
      'Packets that the device dropped because its guest had not read earlier ones. Absent: this kind of device does not say.',
  }),
});
export type DeviceTraffic = z.infer<typeof DeviceTraffic>;

/** A device by which copies may leave the node. */
export const UplinkSpeed = z.object({
  device: DeviceName,
  ifindex: z.number().int().positive(),
  bytesPerSecond: z.number().positive().max(MAX_COUNT).optional().meta({ description: 'Absent: not known.' }),
  throttled: z.boolean().meta({ description: 'Whether copies give way to service traffic there.' }),
});
export type UplinkSpeed = z.infer<typeof UplinkSpeed>;

/** Of the underlay, and of all devices with an identity: those whose counts have changed since the last report. */
export const TrafficReport = z.object({
  devices: boundedList(DeviceTraffic, MAX_DEVICES),
  uplinks: boundedList(UplinkSpeed, MAX_BUDGETS).optional().meta({
    description: 'The underlay, and the edges. Absent: they are in another part of the report.',
  }),
});
export type TrafficReport = z.infer<typeof TrafficReport>;

/**
 * Bytes around a frame on a wire of Ethernet: preamble and start of frame 8, checksum 4, gap 12
 * (IEEE 802.3).
 */
export const AROUND_FRAME = 24;
/** Bytes that an 802.1Q tag adds to a copy. */
export const VLAN_TAG = 4;

/** The share of the speed of an uplink that originals and copies may use together. */
export const UPLINK_SHARE = 0.9;
/** What copies always get: this share of the speed, but at least so many bytes a second. */
const LEAST_SHARE = 0.01;
const LEAST = 125_000;

/** The least that copies get of an uplink, bytes a second. @param speed undefined: not known */
export function leastForCopies(speed: number | undefined): number {
  return Math.max(LEAST, speed === undefined ? 0 : LEAST_SHARE * speed);
}

/** What service traffic leaves for copies of an uplink, all in bytes a second as on the wire. */
export function roomForCopies(speed: number, service: number): number {
  return Math.max(leastForCopies(speed), UPLINK_SHARE * speed - service);
}
