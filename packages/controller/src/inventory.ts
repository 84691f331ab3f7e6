/** What operators declared merged with what agents observe. */
import {
  type Device,
  type EdgeDeclaration,
  type Interface,
  type InterfaceDevice,
  type InterfaceKind,
  type Inventory,
  whyNotMirrorable,
} from '@mirrorplane/contract';
import type { LiveNode, LiveNodes } from './live.ts';
import type { InterfaceRecord } from './resources.ts';
import type { Stored, View } from './view.ts';

/** Records as they are, or as they would be after a decision. */
export interface Records {
  domains: ReadonlyMap<string, unknown>;
  pools: ReadonlyMap<string, Stored<{ name: string; domain: string }>>;
  nodes: ReadonlyMap<string, Stored<{ name: string; pool: string }>>;
  interfaces: ReadonlyMap<string, Stored<InterfaceRecord>>;
}

/** The records of a view, for `mergeInventory`. */
export function recordsOf(view: View): Records {
  return {
    domains: view.all('domains'),
    pools: view.all('pools'),
    nodes: view.all('nodes'),
    interfaces: view.all('interfaces'),
  };
}

/** The whole inventory, everything in the order of names. */
export function mergeInventory(records: Records, live: LiveNodes): Inventory & { interfaces: Interface[] } {
  const places = placesByInterface(records, live);
  return {
    domains: [...records.domains.keys()].sort().map((name) => ({ name })),
    pools: sorted(records.pools).map(({ value }) => ({ name: value.name, domain: value.domain })),
    nodes: sorted(records.nodes).map(({ value: { name, pool } }) => ({
      name,
      pool,
      underlay: live.get(name)?.underlay,
    })),
    interfaces: sorted(records.interfaces).map((stored) => toInterface(stored, places.get(stored.value.id), records)),
  };
}

/** One interface, as the API shows it. */
export function oneInterface(id: string, records: Records, live: LiveNodes): Interface | undefined {
  const stored = records.interfaces.get(id);
  return stored && toInterface(stored, placesByInterface(records, live).get(id), records);
}

function toInterface(
  { value, revision }: Stored<InterfaceRecord>,
  { devices, home }: Places = { devices: [], home: undefined },
  records: Records,
): Interface {
  const node = home ?? value.edge?.node;
  const pool = (node && records.nodes.get(node)?.value.pool) ?? value.pool;
  const { lastNode: _, goneAt: __, ...record } = value;
  return { ...record, pool, devices, ...(home !== undefined && { home }), revision };
}

function sorted<T>(map: ReadonlyMap<string, Stored<T>>): Stored<T>[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, stored]) => stored);
}

interface Sighting {
  device: InterfaceDevice;
  since: number;
  /** When the agent began to say that the guest runs there; of two that say so, the later one is right. */
  runningSince: number;
  present: boolean;
}

/** Where an interface has devices, the newest last, and at which of them the guest is. */
interface Places {
  devices: InterfaceDevice[];
  home: string | undefined;
}

/** Which devices each interface is: those of declared edges by name or MAC, all others by their identity. */
function placesByInterface(records: Records, live: LiveNodes): Map<string, Places> {
  const sightings = new Map<string, Sighting[]>();
  const edges = edgesByNode(records);
  for (const name of records.nodes.keys()) {
    const node = live.get(name);
    if (!node) {
      continue;
    }
    const present = live.present(name);
    for (const [id, device] of identified(node, edges.get(name) ?? [], records)) {
      const list = sightings.get(id) ?? [];
      const [since, runningSince] = [node.seen[id] ?? 0, node.running[id] ?? 0];
      const kind = records.interfaces.get(id)?.value.kind ?? device.identity?.kind ?? 'vm';
      list.push({ device: toInterfaceDevice(name, device, kind), since, runningSince, present });
      sightings.set(id, list);
    }
  }
  const result = new Map<string, Places>();
  for (const [id, all] of sightings) {
    // A device that cannot be mirrored is no second device of an interface that has one which can.
    const mirrorable = all.filter(({ device }) => device.notMirrorable === undefined);
    const kept = newestLast(mirrorable.length > 0 ? mirrorable : all);
    result.set(id, { devices: kept.map(({ device }) => device), home: homeOf(kept)?.device.node });
  }
  return result;
}

/** A node that is gone keeps a device only until the interface is seen later on a node that is there. */
function newestLast(list: Sighting[]): Sighting[] {
  const newestPresent = Math.max(-1, ...list.filter(({ present }) => present).map(({ since }) => since));
  return list
    .filter(({ present, since }) => present || since > newestPresent)
    .sort((a, b) => a.since - b.since)
    .slice(-2);
}

/**
 * Where the guest is. During a live migration its next device exists for a while before the guest does: the older device
 * has it, until an agent sees it run behind the newer one.
 */
function homeOf(list: Sighting[]): Sighting | undefined {
  const running = list.filter(({ device }) => device.guest === 'running');
  if (running.length > 0) {
    return running.reduce((a, b) => (b.runningSince > a.runningSince ? b : a));
  }
  return list.find(({ device }) => device.guest !== 'absent') ?? list[0];
}

function edgesByNode(records: Records): Map<string, InterfaceRecord[]> {
  const edges = new Map<string, InterfaceRecord[]>();
  for (const { value } of records.interfaces.values()) {
    if (value.edge) {
      edges.set(value.edge.node, [...(edges.get(value.edge.node) ?? []), value]);
    }
  }
  return edges;
}

/** Devices of a node with the interface that each is; where several claim the same one, the oldest device has it. */
function identified(node: LiveNode, edges: InterfaceRecord[], records: Records): Map<string, Device> {
  const found = new Map<string, Device>();
  for (const { id, edge } of edges) {
    const device = deviceOfEdge(node, id, edge!);
    if (device) {
      found.set(id, device);
    }
  }
  const byAge = [...node.devices].sort((a, b) => a.ifindex - b.ifindex);
  for (const device of byAge) {
    const { identity } = device;
    const declaredEdge = identity && records.interfaces.get(identity.id)?.value.edge !== undefined;
    if (identity && identity.provider !== 'declared' && !declaredEdge && !found.has(identity.id)) {
      found.set(identity.id, device);
    }
  }
  return found;
}

/** The device of a declared edge, as far as the node has it now. */
export function deviceOfEdge({ devices }: LiveNode, id: string, { device, mac }: EdgeDeclaration): Device | undefined {
  if (device !== undefined) {
    return devices.find(({ name }) => name === device) ?? devices.find(({ altNames }) => altNames?.includes(device));
  }
  // An agent knows the permanent MAC address, which the present one need not be.
  const bound = ({ identity }: Device) => identity?.provider === 'declared' && identity.id === id;
  const same = devices.filter((one) => one.mac === mac);
  // A bridge has the MAC address of its NIC.
  return same.find((one) => whyNotMirrorable(one, 'edge') === undefined) ?? devices.find(bound) ?? same[0];
}

function toInterfaceDevice(node: string, device: Device, kind: InterfaceKind): InterfaceDevice {
  const { name, ifindex, mac, mtu, up, guest, warning, sharesWith } = device;
  const notMirrorable = whyNotMirrorable(device, kind);
  const noDestination = kind === 'edge' ? undefined : device.notMirrorable?.destination;
  return {
    node,
    name,
    ifindex,
    mac,
    mtu,
    up,
    ...(guest && { guest }),
    ...(notMirrorable !== undefined && { notMirrorable }),
    ...(noDestination !== undefined && { noDestination }),
    ...(warning !== undefined && { warning }),
    ...(sharesWith && { sharesWith }),
  };
}
