/** Reads a device's own packet counts since its creation. */
import type { RtClient } from './rt-client.ts';
import { attributes, getU32, NetlinkError, RTM, u32 } from './rtnetlink.ts';

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

/** All counts of a device that are read. */
export interface AllStatistics extends DeviceStatistics {
  /** Received bytes. */
  receivedBytes: number;
  /** Packets that it had to send, and dropped. For a tap, because its guest has not read earlier ones. */
  sendDrops: number;
}

const IFINFOMSG = 16;
const IFLA_STATS64 = 23;
/** struct if_stats_msg, and its filter: include/uapi/linux/if_link.h. */
const IF_STATS_MSG = 12;
const IFLA_STATS_LINK_64 = 1;
const ONLY_LINK_64 = 1 << (IFLA_STATS_LINK_64 - 1);

/** Reads the statistics. Undefined if the device is gone. */
export async function deviceStatistics(client: RtClient, ifindex: number): Promise<DeviceStatistics | undefined> {
  const header = Buffer.concat([Buffer.alloc(4), u32(ifindex), Buffer.alloc(8)]);
  try {
    const [message] = await client.request(RTM.GETLINK, header);
    const stats = message && attributes(message.data, IFINFOMSG).get(IFLA_STATS64);
    return stats && parseStatistics(stats);
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') {
      return undefined;
    }
    throw error;
  }
}

/**
 * Reads the statistics of all devices, by ifindex. The kernel answers with some 220 bytes for each,
 * and with nothing else of the device (RTM_GETSTATS, since Linux 4.7). @throws NetlinkError
 */
export async function allStatistics(client: RtClient): Promise<Map<number, AllStatistics>> {
  const header = Buffer.concat([u32(0), u32(0), u32(ONLY_LINK_64)]);
  const found = new Map<number, AllStatistics>();
  for (const { data } of await client.dump(RTM.GETSTATS, header)) {
    const stats = data.length < IF_STATS_MSG ? undefined : attributes(data, IF_STATS_MSG).get(IFLA_STATS_LINK_64);
    const parsed = stats && parseStatistics(stats);
    if (parsed) {
      found.set(getU32(data, 4), parsed);
    }
  }
  return found;
}

function parseStatistics(stats: Buffer): AllStatistics | undefined {
  if (stats.length < 64) {
    return undefined;
  }
  return {
    received: getU64(stats, 0),
    sent: getU64(stats, 8),
    receivedBytes: getU64(stats, 16),
    sentBytes: getU64(stats, 24),
    sendDrops: getU64(stats, 56),
  };
}

/** A 64-bit number in host order. Counters stay below 2^53 for decades of line rate. */
export const getU64 = (data: Buffer, at: number): number =>
  Number(new BigUint64Array(new Uint8Array(data.subarray(at, at + 8)).buffer)[0]);
