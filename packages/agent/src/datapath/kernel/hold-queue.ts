/**
 * The queue in which copies wait for a guest that is about to leave: TBF on the peer of the helper
 * device, with pfifo_head_drop inside, which keeps the newest. See packages/bpf/src/hold.h.
 */
import { RtClient } from '../../netlink/rt-client.ts';
import {
  attribute,
  attributes,
  getU32,
  NetlinkError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM,
  u32,
} from '../../netlink/rtnetlink.ts';

/**
 * The most copies that are held, for all guests of a node together. Beyond it, the oldest are
 * dropped.
 */
export const HELD_MOST = 4096;
/**
 * Bytes a second. While holding, unread copies circulate at this rate. It is low, but the first
 * copy of the queue is checked again within milliseconds. After the guest has left, there is in
 * effect no limit.
 */
const RATE = { holding: 500_000, releasing: 4_000_000_000 } as const;
/** Bytes that may pass at once: enough for the longest super-packet. */
const BURST = 128 * 1024;

/** include/uapi/linux/rtnetlink.h, pkt_sched.h, gen_stats.h. */
const TCA = { KIND: 1, OPTIONS: 2, STATS2: 7 } as const;
const TCA_TBF = { PARMS: 1, BURST: 6 } as const;
const TCA_STATS_QUEUE = 3;
const TC_LINKLAYER_ETHERNET = 1;
const TC_H_ROOT = 0xffffffff;
/** `1:` with its only class `1:1`, and `2:` inside. */
const OUTER = 0x10000;
const CLASS = 0x10001;
const INNER = 0x20000;

/** The rate of the queue. */
export type HoldRate = keyof typeof RATE;

export class HoldQueue {
  readonly #client: RtClient;

  /**
   * @param client rtnetlink client; `close` closes it. Default one for the network namespace of
   * this process
   */
  constructor(client = new RtClient()) {
    this.#client = client;
  }

  /** Makes the queue on a device if it is absent. @throws NetlinkError if the kernel has no TBF */
  async ensure(ifindex: number): Promise<void> {
    if (await this.#find(ifindex)) {
      return;
    }
    // The class stays empty until the inner queue is made: a limit would make the kernel add
    // another inner queue.
    await this.#outer(ifindex, 'holding', 0, NLM_F_CREATE | NLM_F_EXCL);
    const options = Buffer.concat([
      attribute(TCA.KIND, Buffer.from('pfifo_head_drop\0')),
      attribute(TCA.OPTIONS, u32(HELD_MOST)),
    ]);
    await this.#client.request(
      RTM.NEWQDISC,
      Buffer.concat([header(ifindex, INNER, CLASS), options]),
      NLM_F_CREATE | NLM_F_EXCL,
    );
  }

  async setRate(ifindex: number, rate: HoldRate): Promise<void> {
    await this.#outer(ifindex, rate, HELD_MOST, 0);
  }

  /** Removes the queue with its contents. */
  async remove(ifindex: number): Promise<void> {
    try {
      await this.#client.request(RTM.DELQDISC, header(ifindex, OUTER, TC_H_ROOT));
    } catch (error) {
      // The queue or its device is already gone.
      if (!(error instanceof NetlinkError)) {
        throw error;
      }
    }
  }

  /** Number of waiting copies. 0 without a queue. */
  async length(ifindex: number): Promise<number> {
    const found = await this.#find(ifindex);
    const queue =
      found && attributes(attributes(found, TCMSG).get(TCA.STATS2) ?? Buffer.alloc(0), 0).get(TCA_STATS_QUEUE);
    return queue === undefined ? 0 : getU32(queue, 0); // struct gnet_stats_queue: qlen first
  }

  close(): void {
    this.#client.close();
  }

  async #find(ifindex: number): Promise<Buffer | undefined> {
    const messages = await this.#client.dump(RTM.GETQDISC, header(ifindex, 0, 0));
    return messages.find(({ data }) => getU32(data, 4) === ifindex && getU32(data, 8) === OUTER)?.data;
  }

  async #outer(ifindex: number, rate: HoldRate, limit: number, flags: number): Promise<void> {
    // struct tc_tbf_qopt: rate, no peak rate, limit, buffer (BURST says it), mtu of the peak rate
    const parameters = Buffer.concat([rateSpec(RATE[rate]), Buffer.alloc(12), u32(limit), u32(0), u32(0)]);
    const options = [attribute(TCA_TBF.PARMS, parameters), attribute(TCA_TBF.BURST, u32(BURST))];
    const payload = [
      header(ifindex, OUTER, TC_H_ROOT),
      attribute(TCA.KIND, Buffer.from('tbf\0')),
      attribute(TCA.OPTIONS, Buffer.concat(options)),
    ];
    await this.#client.request(RTM.NEWQDISC, Buffer.concat(payload), flags);
  }
}

/** struct tcmsg: family, ifindex, handle, parent, info. */
const TCMSG = 20;
function header(ifindex: number, handle: number, parent: number): Buffer {
  return Buffer.concat([Buffer.alloc(4), u32(ifindex), u32(handle), u32(parent), u32(0)]);
}

/** struct tc_ratespec, for Ethernet, so that the kernel needs no table of rates. */
function rateSpec(rate: number): Buffer {
  const spec = Buffer.alloc(12);
  spec.writeUInt8(TC_LINKLAYER_ETHERNET, 1);
  u32(rate).copy(spec, 8);
  return spec;
}
