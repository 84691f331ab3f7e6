/**
 * The addresses of the node itself. On an edge, traffic with these addresses is not business
 * traffic.
 */
import { RtSync } from '../netlink/rt-sync.ts';
import { AF_INET, attributes, ipv4Text, RTM } from '../netlink/rtnetlink.ts';

/** struct ifaddrmsg and its attributes, include/uapi/linux/if_addr.h. */
const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const AF_INET6 = 10;

/**
 * IPv4 and IPv6 addresses of all devices of a network namespace, with and without a carrier. Sorted,
 * each once. @throws NetlinkError
 */
export function hostAddresses(socket: RtSync): string[] {
  const found = new Set<string>();
  for (const { type, data } of socket.dump(RTM.GETADDR, Buffer.alloc(IFADDRMSG))) {
    if (type !== RTM.NEWADDR || data.length < IFADDRMSG) {
      continue;
    }
    const attrs = attributes(data, IFADDRMSG);
    const address = attrs.get(IFA_LOCAL) ?? attrs.get(IFA_ADDRESS);
    if (data[0] === AF_INET && address?.length === 4) {
      found.add(ipv4Text(address));
    } else if (data[0] === AF_INET6 && address?.length === 16) {
      found.add(ipv6Text(address));
    }
  }
  return [...found].sort();
}

function ipv6Text(bytes: Buffer): string {
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(2 * group).toString(16)).join(':');
}

/**
 * Remembers the addresses of the node. The kernel reports changes of addresses, and a pass for a device
 * that has just appeared must ask for nothing that has not changed.
 */
export class KnownHostAddresses {
  readonly #socket = new RtSync();
  readonly #read: () => string[];
  #known: string[] | undefined;

  /** @param read reads the addresses. Default: `hostAddresses` of this network namespace */
  constructor(read?: () => string[]) {
    this.#read = read ?? (() => hostAddresses(this.#socket));
  }

  /** As `hostAddresses`. */
  current(): string[] {
    this.#known ??= this.#read();
    return this.#known;
  }

  /** To be called when addresses have changed, or may have. */
  forget(): void {
    this.#known = undefined;
  }

  close(): void {
    this.#socket.close();
  }
}
