/**
 * Decides which devices can be mirrored, and as what. A `guest` device has a guest on its far side,
 * and receives the packets that the guest sends. An `edge` leads to the physical network. All other
 * devices are refused with a reason. Pure: one table decides.
 */
import type { Link } from '../netlink/link.ts';

/**
 * Why a device is refused as `guest` or as `edge`. Left out: it is accepted. A reason continues a
 * sentence after the name of the device: `is a bridge, …`.
 */
export interface Verdict {
  guest?: string;
  edge?: string;
  /** For an accepted guest device: why it cannot receive copies. */
  destination?: string;
}

const NO_GUEST = 'and it does not lead to a guest: declare it as an edge-connected interface';
const LEADS_TO_GUEST = 'which leads to a guest: give it an alias as vm or nfv';
const NAME_GUEST = 'use the tap or veth of the guest instead';
const DECLARE_NIC = 'declare the NIC instead';

function neither(what: string): Verdict {
  return { guest: `${what}: ${NAME_GUEST}`, edge: `${what}: ${DECLARE_NIC}` };
}

/**
 * The host's own end of a cable. The host's packets leave by this end, so its directions are those
 * of the host.
 */
const ownEnd = (what: string) => neither(`is ${what}, an end that belongs to the host`);
const tunnel = (what: string) => neither(`is ${what}, which carries encapsulated packets`);
const noEthernet = (what: string) => neither(`is ${what}, which carries no Ethernet frames`);

/** Verdict by the result of `kindOf`. docs/devices.md has the same table. */
export const DEVICE_KINDS: Readonly<Record<string, Verdict>> = {
  tap: { edge: `is a tap, ${LEADS_TO_GUEST}` },
  veth: {},
  'xen-vif': { edge: `is a port of Xen, ${LEADS_TO_GUEST}` },
  representor: { edge: `is the port of a virtual function, ${LEADS_TO_GUEST}` },
  physical: { guest: `is a physical NIC, ${NO_GUEST}` },
  bond: { guest: `is a bond, ${NO_GUEST}` },
  team: { guest: `is a team, ${NO_GUEST}` },
  vlan: { guest: `is a VLAN device, ${NO_GUEST}` },
  bridge: neither('is a bridge, which many guests share'),
  openvswitch: ownEnd('an internal port of Open vSwitch'),
  macvtap: {
    edge: `is a macvtap device, which leads to a guest: ${DECLARE_NIC}`,
    destination: 'is a macvtap device, so a copy would leave by the NIC: connect the guest to a bridge instead',
  },
  macvlan: ownEnd('a macvlan device'),
  ipvlan: ownEnd('an ipvlan device'),
  ipvtap: ownEnd('an ipvtap device'),
  macsec: ownEnd('a macsec device'),
  netkit: neither('is a netkit device, and container networks lead its traffic past the hooks'),
  dummy: neither('is a dummy device, which leads nowhere'),
  ifb: neither('is an ifb device, which carries packets that other devices redirect'),
  vrf: neither('is a VRF, which groups several devices'),
  vxlan: tunnel('a vxlan tunnel'),
  geneve: tunnel('a geneve tunnel'),
  gretap: tunnel('a gretap tunnel'),
  ip6gretap: tunnel('an ip6gretap tunnel'),
  erspan: tunnel('an erspan tunnel'),
  ip6erspan: tunnel('an ip6erspan tunnel'),
  tun: noEthernet('a tun device'),
  wireguard: noEthernet('a wireguard tunnel'),
  loopback: noEthernet('the loopback device'),
};

/** Kinds of devices with ports that are parts of the device and share its traffic. */
export const BONDS: ReadonlySet<string> = new Set(['bond', 'team']);
/**
 * Kinds of devices with ports that stay separate devices. Ports of all other kinds are parts of the
 * upper device.
 */
const SWITCHES = new Set(['bridge', 'openvswitch', 'vrf']);
/**
 * Port names of virtual functions and subfunctions in switchdev mode, such as `pf0vf3` and
 * `c1pf0sf7` (devlink_port_phys_port_name).
 */
const REPRESENTOR = /^(c\d+)?pf\d+(vf|sf)\d+$/;
const XEN_BACKEND = 'xen-backend';
/**
 * The most stacked devices that the kernel allows (MAX_NEST_DEV). It also ends circles in what
 * netlink reports of tunnels.
 */
const MAX_DEPTH = 8;
/**
 * The most ports of a bridge that a reason names, because messages to the controller have bounds.
 */
const MAX_NAMED = 3;

/**
 * Whether the device is the guest's own end of the cable, so that the guest's packets leave by it
 * (docs/adr/0026).
 */
export const isReversed = (link: Link): boolean => kindOf(link) === 'macvtap';

/**
 * Kinds of devices that are one end of a cable; the other end belongs to the network stack of the
 * guest.
 */
const CABLES: ReadonlySet<string> = new Set(['veth', 'netkit']);

/**
 * Whether the guest gets every packet of the device, and no packet passes without the guest. This
 * is so for a cable to the guest's network stack. A tap is different: it is opened, and accepts
 * frames, long before its guest runs.
 */
export const isCable = ({ linkType }: Pick<Link, 'linkType'>): boolean => CABLES.has(linkType);

/**
 * The kind of a device: a key of `DEVICE_KINDS`, or the kernel's name of the kind, or `unknown`.
 */
export function kindOf({ linkType, ethernet, loopback, tunTap, bus, portName }: Link): string {
  if (loopback) {
    return 'loopback';
  }
  if (linkType === 'tun') {
    return (tunTap ?? ethernet) ? 'tap' : 'tun';
  }
  if (bus && REPRESENTOR.test(portName ?? '')) {
    return 'representor';
  }
  // A simulated NIC behaves like a physical one. Only tests use it.
  if (linkType !== '' && linkType !== 'netdevsim') {
    return linkType;
  }
  if (bus === XEN_BACKEND) {
    return 'xen-vif';
  }
  return bus ? 'physical' : 'unknown';
}

/** All devices of a node, with look-ups of lower and upper devices. */
export interface LinkIndex {
  byIfindex: ReadonlyMap<number, Link>;
  /** Ports by the ifindex of their bridge, bond or similar device. */
  byMaster: ReadonlyMap<number, readonly Link[]>;
}

export function indexLinks(links: readonly Link[]): LinkIndex {
  const byIfindex = new Map(links.map((link) => [link.ifindex, link]));
  return { byIfindex, byMaster: Map.groupBy(links, ({ master }) => master) };
}

/**
 * Returns the verdict on a device.
 * @param all the devices of the node, because the verdict also depends on upper and lower devices
 */
export function judge(link: Link, all: LinkIndex, depth = MAX_DEPTH): Verdict {
  const kind = kindOf(link);
  const master = link.master === 0 ? undefined : all.byIfindex.get(link.master);
  if (master !== undefined && !SWITCHES.has(kindOf(master))) {
    const kindOfMaster = master.linkType === '' ? 'device' : master.linkType;
    const what = `is a slave of the ${kindOfMaster} ${master.name}`;
    return { guest: `${what}: ${NAME_GUEST}`, edge: `${what}: declare ${master.name} instead` };
  }
  const verdict = verdictOn(kind, link);
  if (depth === 0) {
    return verdict;
  }
  const edgeOf = (other: Link) => judge(other, all, depth - 1).edge;
  if (kind === 'bridge') {
    const ports = (all.byMaster.get(link.ifindex) ?? []).filter((port) => port.linkType !== 'veth');
    const names = ports.filter((port) => edgeOf(port) === undefined).map(({ name }) => name);
    const some = names.length > MAX_NAMED ? [...names.slice(0, MAX_NAMED), 'another'] : names;
    const instead = names.length === 0 ? 'the NIC that is its port' : `its port ${some.join(' or ')}`;
    return { ...verdict, edge: `is a bridge: declare ${instead} instead` };
  }
  const below = lower(link, all);
  if (below === undefined) {
    return verdict;
  }
  if (kind === 'vlan') {
    const refused = edgeOf(below);
    return refused === undefined
      ? verdict
      : { ...verdict, edge: `is a VLAN device of ${below.name}, which ${refused}` };
  }
  if (verdict.edge?.endsWith(DECLARE_NIC) && edgeOf(below) === undefined) {
    return { ...verdict, edge: verdict.edge.replace(DECLARE_NIC, `declare ${below.name} instead`) };
  }
  return verdict;
}

function verdictOn(kind: string, { ethernet }: Link): Verdict {
  const known = Object.hasOwn(DEVICE_KINDS, kind) ? DEVICE_KINDS[kind]! : undefined;
  if (!ethernet && !(known?.guest && known.edge)) {
    return noEthernet(`a device of kind ${kind}`);
  }
  if (known) {
    return known;
  }
  if (kind !== 'unknown') {
    return neither(`is of kind ${kind}; Mirrorplane does not know whether such a device leads to a guest or a network`);
  }
  return neither('is a virtual device, and the kernel does not say where it leads');
}

/**
 * The lower device of this one. Two devices that name each other are ends of a pair, and have no
 * lower device.
 */
export function lower({ peer, ifindex }: Link, { byIfindex }: LinkIndex): Link | undefined {
  const below = peer === undefined ? undefined : byIfindex.get(peer);
  return below?.peer === ifindex ? undefined : below;
}

/**
 * The hardware that carries the packets of a device: the device itself, the one below a VLAN
 * device, or the ports of a bond.
 */
export function hardwareOf(link: Link, all: LinkIndex, depth = MAX_DEPTH): Link[] {
  if (link.bus !== undefined) {
    return [link];
  }
  if (depth === 0) {
    return [];
  }
  const below = link.linkType === 'vlan' ? lower(link, all) : undefined;
  const ports = BONDS.has(link.linkType) ? (all.byMaster.get(link.ifindex) ?? []) : [];
  return [...(below ? [below] : []), ...ports].flatMap((one) => hardwareOf(one, all, depth - 1));
}

/**
 * Names of other devices that carry the same packets: those below a VLAN device, and the other end
 * of a veth pair if it is on this node.
 */
export function sharedWith(link: Link, { byIfindex }: LinkIndex): string[] {
  const names: string[] = [];
  let at = link;
  for (let depth = 0; depth < MAX_DEPTH && at.peer !== undefined && (at.linkType === 'vlan' || at === link); depth++) {
    const next = byIfindex.get(at.peer);
    if (next === undefined || (at.linkType !== 'vlan' && at.linkType !== 'veth')) {
      break;
    }
    names.push(next.name);
    at = next;
  }
  return names;
}
