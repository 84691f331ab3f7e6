/** Checks the mirror device. */
import { named } from '../discovery/declared.ts';
import { globalAddresses } from '../discovery/underlay.ts';
import { dumpLinks, type Link } from '../netlink/link.ts';
import { RtClient } from '../netlink/rt-client.ts';
import { type Check, failed, ok, warning } from './check.ts';

export interface MirrorDeviceFacts {
  /** The operator's name of the device. */
  name: string;
  /** The device with this name or alternative name. Undefined: none. */
  link: Link | undefined;
  /** Its IPv4 addresses of global scope. */
  addresses: readonly string[];
  /** The bridge, bond or team above it, which then has the address. Undefined: none. */
  master: string | undefined;
  /** Physical devices that are up. */
  others: readonly string[];
}

/** Kinds of devices that have the address in place of their ports. */
const TAKE_ADDRESS = new Set(['bridge', 'bond', 'team']);

/**
 * Looks for the device in the network namespace of this process. @param name the operator's name
 */
export async function readMirrorDevice(name: string): Promise<MirrorDeviceFacts> {
  const client = new RtClient();
  try {
    const all = [...(await dumpLinks(client)).values()];
    const [link] = named(all, name);
    const addresses = link === undefined ? [] : await globalAddresses(client, link.ifindex);
    const master = all.find(({ ifindex, linkType }) => ifindex === link?.master && TAKE_ADDRESS.has(linkType))?.name;
    const others = all.filter(({ ethernet, up, linkType }) => ethernet && up && linkType === '');
    return { name, link, addresses, master, others: others.map((other) => other.name) };
  } finally {
    client.close();
  }
}

/** Bytes of the MTU for ERSPAN headers: IPv4, GRE, ERSPAN II, and the inner Ethernet header. */
const OVERHEAD = 50;
/** The MTU of most interfaces. */
const USUAL_MTU = 1500;
const NAME_ANOTHER = 'give the device of the underlay with --mirror-device';

export interface MirrorDeviceQuestion {
  /** Address set by the operator. Undefined: the first one of the device. */
  address: string | undefined;
  /** The node has enrolled. */
  joined: boolean;
}

/**
 * Checks the mirror device. Some problems may disappear later, for example a NIC that appears late.
 * They fail a node that has not enrolled. For an enrolled node they are warnings, because its agent
 * can carry out policies that need no other node.
 */
export function judgeMirrorDevice(facts: MirrorDeviceFacts, { address, joined }: MirrorDeviceQuestion): Check {
  const { link, addresses, master, others } = facts;
  const lacks = (found: string, remedy: string) =>
    joined
      ? warning('mirror-device', `${found}: no copies to and from other nodes until this is corrected`, remedy)
      : failed('mirror-device', found, remedy);
  if (link === undefined) {
    const candidates = others.length === 0 ? '' : `, as ${others.slice(0, 8).join(' or ')}`;
    return lacks(`there is no device ${facts.name}`, `${NAME_ANOTHER}${candidates}`);
  }
  const name = link.name === facts.name ? link.name : `${facts.name} (${link.name})`;
  if (link.name === 'lo') {
    return failed('mirror-device', 'lo does not reach other nodes', NAME_ANOTHER);
  }
  if (!link.ethernet) {
    return failed('mirror-device', `${name} is not an Ethernet device`, NAME_ANOTHER);
  }
  if (!link.up) {
    return lacks(`${name} is down`, `run "ip link set ${link.name} up"`);
  }
  if (addresses.length === 0) {
    const found = `${name} has no IPv4 address of global scope`;
    if (master !== undefined) {
      return lacks(`${found}, and is part of ${master}`, `${NAME_ANOTHER}, as ${master}`);
    }
    return lacks(found, `give it one: "ip addr add ADDRESS/PREFIX dev ${link.name}"`);
  }
  const used = address ?? addresses[0]!;
  if (!addresses.includes(used)) {
    const found = `${name} has the addresses ${addresses.join(', ')}, but not ${used}`;
    return lacks(found, 'give one of them with --mirror-address');
  }
  const found = `${name}, ${used}, MTU ${link.mtu}`;
  const whole = link.mtu - OVERHEAD;
  if (whole >= USUAL_MTU) {
    return ok('mirror-device', found);
  }
  return ok(
    'mirror-device',
    `${found}: of packets with more than ${whole} bytes, TCP is split and others are truncated`,
  );
}
