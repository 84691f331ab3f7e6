/** Reads a device's own packet counts since its creation. */
import { attributes, NetlinkError, RTM, type RtClient, u32 } from './rtnetlink.ts';

/**
 * Packet counts, where a super-packet counts as one: struct rtnl_link_stats64,
 * include/uapi/linux/if_link.h.
 */
export interface DeviceStatistics {
  /** Received packets. For a tap, packets that its guest has sent. */
  received: number;
  /** Sent packets. For a tap, packets that its guest has read. */
  sent: number;
  /** Sent bytes. */
  sentBytes: number;
}

const IFINFOMSG = 16;
const IFLA_STATS64 = 23;

/** Reads the statistics. Undefined if the device is gone. */
export async function deviceStatistics(client: RtClient, ifindex: number): Promise<DeviceStatistics | undefined> {
  const header = Buffer.concat([Buffer.alloc(4), u32(ifindex), Buffer.alloc(8)]);
  try {
    const [message] = await client.request(RTM.GETLINK, header);
    const stats = message && attributes(message.data, IFINFOMSG).get(IFLA_STATS64);
    if (stats === undefined || stats.length < 32) {
      return undefined;
    }
    return { received: getU64(stats, 0), sent: getU64(stats, 8), sentBytes: getU64(stats, 24) };
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') {
      return undefined;
    }
    throw error;
  }
}

/** A 64-bit number in host order. Counters stay below 2^53 for decades of line rate. */
export const getU64 = (data: Buffer, at: number): number =>
  Number(new BigUint64Array(new Uint8Array(data.subarray(at, at + 8)).buffer)[0]);
