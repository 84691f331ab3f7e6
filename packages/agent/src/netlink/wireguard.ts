/**
 * WireGuard devices by generic netlink, as include/uapi/linux/wireguard.h describes them. Keys go
 * from this process to the kernel, and nowhere else.
 */

import type { RtClient } from './rt-client.ts';
import { RtSync } from './rt-sync.ts';
import {
  attribute,
  attributes,
  getU16,
  ipv4Bytes,
  NetlinkError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM,
  repeated,
  u16,
  u32,
} from './rtnetlink.ts';

/** include/uapi/linux/netlink.h, genetlink.h. */
const NETLINK_GENERIC = 16;
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const NLA_F_NESTED = 0x8000;

const WG_CMD = { GET_DEVICE: 0, SET_DEVICE: 1 } as const;
const WG_GENL_VERSION = 1;
const WGDEVICE = { IFINDEX: 1, PRIVATE_KEY: 3, PUBLIC_KEY: 4, LISTEN_PORT: 6, PEERS: 8 } as const;
const WGPEER = { PUBLIC_KEY: 1, FLAGS: 3, ENDPOINT: 4, KEEPALIVE: 5, ALLOWEDIPS: 9 } as const;
const WGPEER_F_REMOVE_ME = 1;
const WGPEER_F_REPLACE_ALLOWEDIPS = 2;
const WGALLOWEDIP = { FAMILY: 1, IPADDR: 2, CIDR_MASK: 3 } as const;
const AF_INET = 2;

const IFLA = { IFNAME: 3, MTU: 4, LINKINFO: 18, INFO_KIND: 1 } as const;

/**
 * Seconds between packets that keep a session ready. Without them, a session ends after 180 seconds
 * without copies, and the kernel keeps only 128 packets until there is another one.
 */
const KEEPALIVE_SECONDS = 25;

/** Another node, as a device knows it. */
export interface WireguardPeer {
  /** 32 bytes. */
  publicKey: Buffer;
  /** IPv4 address and UDP port that packets are sent to. */
  endpoint: { address: string; port: number };
  /** The address that the peer may send with, and that packets for it have. */
  address: string;
}

/** What a device is set to. */
export interface WireguardSettings {
  /** 32 bytes. Left out: the device keeps its key. */
  privateKey?: Buffer;
  /** UDP port. Left out: the device keeps its port. */
  port?: number;
  /** Peers to add, or to change. A changed peer keeps its session. */
  peers: readonly WireguardPeer[];
  /** Public keys of peers to remove. */
  removed?: readonly Buffer[];
}

/** A device as the kernel has it. */
export interface WireguardDevice {
  /** 32 bytes. Undefined: it has no key yet. */
  publicKey: Buffer | undefined;
  port: number;
  /** Public keys of its peers. */
  peers: Buffer[];
}

/** Bytes of struct genlmsghdr. */
const GENL_HEADER = 4;

/** Peers of one request. The length of an attribute has 16 bits, and a peer takes some 100 bytes. */
const PEERS_AT_ONCE = 256;

/**
 * Requests that set a device: struct genlmsghdr and attributes. The first one has the key and the
 * port.
 */
export function encodeSettings(
  ifindex: number,
  { privateKey, port, peers, removed = [] }: WireguardSettings,
): Buffer[] {
  const gone = (key: Buffer) => [attribute(WGPEER.PUBLIC_KEY, key), attribute(WGPEER.FLAGS, u32(WGPEER_F_REMOVE_ME))];
  const all = [...removed.map(gone), ...peers.map(encodePeer)].map((parts) => nested(0, parts));
  const own = [
    ...(port === undefined ? [] : [attribute(WGDEVICE.LISTEN_PORT, u16(port))]),
    ...(privateKey === undefined ? [] : [attribute(WGDEVICE.PRIVATE_KEY, privateKey)]),
  ];
  const requests: Buffer[] = [];
  for (let at = 0; at === 0 || at < all.length; at += PEERS_AT_ONCE) {
    requests.push(
      Buffer.concat([
        Buffer.from([WG_CMD.SET_DEVICE, WG_GENL_VERSION, 0, 0]),
        attribute(WGDEVICE.IFINDEX, u32(ifindex)),
        ...(at === 0 ? own : []),
        nested(WGDEVICE.PEERS, all.slice(at, at + PEERS_AT_ONCE)),
      ]),
    );
  }
  return requests;
}

function encodePeer({ publicKey, endpoint, address }: WireguardPeer): Buffer[] {
  const allowed = [
    attribute(WGALLOWEDIP.FAMILY, u16(AF_INET)),
    attribute(WGALLOWEDIP.IPADDR, ipv4Bytes(address)),
    attribute(WGALLOWEDIP.CIDR_MASK, Buffer.from([32])),
  ];
  return [
    attribute(WGPEER.PUBLIC_KEY, publicKey),
    attribute(WGPEER.FLAGS, u32(WGPEER_F_REPLACE_ALLOWEDIPS)),
    attribute(WGPEER.ENDPOINT, socketAddress(endpoint)),
    attribute(WGPEER.KEEPALIVE, u16(KEEPALIVE_SECONDS)),
    nested(WGPEER.ALLOWEDIPS, [nested(0, allowed)]),
  ];
}

function nested(type: number, parts: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(parts));
}

/** struct sockaddr_in. */
function socketAddress({ address, port }: WireguardPeer['endpoint']): Buffer {
  const big = Buffer.alloc(2);
  big.writeUInt16BE(port);
  return Buffer.concat([u16(AF_INET), big, ipv4Bytes(address), Buffer.alloc(8)]);
}

/** Makes a device, down. @throws NetlinkError `EOPNOTSUPP` if the kernel has no WireGuard */
export async function addWireguard(client: RtClient, name: string, mtu: number): Promise<void> {
  const info = attribute(IFLA.INFO_KIND, Buffer.from('wireguard'));
  const attrs = [
    attribute(IFLA.IFNAME, Buffer.from(`${name}\0`)),
    attribute(IFLA.MTU, u32(mtu)),
    attribute(IFLA.LINKINFO, info),
  ];
  await client.request(RTM.NEWLINK, Buffer.concat([Buffer.alloc(16), ...attrs]), NLM_F_CREATE | NLM_F_EXCL);
}

/** A device from the messages of a dump. Many peers take several messages, and one may come twice. */
export function decodeDevice(messages: readonly Buffer[]): WireguardDevice {
  const parts = messages.map((data) => attributes(data, GENL_HEADER));
  const port = parts[0]?.get(WGDEVICE.LISTEN_PORT);
  const peers = parts
    .flatMap((part) => repeated(part.get(WGDEVICE.PEERS), 0))
    .flatMap((peer) => attributes(peer, 0).get(WGPEER.PUBLIC_KEY) ?? []);
  return {
    publicKey: parts[0]?.get(WGDEVICE.PUBLIC_KEY),
    port: port === undefined ? 0 : getU16(port, 0),
    peers: [...new Map(peers.map((key) => [key.toString('hex'), key])).values()],
  };
}

/** Why there is no WireGuard. */
const NONE = 'the kernel has no WireGuard';

/** The kernel's WireGuard. */
export class Wireguard {
  readonly #generic = new RtSync(NETLINK_GENERIC);
  #family: number | undefined;

  /** Loads the module if it is needed. @throws NetlinkError `ENOENT` if the kernel has no WireGuard */
  require(): void {
    this.#familyId();
  }

  /** @throws NetlinkError if the kernel refuses, for example `EADDRINUSE` for the port */
  set(ifindex: number, settings: WireguardSettings): void {
    for (const request of encodeSettings(ifindex, settings)) {
      this.#generic.request(this.#familyId(), request);
    }
  }

  /** @throws NetlinkError `ENODEV` if there is no such device */
  get(ifindex: number): WireguardDevice {
    const request = Buffer.concat([
      Buffer.from([WG_CMD.GET_DEVICE, WG_GENL_VERSION, 0, 0]),
      attribute(WGDEVICE.IFINDEX, u32(ifindex)),
    ]);
    return decodeDevice(this.#generic.dump(this.#familyId(), request).map(({ data }) => data));
  }

  close(): void {
    this.#generic.close();
  }

  #familyId(): number {
    this.#family ??= this.#ask();
    return this.#family;
  }

  #ask(): number {
    const request = Buffer.concat([
      Buffer.from([CTRL_CMD_GETFAMILY, 1, 0, 0]),
      attribute(CTRL_ATTR_FAMILY_NAME, Buffer.from('wireguard\0')),
    ]);
    const [answer] = this.#askController(request);
    const id = attributes(answer?.data ?? Buffer.alloc(GENL_HEADER), GENL_HEADER).get(CTRL_ATTR_FAMILY_ID);
    if (id === undefined) {
      throw new NetlinkError('ENOENT', NONE);
    }
    return getU16(id, 0);
  }

  #askController(request: Buffer) {
    try {
      return this.#generic.request(GENL_ID_CTRL, request);
    } catch (error) {
      throw error instanceof NetlinkError && error.code === 'ENOENT' ? new NetlinkError('ENOENT', NONE) : error;
    }
  }
}
