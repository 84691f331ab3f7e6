/** What a device has carried since it was made, by its own count. */
import { attributes, NetlinkError, RTM, type RtClient, u32 } from './rtnetlink.ts';

/** Packets, a super-packet counting as one: struct rtnl_link_stats64, include/uapi/linux/if_link.h. */
export interface DeviceStatistics {
  /** What came in: of a tap, what its guest has sent. */
  received: number;
  /** What went out: of a tap, what its guest has taken. */
  sent: number;
  /** Bytes of that. */
  sentBytes: number;
}

const IFINFOMSG = 16;
const IFLA_STATS64 = 23;

/** Asks the kernel. Undefined where the device is gone. */
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

/** Host order; counters stay below 2^53 for decades of line rate. */
export const getU64 = (data: Buffer, at: number): number =>
  Number(new BigUint64Array(new Uint8Array(data.subarray(at, at + 8)).buffer)[0]);
