/** Merges declarations of operators with observations of agents. */
import {
  type Device,
  type DeviceIdentity,
  type EdgeDeclaration,
  type Interface,
  type Inventory,
  whyNotMirrorable,
} from '@mirrorplane/contract';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';
import { type Contest, NOWHERE, type Place, placeOf, type Sighting } from './places.ts';

/** Records as they are now, or as they would be after a decision. */
export interface Records {
  domains: ReadonlyMap<string, unknown>;
  pools: ReadonlyMap<string, Stored<Inventory['pools'][number]>>;
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

/** The inventory, and the contests. */
export type Merged = Omit<Inventory, 'interfaces'> & {
  interfaces: Interface[];
  contests: Contest[];
  /** By interface: the nodes with an accepted claim. */
  granted: Pick<ReadonlyMap<string, readonly string[]>, 'get'>;
  /** Time when the next claim becomes a contest, milliseconds since 1970. */
  due: number | undefined;
};

/** What agents say of each interface, by its id. */
export type Sightings = ReadonlyMap<string, readonly Sighting[]>;

/** The whole inventory, sorted by name. @param sightings where they are known already */
export function mergeInventory(
  records: Records,
  live: LiveNodes,
  sightings: Sightings = sightingsOf(records, live),
): Merged {
  const places = placesOf(records, sightings, live.now());
  return {
    ...surroundingsOf(records, live),
    interfaces: sorted(records.interfaces).map((stored) => toInterface(stored, places.get(stored.value.id), records)),
    granted: new Map([...places].map(([id, { granted }]) => [id, granted])),
    contests: [...places.values()].flatMap(({ contests }) => contests),
    due: [...places.values()].reduce<number | undefined>(
      (a, { due: b }) => (a! < b! || b === undefined ? a : b),
      undefined,
    ),
  };
}

/** All of the inventory but its interfaces, sorted by name. */
export function surroundingsOf(records: Records, live: LiveNodes): Omit<Inventory, 'interfaces'> {
  return {
    domains: [...records.domains.keys()].sort().map((name) => ({ name })),
    pools: sorted(records.pools).map(({ value: { name, domain, underlay } }) => ({ name, domain, underlay })),
    nodes: sorted(records.nodes).map(({ value: { name, pool } }) => ({
      name,
      pool,
      underlay: underlayOf(name, live),
    })),
  };
}

/** The underlay of a node, as others may use it. Undefined: it has none, or is revoked. */
export function underlayOf(name: string, live: LiveNodes): Inventory['nodes'][number]['underlay'] {
  const node = live.get(name);
  return node?.revoked ? undefined : node?.underlay;
}

/** Records of which interfaces are looked up, and not listed. */
type LookedUp = Omit<Records, 'interfaces'> & { interfaces: Pick<Records['interfaces'], 'get'> };

/** One interface, as the API shows it. */
export function oneInterface(id: string, records: LookedUp, live: LiveNodes): Interface | undefined {
  const stored = records.interfaces.get(id);
  const sightings = sightingsOfOne(id, records, live);
  return stored && toInterface(stored, placesOf(records, new Map([[id, sightings]]), live.now()).get(id), records);
}

/** What all nodes say of one interface. */
function sightingsOfOne(id: string, records: LookedUp, live: LiveNodes): Sighting[] {
  const edge = records.interfaces.get(id)?.value.edge;
  return [...records.nodes].flatMap(([name, { value }]): Sighting[] => {
    const node = live.get(name);
    const source = node && !node.revoked ? deviceOfOne(node, id, edge) : undefined;
    const domain = records.pools.get(value.pool)?.value.domain;
    return source ? [sightingOf(id, source, { node: node!, domain, present: live.present(name) })] : [];
  });
}

/** The device of a node that is one interface, as `identified` finds it. */
function deviceOfOne(node: LiveNode, id: string, edge: EdgeDeclaration | undefined): Device | undefined {
  if (edge) {
    return edge.node === node.name ? deviceOfEdge(node, id, edge) : undefined;
  }
  return node.devices
    .filter(({ identity }) => identity?.id === id && isGuest(identity))
    .reduce<Device | undefined>((a, b) => (a && a.ifindex <= b.ifindex ? a : b), undefined);
}

/** @param place undefined: no node has it */
export function toInterface(
  { value, revision }: Stored<InterfaceRecord>,
  { devices, home, contests }: Place = NOWHERE,
  records: Pick<Records, 'nodes'>,
): Interface {
  const node = home ?? value.edge?.node;
  const pool = (node && records.nodes.get(node)?.value.pool) ?? value.pool;
  const { lastNode: _, goneAt: __, ...record } = value;
  const contested = contests.map(({ claimant }) => claimant).sort();
  const extra = { ...(home !== undefined && { home }), ...(contested.length > 0 && { contested }) };
  return { ...record, pool, devices, ...extra, revision };
}

function sorted<T>(map: ReadonlyMap<string, Stored<T>>): Stored<T>[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, stored]) => stored);
}

function placesOf({ interfaces }: LookedUp, sightings: Sightings, now: number): Map<string, Place> {
  return new Map(
    [...sightings].map(([id, all]) => {
      const { kind, boundTo } = interfaces.get(id)?.value ?? {};
      const subject = { id, kind: kind ?? all[0]?.source.identity?.kind ?? 'vm', boundTo };
      return [id, placeOf(subject, all, now)];
    }),
  );
}

/**
 * The possible devices of each interface: for declared edges by name or MAC, for all others by
 * identity. Of the interface records, only declared edges matter.
 */
export function sightingsOf(records: Records, live: LiveNodes): Sightings {
  const sightings = new Map<string, Sighting[]>();
  const edges = edgesByNode(records);
  for (const [name, { value }] of records.nodes) {
    const node = live.get(name);
    if (!node || node.revoked) {
      continue;
    }
    const present = live.present(name);
    const domain = records.pools.get(value.pool)?.value.domain;
    for (const [id, source] of identified(node, edges.get(name) ?? [], records)) {
      const list = sightings.get(id) ?? [];
      list.push(sightingOf(id, source, { node, domain, present }));
      sightings.set(id, list);
    }
  }
  return sightings;
}

/** What a node says of an interface, whose device is `source`. */
export function sightingOf(
  id: string,
  source: Device,
  { node, domain, present }: { node: LiveNode; domain: string | undefined; present: boolean },
): Sighting {
  return {
    node: node.name,
    domain,
    source,
    present,
    since: node.seen[id] ?? 0,
    claimedSince: source.guest === 'absent' ? undefined : (node.claimed[id] ?? 0),
    runningSince: source.guest === 'running' ? (node.running[id] ?? 0) : undefined,
  };
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

/** Agents may only report interfaces of guests. An edge must be declared by an operator. */
function isGuest({ provider, kind }: DeviceIdentity): boolean {
  return provider !== 'declared' && kind !== 'edge';
}

/**
 * The devices of a node by interface. If several devices claim an interface, the oldest one has it.
 */
export function identified(node: LiveNode, edges: InterfaceRecord[], records: Records): Map<string, Device> {
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
    if (identity && isGuest(identity) && !declaredEdge && !found.has(identity.id)) {
      found.set(identity.id, device);
    }
  }
  return found;
}

/** The current device of a declared edge. */
export function deviceOfEdge({ devices }: LiveNode, id: string, { device, mac }: EdgeDeclaration): Device | undefined {
  if (device !== undefined) {
    return devices.find(({ name }) => name === device) ?? devices.find(({ altNames }) => altNames?.includes(device));
  }
  // The agent also compares the permanent MAC address, which may differ from the current one.
  const bound = ({ identity }: Device) => identity?.provider === 'declared' && identity.id === id;
  const same = devices.filter((one) => one.mac === mac);
  // Several devices can have the MAC address, for example a NIC and its bridge.
  return same.find((one) => whyNotMirrorable(one, 'edge') === undefined) ?? devices.find(bound) ?? same[0];
}
