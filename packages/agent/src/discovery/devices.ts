/** Devices with their identities: what the node reports, and what its program is matched with. */
import type { Device, EdgeBinding, NodeProblem } from '@mirrorplane/contract';
import { parseAlias } from './alias.ts';
import { bindEdges } from './declared.ts';
import type { Link } from './links.ts';
import type { Claim } from './provider.ts';

/** A device, and whether it can be mirrored at all. */
export interface NodeDevice extends Device {
  /** Only Ethernet devices can be mirrored. */
  ethernet: boolean;
}

/** The devices of a node, and which of them stand for the same interface. */
export interface NodeDevices {
  devices: NodeDevice[];
  problems: NodeProblem[];
}

const HELPER_NAMES = new Set(['mirror0', 'mirror1', 'mirror0-part', 'mirror1-part']);
/** Alias of both ends of the helper pair, which somebody may have renamed. */
export const HELPER_ALIAS = 'mirrorplane:helper';

/** An end of the helper pair: part of Mirrorplane, not of the node. */
export function isHelper({ name, linkType, alias }: Link): boolean {
  return linkType === 'veth' && (HELPER_NAMES.has(name) || alias === HELPER_ALIAS);
}

/** Kinds of devices that are the guest's own end of the cable: a guest's frames leave by them and do not come in. */
const REVERSED = new Map([
  ['macvtap', 'a macvtap device cannot be mirrored: connect the NIC to a bridge, or to Open vSwitch'],
]);

/**
 * Gives every device its identity. Left out are devices that cannot be mirrored and claim nothing (loopback, tunnels),
 * and our own helpers. Where two devices claim one interface, the one that had it before keeps it, else the one with
 * the lowest ifindex gets it: a second device never takes traffic away from, or adds its own to, a running mirror. Only a
 * device whose guest is absent gives way to one whose guest is here.
 *
 * Where several speak of a device, the declared edge is believed, then the alias, then the providers in their order.
 * @param before ifindex that each interface had last
 * @param claimsOf what identity providers say of a device, the most believed first
 */
export function identify(
  links: readonly Link[],
  edges: readonly EdgeBinding[],
  before: ReadonlyMap<string, number> = new Map(),
  claimsOf: (link: Link) => readonly Claim[] = () => [],
): NodeDevices {
  const declared = bindEdges(edges, links);
  const problems = [...declared.problems];
  const devices = links
    .filter((link) => !isHelper(link) && link.name !== '')
    .map((link) => withIdentity(link, declared.edges.get(link.ifindex), claimsOf(link)))
    .filter((device) => device.ethernet || device.identity !== undefined || device.identityError !== undefined);
  for (const [id, claimants] of claims(devices)) {
    const present = claimants.filter((device) => device.guest !== 'absent');
    const eligible = present.length > 0 ? present : claimants;
    const owner = eligible.find((device) => device.ifindex === before.get(id)) ?? eligible[0]!;
    for (const device of claimants) {
      if (device === owner) continue;
      delete device.guest;
      const message = `${id}: the device ${device.name} claims it too, ${owner.name} has it`;
      device.identityError = message;
      delete device.identity;
      problems.push({ code: 'INTERFACE_DUPLICATE', message, interface: id });
    }
  }
  return { devices, problems };
}

/** ifindex by interface, to be handed to the next `identify`. */
export function ownership(devices: readonly Device[]): Map<string, number> {
  return new Map(devices.flatMap((device) => (device.identity ? [[device.identity.id, device.ifindex]] : [])));
}

function withIdentity(link: Link, edge: string | undefined, claims: readonly Claim[]): NodeDevice {
  const { name, ifindex, mac, mtu, up, linkType, ethernet } = link;
  const device: NodeDevice = { name, ifindex, mac, mtu, up, linkType, ethernet };
  const alias = parseAlias(link.alias);
  if (edge !== undefined) {
    device.identity = { kind: 'edge', id: edge, name: '', provider: 'declared' };
    if (alias !== undefined) device.identityError = `it is declared as the edge ${edge}; its alias is ignored`;
    return device;
  }
  const said = alias ?? claims[0];
  if (said === undefined) return device;
  if ('error' in said) device.identityError = said.error;
  else if (REVERSED.has(linkType)) device.identityError = `${said.identity.id}: ${REVERSED.get(linkType)}`;
  else device.identity = said.identity;
  const guest = [said, ...claims].flatMap((claim) => ('guest' in claim && claim.guest) || [])[0];
  if (device.identity !== undefined && guest !== undefined) device.guest = guest;
  return device;
}

function claims(devices: readonly NodeDevice[]): [string, NodeDevice[]][] {
  const byId = Map.groupBy(
    devices.filter((device) => device.identity !== undefined),
    (device) => device.identity!.id,
  );
  return [...byId].filter(([, claimants]) => claimants.length > 1);
}
