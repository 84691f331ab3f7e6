/**
 * Finds devices of this network namespace that lead into another one, and the name of their other
 * end. The agent does not enter the other namespace: a process with the right can ask the kernel
 * here (man 7 rtnetlink, RTM_GETNSID; since 4.20 IFLA_TARGET_NETNSID).
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { RtClient } from '../netlink/rt-client.ts';
import { attribute, attributes, getU32, macText, NetlinkError, RTM, text, u32 } from '../netlink/rtnetlink.ts';
import { errno } from './bounded-file.ts';

/** A device of this network namespace with its other end in another one. */
export interface FarEnd {
  /** Name and ifindex of the device in this namespace. */
  device: string;
  ifindex: number;
  /** Name of the other end, for example `eth0`. */
  name: string;
  mac: string;
}

/** A device of this namespace with its other end in another one. */
interface Near {
  device: string;
  ifindex: number;
  /** This namespace's number for the other namespace. */
  namespace: number;
  /** ifindex of the other end in its namespace. */
  far: number;
}

const RTM_GETNSID = 90;
const NETNSA = { NSID: 1, FD: 3 } as const;
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  LINK: 5,
  LINKINFO: 18,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  TARGET_NETNSID: 46,
} as const;
const IFLA_INFO_KIND = 1;
const IFINFOMSG = 16;
const SKIP_STATISTICS = attribute(IFLA.EXT_MASK, u32(1 << 3));
/** Kinds of devices that are pairs. Other kinds name their lower device. */
const PAIRS = new Set(['veth', 'netkit']);

/** The far ends of one moment. */
export class FarEnds {
  readonly #client: RtClient;
  readonly #near: readonly Near[];

  private constructor(client: RtClient, near: readonly Near[]) {
    this.#client = client;
    this.#near = near;
  }

  /** Reads the devices that lead into other namespaces. */
  static async read(client: RtClient): Promise<FarEnds> {
    const messages = await client.dump(RTM.GETLINK, Buffer.concat([Buffer.alloc(IFINFOMSG), SKIP_STATISTICS]));
    const near = messages.flatMap(({ type, data }) => {
      if (type !== RTM.NEWLINK || data.length < IFINFOMSG || data[0] !== 0) {
        return [];
      }
      const attrs = attributes(data, IFINFOMSG);
      const namespace = attrs.get(IFLA.LINK_NETNSID);
      const far = attrs.get(IFLA.LINK);
      const kind = text(attributes(attrs.get(IFLA.LINKINFO) ?? Buffer.alloc(0), 0).get(IFLA_INFO_KIND));
      if (namespace === undefined || far === undefined || !PAIRS.has(kind)) {
        return [];
      }
      const device = text(attrs.get(IFLA.IFNAME));
      return [{ device, ifindex: getU32(data, 4), namespace: getU32(namespace, 0), far: getU32(far, 0) }];
    });
    return new FarEnds(client, near);
  }

  /**
   * The devices that lead into a network namespace. None if the namespace is gone, or is this one.
   * @param path of the namespace, for example `/run/netns/blue` or `/proc/7/ns/net`
   * @throws NetlinkError if the file is no network namespace
   */
  async into(path: string): Promise<FarEnd[]> {
    const namespace = await this.#number(path);
    const leading = this.#near.filter((near) => near.namespace === namespace);
    const ends = await Promise.all(leading.map((near) => this.#end(near)));
    return ends.flatMap((end) => end ?? []);
  }

  async #number(path: string): Promise<number | undefined> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (errno(error) === 'ENOENT') {
        return undefined;
      }
      throw error;
    }
    try {
      const question = Buffer.concat([Buffer.alloc(4), attribute(NETNSA.FD, u32(file.fd))]);
      const [answer] = await this.#client.request(RTM_GETNSID, question);
      const number = answer && attributes(answer.data, 4).get(NETNSA.NSID);
      return number && getU32(number, 0);
    } finally {
      await file.close();
    }
  }

  async #end({ device, ifindex, namespace, far }: Near): Promise<FarEnd | undefined> {
    const header = Buffer.concat([Buffer.alloc(4), u32(far), Buffer.alloc(8)]);
    const question = Buffer.concat([header, attribute(IFLA.TARGET_NETNSID, u32(namespace)), SKIP_STATISTICS]);
    try {
      const [answer] = await this.#client.request(RTM.GETLINK, question);
      if (answer === undefined || answer.type !== RTM.NEWLINK) {
        return undefined;
      }
      const attrs = attributes(answer.data, IFINFOMSG);
      return { device, ifindex, name: text(attrs.get(IFLA.IFNAME)), mac: macText(attrs.get(IFLA.ADDRESS)) };
    } catch (error) {
      // The device, or its namespace, was removed since the listing.
      if (error instanceof NetlinkError && (error.code === 'ENODEV' || error.code === 'EINVAL')) {
        return undefined;
      }
      throw error;
    }
  }
}
