/** Where this node sends and receives ERSPAN: the device, its address and its MTU. */
import type { Underlay } from '@mirrorplane/contract';
import type { Link } from '../netlink/link.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import { AF_INET, attributes, getU32, ipv4Text, RTM, u32 } from '../netlink/rtnetlink.ts';
import { named } from './declared.ts';

/** The operator's settings for the underlay. */
export interface UnderlayOptions {
  /** Name of the mirror device. Undefined: this node does not use ERSPAN. */
  device: string | undefined;
  /** IPv4 address that overrides the one found on the device. */
  address: string | undefined;
}

/** The underlay and its device, or why there is none. */
export type UnderlayState =
  | { underlay: Underlay; ifindex: number; mac: string; up: boolean }
  | { underlay: undefined; why: string /** The operator named a device. */; asked: boolean };

/** The end of the underlay on this node: name and ifindex of its device, and its address. */
export interface UnderlayEnd {
  device: string;
  ifindex: number;
  /** Of the device, lower case with colons. */
  mac: string;
  /** IPv4 address. */
  address: string;
}

/** The end of the underlay, if it was found, up or down. */
export function underlayEnd(state: UnderlayState): UnderlayEnd | undefined {
  if (state.underlay === undefined) {
    return undefined;
  }
  const { device, address } = state.underlay;
  return { device, address, ifindex: state.ifindex, mac: state.mac };
}

const IFADDRMSG = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_SECONDARY = 1;
const RT_SCOPE_UNIVERSE = 0;

/** The IPv4 addresses of a device of global scope, primary ones first. */
export async function globalAddresses(client: RtClient, ifindex: number): Promise<string[]> {
  const header = Buffer.concat([Buffer.from([AF_INET, 0, 0, 0]), u32(0)]);
  const found: { address: string; secondary: boolean }[] = [];
  for (const message of await client.dump(RTM.GETADDR, header)) {
    const { data } = message;
    if (message.type !== RTM.NEWADDR || data.length < IFADDRMSG) {
      continue;
    }
    if (getU32(data, 4) !== ifindex || data[3] !== RT_SCOPE_UNIVERSE) {
      continue;
    }
    const attrs = attributes(data, IFADDRMSG);
    const address = attrs.get(IFA_LOCAL) ?? attrs.get(IFA_ADDRESS);
    if (address?.length === 4) {
      found.push({ address: ipv4Text(address), secondary: (data[2]! & IFA_F_SECONDARY) !== 0 });
    }
  }
  const primary = found.filter((entry) => !entry.secondary);
  return [...primary, ...found.filter((entry) => entry.secondary)].map((entry) => entry.address);
}

/** Caches the addresses of devices, so that a pass does not wait for unchanged addresses. */
export class KnownAddresses {
  readonly #client: RtClient;
  #known = new Map<number, string[]>();

  constructor(client: RtClient) {
    this.#client = client;
  }

  /** As `globalAddresses`. */
  async of(ifindex: number): Promise<string[]> {
    const known = this.#known;
    const addresses = known.get(ifindex) ?? (await globalAddresses(this.#client, ifindex));
    // The result goes into the earlier map, so that a `forget` during the query takes effect.
    known.set(ifindex, addresses);
    return addresses;
  }

  /** To be called when addresses have changed, or may have. */
  forget(): void {
    this.#known = new Map();
  }
}

/**
 * Finds the underlay among the devices of the node.
 * @param addresses of a device by ifindex, as `globalAddresses` gives them
 */
export async function findUnderlay(
  addresses: (ifindex: number) => Promise<string[]>,
  options: UnderlayOptions,
  links: readonly Link[],
): Promise<UnderlayState> {
  if (options.device === undefined) {
    return { underlay: undefined, why: 'the agent was started without --mirror-device', asked: false };
  }
  const none = (why: string) => ({ underlay: undefined, why: `the mirror device: ${why}`, asked: true });
  const [link] = named(links, options.device);
  if (link === undefined) {
    return none(`there is no device ${options.device}`);
  }
  if (!link.ethernet) {
    return none(`${link.name} is not an Ethernet device`);
  }
  const address = options.address ?? (await addresses(link.ifindex))[0];
  if (address === undefined) {
    return none(`${link.name} has no IPv4 address of global scope`);
  }
  return {
    underlay: {
      device: link.name,
      address,
      mtu: link.mtu,
      proves: true,
      lanes: true,
    },
    ifindex: link.ifindex,
    mac: link.mac,
    up: link.up,
  };
}
