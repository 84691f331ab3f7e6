/** Devices with their identities. The node reports them, and its program refers to them. */
import { type Device, type EdgeBinding, type NodeProblem, whyNotMirrorable } from '@mirrorplane/contract';
import { isHelper } from '../netlink/helper-pair.ts';
import type { Link } from '../netlink/link.ts';
import { type AliasResult, parseAlias } from './alias.ts';
import { bindEdges } from './declared.ts';
import { hardwareOf, indexLinks, isReversed, judge, kindOf, type LinkIndex, sharedWith } from './device-kinds.ts';
import type { Claim } from './provider.ts';

/** A device with fields that only the agent needs. */
export interface NodeDevice extends Device {
  /** It carries Ethernet frames. */
  ethernet: boolean;
  /** It is the guest's own end of the cable: packets of the guest leave by it. Default false. */
  reversed?: boolean;
  /**
   * The controller says that its guest is on another node, and no provider on this node reports
   * that the guest has come. Default false.
   */
  expected?: boolean;
}

/** Why the device cannot be used for its interface, beginning with its name. Undefined: it can. */
export function refusalOf({ name, identity, notMirrorable }: Device): string | undefined {
  const why = identity && whyNotMirrorable({ notMirrorable }, identity.kind);
  return why === undefined ? undefined : `${name} ${why}`;
}

/**
 * Why the device cannot receive copies for its interface, beginning with its name. Undefined: it
 * can.
 */
export function copiesRefusalOf(device: Device): string | undefined {
  const why = device.identity?.kind === 'edge' ? undefined : device.notMirrorable?.destination;
  return refusalOf(device) ?? (why === undefined ? undefined : `${device.name} ${why}`);
}

/** The devices of a node, and problems of their identities. */
export interface NodeDevices {
  devices: NodeDevice[];
  problems: NodeProblem[];
}

/** The most alternative names of a device that are reported. */
const MAX_ALT_NAMES = 64;

/** Warning for offloaded flows, which do not pass the hooks of the kernel. */
const OFFLOADED = {
  representor: 'is the port of a virtual function: flows that the NIC switches in hardware are not seen',
  offload: 'has hw-tc-offload on: flows that the NIC forwards in hardware are not seen',
};

/**
 * Gives every device its identity. Devices that cannot be mirrored and have no claim (loopback,
 * tunnels) are left out, and so are helper devices. If two devices claim one interface, the device
 * that had it before keeps it. Otherwise the device with the lowest ifindex gets it. So a second
 * device never takes traffic from a running mirror, or adds traffic to it. Exceptions: a device
 * that can be mirrored replaces one that cannot, and a device with a present guest replaces one
 * with an absent guest.
 *
 * If several providers report a device, the declared edge counts first, then the alias, then the
 * providers in their order.
 * @param before last ifindex of each interface
 * @param claimsOf claims of the identity providers on a device, in order of precedence
 * @param offloads whether a NIC may offload flows
 */
export function identify(
  links: readonly Link[],
  edges: readonly EdgeBinding[],
  before: ReadonlyMap<string, number> = new Map(),
  claimsOf: (link: Link) => readonly Claim[] = () => [],
  offloads: (link: Link) => boolean = () => false,
): NodeDevices {
  const declared = bindEdges(edges, links);
  const problems = [...declared.problems];
  const all = indexLinks(links);
  const devices = links
    .filter((link) => !isHelper(link) && link.name !== '')
    .map((link) => {
      const device = withIdentity(link, declared.edges.get(link.ifindex), claimsOf(link));
      return { ...device, ...judged(link, device, all, offloads) };
    })
    .filter((device) => device.ethernet || device.identity !== undefined || device.identityError !== undefined);
  for (const [id, claimants] of claims(devices)) {
    const mirrorable = preferring(claimants, (device) => refusalOf(device) === undefined);
    const eligible = preferring(mirrorable, ({ guest }) => guest !== 'absent');
    const owner = eligible.find((device) => device.ifindex === before.get(id)) ?? eligible[0]!;
    for (const device of claimants) {
      if (device === owner) {
        continue;
      }
      delete device.guest;
      const message = `${id}: the device ${device.name} claims it too, but ${owner.name} has it`;
      device.identityError = message;
      delete device.identity;
      problems.push({ code: 'INTERFACE_DUPLICATE', message, interface: id });
    }
  }
  return { devices, problems: [...problems, ...devices.flatMap(problemOf)] };
}

/** Problems of the interface of a device. */
function problemOf(device: NodeDevice): NodeProblem[] {
  const { name, identity, warning } = device;
  if (identity === undefined) {
    return [];
  }
  const refused = refusalOf(device);
  const base = { interface: identity.id };
  if (refused !== undefined) {
    return [{ ...base, code: 'DEVICE_UNSUPPORTED', message: `${identity.id}: ${refused}` }];
  }
  if (warning === undefined) {
    return [];
  }
  return [{ ...base, code: 'OFFLOAD_UNSEEN', message: `${identity.id}: ${name} ${warning}` }];
}

/** Items that pass the check. All items if none passes. */
function preferring<T>(all: readonly T[], check: (one: T) => boolean): readonly T[] {
  const passing = all.filter(check);
  return passing.length > 0 ? passing : all;
}

/** Adds to a device what it can be used for, and a warning about traffic that is not seen. */
function judged(
  link: Link,
  { identity }: NodeDevice,
  all: LinkIndex,
  offloads: (link: Link) => boolean,
): Partial<NodeDevice> {
  const verdict = judge(link, all);
  const shared = sharedWith(link, all);
  const isTaken = identity !== undefined && whyNotMirrorable({ notMirrorable: verdict }, identity.kind) === undefined;
  const warning = isTaken ? warningOf(link, all, offloads) : undefined;
  return {
    ...(isReversed(link) && { reversed: true }),
    ...(Object.keys(verdict).length > 0 && { notMirrorable: { ...verdict } }),
    ...(warning !== undefined && { warning }),
    ...(shared.length > 0 && { sharesWith: shared }),
    ...(link.altNames && { altNames: link.altNames.slice(0, MAX_ALT_NAMES) }),
  };
}

function warningOf(link: Link, all: LinkIndex, offloads: (link: Link) => boolean): string | undefined {
  if (kindOf(link) === 'representor') {
    return OFFLOADED.representor;
  }
  const nic = hardwareOf(link, all).find(offloads);
  if (nic === undefined) {
    return undefined;
  }
  return nic === link ? OFFLOADED.offload : `is on top of ${nic.name}, which ${OFFLOADED.offload}`;
}

/** ifindex by interface, for the next `identify`. */
export function ownership(devices: readonly Device[]): Map<string, number> {
  return new Map(devices.flatMap((device) => (device.identity ? [[device.identity.id, device.ifindex]] : [])));
}

/** Aliases that were read. A device that changes is another object, and all are asked for in each pass. */
const aliases = new WeakMap<Link, AliasResult>();

function aliasOf(link: Link): AliasResult {
  if (!aliases.has(link)) {
    aliases.set(link, parseAlias(link.alias));
  }
  return aliases.get(link);
}

function withIdentity(link: Link, edge: string | undefined, claims: readonly Claim[]): NodeDevice {
  const { name, ifindex, mac, mtu, up, linkType, ethernet } = link;
  const device: NodeDevice = { name, ifindex, mac, mtu, up, linkType, ethernet };
  const alias = aliasOf(link);
  if (edge !== undefined) {
    device.identity = { kind: 'edge', id: edge, name: '', provider: 'declared' };
    if (alias !== undefined) {
      device.identityError = `it is declared as the edge ${edge}; its alias is ignored`;
    }
    return device;
  }
  const said = alias ?? claims[0];
  if (said === undefined) {
    return device;
  }
  if ('error' in said) {
    device.identityError = said.error;
  } else {
    device.identity = said.identity;
  }
  const guest = [said, ...claims].flatMap((claim) => ('guest' in claim && claim.guest) || [])[0];
  if (device.identity !== undefined && guest !== undefined) {
    device.guest = guest;
  }
  const macs = [said, ...claims].flatMap((claim) => ('mac' in claim && claim.mac) || []);
  if (device.identity !== undefined && macs.length > 0) {
    device.guestMacs = [...new Set(macs)];
  }
  return device;
}

function claims(devices: readonly NodeDevice[]): [string, NodeDevice[]][] {
  const byId = Map.groupBy(
    devices.filter((device) => device.identity !== undefined),
    (device) => device.identity!.id,
  );
  return [...byId].filter(([, claimants]) => claimants.length > 1);
}
