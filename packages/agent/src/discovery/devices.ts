/** Devices with their identities: what the node reports, and what its program is matched with. */
import type { Device, DeviceIdentity, EdgeBinding, NodeProblem } from '@mirrorplane/contract';
import { parseAlias } from './alias.ts';
import { bindEdges } from './declared.ts';
import type { Link } from './links.ts';

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

/**
 * Gives every device its identity. Left out are devices that cannot be mirrored and claim nothing (loopback, tunnels),
 * and our own helpers. Where two devices claim one interface, the one that had it before keeps it, else the one with
 * the lowest ifindex gets it: a second device never takes traffic away from, or adds its own to, a running mirror.
 * @param before ifindex that each interface had last
 */
export function identify(
  links: readonly Link[],
  edges: readonly EdgeBinding[],
  before: ReadonlyMap<string, number> = new Map(),
): NodeDevices {
  const declared = bindEdges(edges, links);
  const problems = [...declared.problems];
  const devices = links
    .filter((link) => !isHelper(link) && link.name !== '')
    .map((link) => withIdentity(link, declared.edges.get(link.ifindex)))
    .filter((device) => device.ethernet || device.identity !== undefined || device.identityError !== undefined);
  for (const [id, claimants] of claims(devices)) {
    const owner = claimants.find((device) => device.ifindex === before.get(id)) ?? claimants[0]!;
    for (const device of claimants) {
      if (device === owner) continue;
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

function withIdentity(link: Link, edge: string | undefined): NodeDevice {
  const { name, ifindex, mac, mtu, up, linkType, ethernet } = link;
  const device: NodeDevice = { name, ifindex, mac, mtu, up, linkType, ethernet };
  const alias = parseAlias(link.alias);
  if (edge !== undefined) {
    const identity: DeviceIdentity = { kind: 'edge', id: edge, name: '', provider: 'declared' };
    device.identity = identity;
    if (alias !== undefined) device.identityError = `it is declared as the edge ${edge}; its alias is ignored`;
  } else if (alias !== undefined && 'error' in alias) {
    device.identityError = alias.error;
  } else if (alias !== undefined) {
    device.identity = alias.identity;
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
