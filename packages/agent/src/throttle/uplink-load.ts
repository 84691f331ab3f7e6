/** Reads the kernel's counts of a device and its queue. */
import { readFileSync } from 'node:fs';
import type { RtClient } from '../netlink/rt-client.ts';
import { attributes, getU32, NetlinkError, NLM_F_ECHO, RTM, text, u32 } from '../netlink/rtnetlink.ts';
import { deviceStatistics, getU64 } from '../netlink/statistics.ts';

/** Counts since the device was made. */
export interface Sending {
  bytes: number;
  packets: number;
  /** Undefined if the device has no queue. `kind`: the name in `tc`. */
  queue?: { kind: string; backlog: number; drops: number };
}

const TCMSG = 20;
const TC_H_ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_STATS2 = 7;
/**
 * struct gnet_stats_basic: bytes, packets; gnet_stats_queue: packets, backlog, drops, requeues,
 * overlimits.
 */
const TCA_STATS = { BASIC: 1, QUEUE: 3, PKT64: 8 } as const;

/**
 * Reads one device. Undefined if it is gone. @throws NetlinkError after another refusal of the
 * kernel
 */
export async function readSending(client: RtClient, ifindex: number): Promise<Sending | undefined> {
  try {
    // A queue counts a super-packet as its segments. A virtual device counts it as one packet.
    return (await queueStats(client, ifindex)) ?? (await linkStats(client, ifindex));
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') {
      return undefined;
    }
    throw error;
  }
}

async function queueStats(client: RtClient, ifindex: number): Promise<Sending | undefined> {
  const payload = Buffer.concat([u32(0), u32(ifindex), u32(0), u32(TC_H_ROOT), u32(0)]);
  let data: Buffer | undefined;
  try {
    data = (await client.request(RTM.GETQDISC, payload, NLM_F_ECHO)).find(({ type }) => type === RTM.NEWQDISC)?.data;
  } catch (error) {
    // The device has no queue.
    if (error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EINVAL')) {
      return undefined;
    }
    throw error;
  }
  const found = attributes(data ?? Buffer.alloc(0), TCMSG);
  const stats = found.get(TCA_STATS2);
  // Without a queue, packets are not counted there.
  const kind = text(found.get(TCA_KIND));
  if (!stats || kind === 'noqueue') {
    return undefined;
  }
  const parts = attributes(stats, 0);
  const basic = parts.get(TCA_STATS.BASIC);
  const queue = parts.get(TCA_STATS.QUEUE);
  if (!basic || !queue) {
    return undefined;
  }
  const packets = parts.get(TCA_STATS.PKT64);
  return {
    bytes: getU64(basic, 0),
    packets: packets ? getU64(packets, 0) : getU32(basic, 8),
    queue: { kind, backlog: getU32(queue, 4), drops: getU32(queue, 8) },
  };
}

async function linkStats(client: RtClient, ifindex: number): Promise<Sending | undefined> {
  const found = await deviceStatistics(client, ifindex);
  return found && { bytes: found.sentBytes, packets: found.sent };
}

/**
 * The link speed of a physical NIC, bytes a second. Undefined if the driver does not report it, or
 * /sys shows another network namespace.
 */
export function linkSpeed(device: string, ifindex: number): number | undefined {
  const read = (file: string) => Number(readFileSync(`/sys/class/net/${device}/${file}`, 'utf8'));
  try {
    const megabits = read('speed');
    return read('ifindex') === ifindex && megabits > 0 ? (megabits * 1_000_000) / 8 : undefined;
  } catch {
    return undefined;
  }
}
