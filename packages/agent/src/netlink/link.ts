/** Reads and changes the devices of a network namespace. */
import type { RtClient } from './rt-client.ts';
import {
  attribute,
  attributes,
  getU16,
  getU32,
  macText,
  NetlinkError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM,
  type RtMessage,
  repeated,
  text,
  u32,
} from './rtnetlink.ts';

/** A device as the kernel reports it. */
export interface Link {
  name: string;
  ifindex: number;
  /** Lower case with colons. Empty without a link-layer address. */
  mac: string;
  /** The permanent address of the hardware. Empty if there is none. */
  permanentMac: string;
  /** Bytes. */
  mtu: number;
  /** Set up by the administrator (IFF_UP), with or without a carrier. */
  up: boolean;
  /** Kernel link kind, for example `veth` or `tun`. Empty for a physical NIC. */
  linkType: string;
  /** Text set with `ip link set DEV alias`. Empty if there is none. */
  alias: string;
  /** ifindex of the bridge or other device that it is a port of. 0: none. */
  master: number;
  /** For a port of a bridge: it forwards (STP state). True for all other devices. */
  forwarding: boolean;
  /** For a port of a bridge: it learns addresses of incoming frames. Default true. */
  learns?: boolean;
  /**
   * Kinds of frames that a bridge, or a port of a bridge, floods: bits of `FLOODED`. Default all.
   */
  floods?: number;
  /** It carries Ethernet frames (ARPHRD_ETHER) and is not the loopback device. */
  ethernet: boolean;
  /** It is the loopback device. Default false. */
  loopback?: boolean;
  /** For kind `tun`: it is a tap. Left out: the kernel does not report it. */
  tunTap?: boolean;
  /** Bus of the hardware, for example `pci` or `virtio`. Left out: no hardware. */
  bus?: string;
  /** Name of the port on its hardware, for example `p0` or `pf0vf1`. Left out: none. */
  portName?: string;
  /** Alternative names of the device. Default none. */
  altNames?: readonly string[];
  /**
   * Time of the kernel's first report of the device, in milliseconds of `performance.now()`. Left
   * out: it existed before.
   */
  seenAt?: number;
  /**
   * ifindex of its other end or of its lower device. Left out: there is none in this network
   * namespace.
   */
  peer?: number;
}

const AF_BRIDGE = 7;
/** Bytes of struct ifinfomsg. */
export const IFINFOMSG = 16;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_NOARP = 0x80;
const ARPHRD_ETHER = 1;
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  LINKINFO: 18,
  IFALIAS: 20,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  PHYS_PORT_NAME: 38,
  GSO_MAX_SEGS: 40,
  GSO_MAX_SIZE: 41,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
  PERM_ADDRESS: 54,
  PARENT_DEV_BUS_NAME: 57,
} as const;
const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_PRIVATE = 1;
/**
 * About the smallest limit that the kernel allows (MAX_TCP_HEADER), bytes. Super-packets are
 * larger.
 */
const LEAST_GSO_SIZE = 512;
const IFLA_TUN_TYPE = 3;
const IFF_TAP = 2;
const IFLA_BR_MCAST_SNOOPING = 23;
const IFLA_BRPORT = { STATE: 1, LEARNING: 8, UNICAST_FLOOD: 9, MCAST_FLOOD: 27, BCAST_FLOOD: 30 } as const;
const BR_STATE_FORWARDING = 3;
/** Leaves statistics out of the answer, which are half of it. */
const SKIP_STATISTICS = attribute(IFLA.EXT_MASK, u32(1 << 3));

/** Kinds of frames that bridges flood: unicast to addresses not learned, multicast, broadcast. */
export const FLOODED = { unicast: 1, multicast: 2, broadcast: 4 } as const;
const ALL_FLOODED = FLOODED.unicast | FLOODED.multicast | FLOODED.broadcast;

/**
 * Reads one RTM_NEWLINK. Undefined for messages that describe no device, for example of a bridge
 * port.
 */
export function parseLink(message: RtMessage): Link | undefined {
  const { data } = message;
  // A message of family AF_BRIDGE is about membership in a bridge. Its RTM_DELLINK does not mean
  // that the device was removed.
  if (message.type !== RTM.NEWLINK || data.length < IFINFOMSG || data[0] !== 0) {
    return undefined;
  }
  const attrs = attributes(data, IFINFOMSG);
  const flags = getU32(data, 8);
  const info = attributes(attrs.get(IFLA.LINKINFO) ?? Buffer.alloc(0), 0);
  const master = attrs.get(IFLA.MASTER);
  const mtu = attrs.get(IFLA.MTU);
  const peer = attrs.has(IFLA.LINK_NETNSID) ? undefined : attrs.get(IFLA.LINK);
  const permanent = macText(attrs.get(IFLA.PERM_ADDRESS));
  return {
    name: text(attrs.get(IFLA.IFNAME)),
    ifindex: getU32(data, 4),
    mac: macText(attrs.get(IFLA.ADDRESS)),
    permanentMac: /[1-9a-f]/.test(permanent) ? permanent : '',
    mtu: mtu === undefined ? 0 : getU32(mtu, 0),
    up: (flags & IFF_UP) !== 0,
    linkType: text(info.get(IFLA_INFO.KIND)),
    master: master === undefined ? 0 : getU32(master, 0),
    ...bridgePort(info),
    floods: floods(info),
    alias: text(attrs.get(IFLA.IFALIAS)),
    ethernet: getU16(data, 2) === ARPHRD_ETHER && (flags & IFF_LOOPBACK) === 0,
    ...kindFacts(attrs, info, flags),
    // 0: the other end is about to be made.
    ...(peer !== undefined && getU32(peer, 0) !== 0 && { peer: getU32(peer, 0) }),
  };
}

/** Fields that `kindOf` needs in addition to the kernel's kind. */
function kindFacts(attrs: ReadonlyMap<number, Buffer>, info: ReadonlyMap<number, Buffer>, flags: number) {
  const bus = text(attrs.get(IFLA.PARENT_DEV_BUS_NAME));
  const portName = text(attrs.get(IFLA.PHYS_PORT_NAME));
  const altNames = repeated(attrs.get(IFLA.PROP_LIST), IFLA.ALT_IFNAME).map(text);
  const isTun = text(info.get(IFLA_INFO.KIND)) === 'tun';
  const tunType = isTun
    ? attributes(info.get(IFLA_INFO.DATA) ?? Buffer.alloc(0), 0).get(IFLA_TUN_TYPE)?.[0]
    : undefined;
  return {
    ...((flags & IFF_LOOPBACK) !== 0 && { loopback: true }),
    ...(tunType !== undefined && { tunTap: tunType === IFF_TAP }),
    ...(bus !== '' && { bus }),
    ...(portName !== '' && { portName }),
    ...(altNames.length > 0 && { altNames }),
  };
}

/**
 * Reads whether a port forwards out of one RTM_NEWLINK of family AF_BRIDGE, and its ifindex.
 * Undefined for other messages.
 */
export function parsePort({ type, data }: RtMessage): { ifindex: number; forwarding: boolean } | undefined {
  const port =
    type === RTM.NEWLINK && data[0] === AF_BRIDGE ? attributes(data, IFINFOMSG).get(IFLA.PROTINFO) : undefined;
  const state = port && attributes(port, 0).get(IFLA_BRPORT.STATE)?.[0];
  return state === undefined ? undefined : { ifindex: getU32(data, 4), forwarding: state === BR_STATE_FORWARDING };
}

function bridgePort(info: ReadonlyMap<number, Buffer>): { forwarding: boolean; learns: boolean } {
  const data = info.get(IFLA_INFO.SLAVE_DATA);
  if (text(info.get(IFLA_INFO.SLAVE_KIND)) !== 'bridge' || data === undefined) {
    return { forwarding: true, learns: true };
  }
  const port = attributes(data, 0);
  return {
    forwarding: (port.get(IFLA_BRPORT.STATE)?.[0] ?? BR_STATE_FORWARDING) === BR_STATE_FORWARDING,
    learns: port.get(IFLA_BRPORT.LEARNING)?.[0] !== 0,
  };
}

function floods(info: ReadonlyMap<number, Buffer>): number {
  if (text(info.get(IFLA_INFO.KIND)) === 'bridge') {
    const snooping = attributes(info.get(IFLA_INFO.DATA) ?? Buffer.alloc(0), 0).get(IFLA_BR_MCAST_SNOOPING)?.[0];
    // With snooping, only the bridge itself knows whether it floods a group.
    return snooping === 0 ? ALL_FLOODED : ALL_FLOODED & ~FLOODED.multicast;
  }
  if (text(info.get(IFLA_INFO.SLAVE_KIND)) !== 'bridge') {
    return ALL_FLOODED;
  }
  const port = attributes(info.get(IFLA_INFO.SLAVE_DATA) ?? Buffer.alloc(0), 0);
  const bit = (attr: number, kind: number) => (port.get(attr)?.[0] === 0 ? 0 : kind);
  return (
    bit(IFLA_BRPORT.UNICAST_FLOOD, FLOODED.unicast) |
    bit(IFLA_BRPORT.MCAST_FLOOD, FLOODED.multicast) |
    bit(IFLA_BRPORT.BCAST_FLOOD, FLOODED.broadcast)
  );
}

/** Reads one device. Undefined if no device has this ifindex. */
export async function readLink(client: RtClient, ifindex: number): Promise<Link | undefined> {
  const header = Buffer.concat([Buffer.alloc(4), u32(ifindex), Buffer.alloc(8)]);
  try {
    const [message] = await client.request(RTM.GETLINK, Buffer.concat([header, SKIP_STATISTICS]));
    return message === undefined ? undefined : parseLink(message);
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') {
      return undefined;
    }
    throw error;
  }
}

/** Reads all devices, by ifindex. */
export async function dumpLinks(client: RtClient): Promise<Map<number, Link>> {
  const messages = await client.dump(RTM.GETLINK, Buffer.concat([Buffer.alloc(IFINFOMSG), SKIP_STATISTICS]));
  const links = messages.flatMap((message) => parseLink(message) ?? []);
  return new Map(links.map((link) => [link.ifindex, link]));
}

/** Changes of a device. */
export interface LinkChange {
  name?: string;
  alias?: string;
  mtu?: number;
  up?: true;
}

/** Changes a device. @throws NetlinkError if the kernel refuses */
export async function changeLink(
  client: RtClient,
  ifindex: number,
  { name, alias, mtu, up }: LinkChange,
): Promise<void> {
  const attrs: Buffer[] = [];
  if (name !== undefined) {
    attrs.push(attribute(IFLA.IFNAME, Buffer.from(`${name}\0`)));
  }
  if (alias !== undefined) {
    attrs.push(attribute(IFLA.IFALIAS, Buffer.from(alias)));
  }
  if (mtu !== undefined) {
    attrs.push(attribute(IFLA.MTU, u32(mtu)));
  }
  const flags = up ? IFF_UP : 0;
  await client.request(RTM.SETLINK, Buffer.concat([linkHeader(ifindex, flags), ...attrs]));
}

/** Deletes a device. Both ends of a veth pair are deleted. */
export async function deleteLink(client: RtClient, ifindex: number): Promise<void> {
  await client.request(RTM.DELLINK, linkHeader(ifindex, 0));
}

/** A new end of a pair: its name and its ifindex. For ifindex 0, the kernel chooses one. */
export type NewEnd = readonly [name: string, ifindex: number];

/**
 * Makes a veth pair without ARP, and down. @throws NetlinkError if a name or an ifindex is taken
 */
export async function addVethPair(client: RtClient, first: NewEnd, second: NewEnd): Promise<void> {
  const end = ([device, ifindex]: NewEnd) =>
    Buffer.concat([linkHeader(ifindex, IFF_NOARP), attribute(IFLA.IFNAME, Buffer.from(`${device}\0`))]);
  const info = Buffer.concat([
    attribute(IFLA_INFO.KIND, Buffer.from('veth')),
    attribute(IFLA_INFO.DATA, attribute(VETH_INFO_PEER, end(second))),
  ]);
  await client.request(
    RTM.NEWLINK,
    Buffer.concat([end(first), attribute(IFLA.LINKINFO, info)]),
    NLM_F_CREATE | NLM_F_EXCL,
  );
}

/**
 * Makes a macvlan over a device, and down. It accepts no super-packets, so the kernel divides those
 * that are sent into it.
 * @throws NetlinkError if the kernel has no macvlan, or the name is taken
 */
export async function addSegmentingMacvlan(client: RtClient, name: string, lower: number): Promise<void> {
  const info = Buffer.concat([
    attribute(IFLA_INFO.KIND, Buffer.from('macvlan')),
    attribute(IFLA_INFO.DATA, attribute(IFLA_MACVLAN_MODE, u32(MACVLAN_MODE_PRIVATE))),
  ]);
  const attrs = [
    attribute(IFLA.IFNAME, Buffer.from(`${name}\0`)),
    attribute(IFLA.LINK, u32(lower)),
    attribute(IFLA.GSO_MAX_SEGS, u32(1)),
    attribute(IFLA.GSO_MAX_SIZE, u32(LEAST_GSO_SIZE)),
    attribute(IFLA.LINKINFO, info),
  ];
  await client.request(RTM.NEWLINK, Buffer.concat([linkHeader(0, IFF_NOARP), ...attrs]), NLM_F_CREATE | NLM_F_EXCL);
}

/** A struct ifinfomsg that sets these flags and leaves all others. */
function linkHeader(ifindex: number, flags: number): Buffer {
  return Buffer.concat([Buffer.alloc(4), u32(ifindex), u32(flags), u32(flags)]);
}
