/**
 * Reads golden pairs. Inventories are written in a short form, on top of the one in
 * golden/inventory.json.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InterfaceKind, Inventory, Policy, PolicySpec } from '@mirrorplane/contract';

/** A public key of WireGuard that differs from others in its first bytes. @param number 0 to 255 */
export function wireguardKey(number: number): string {
  return Buffer.alloc(32, number).toString('base64');
}

/** One file of golden/validate or golden/plan. */
export interface Golden<Input, Expected> {
  file: string;
  title: string;
  input: Input;
  expected: Expected;
}

/** An inventory in short form. `null` removes an entry of the common one. */
export interface ShortInventory {
  /** Pool to domain. */
  pools?: Record<string, string | null>;
  /** `underlay` is the IPv4 address; its MTU is 1600. */
  nodes?: Record<string, { pool: string; underlay?: string } | null>;
  /** `on`: nodes where it has a device, the newest last. `home`: the one where the guest is. */
  interfaces?: Record<string, ShortInterface | null>;
}

interface ShortInterface {
  kind: InterfaceKind;
  on?: string[];
  home?: string;
  pool?: string;
  mtu?: number;
  /** Of every device: its name, why it cannot be mirrored, which others carry its packets. */
  device?: string;
  notMirrorable?: string;
  noDestination?: string;
  sharesWith?: string[];
  guestMacs?: string[];
  edge?: Inventory['interfaces'][number]['edge'];
}

const folder = join(import.meta.dirname, 'golden');

/** All pairs of a folder, by file name. */
export function readGoldens<Input, Expected>(name: string): Golden<Input, Expected>[] {
  const files = readdirSync(join(folder, name)).filter((file) => file.endsWith('.json'));
  return files.sort().map((file) => ({ file, ...JSON.parse(readFileSync(join(folder, name, file), 'utf8')) }));
}

const common: Required<ShortInventory> = JSON.parse(readFileSync(join(folder, 'inventory.json'), 'utf8'));

/** The common inventory with changes, or only the changes if `base` is empty. */
export function inventoryOf(changes: ShortInventory = {}, base: ShortInventory = common): Inventory {
  const pools = entriesOf({ ...base.pools, ...changes.pools });
  const nodes = entriesOf({ ...base.nodes, ...changes.nodes });
  const interfaces = entriesOf({ ...base.interfaces, ...changes.interfaces });
  return {
    domains: [...new Set(pools.map(([, domain]) => domain))].map((name) => ({ name })),
    pools: pools.map(([name, domain]) => ({ name, domain })),
    nodes: nodes.map(([name, { pool, underlay }]) => ({
      name,
      pool,
      ...(underlay && { underlay: { device: 'mirror', address: underlay, mtu: 1600 } }),
    })),
    interfaces: interfaces.map(([id, short], index) => expandInterface(id, short, index, new Map(nodes))),
  };
}

function entriesOf<T>(record: Record<string, T | null>): [string, T][] {
  return Object.entries(record).filter((entry): entry is [string, T] => entry[1] !== null);
}

function expandInterface(
  id: string,
  {
    kind,
    on = [],
    home,
    pool,
    mtu = 1500,
    device,
    notMirrorable,
    noDestination,
    sharesWith,
    guestMacs,
    edge,
  }: ShortInterface,
  index: number,
  nodes: Map<string, { pool: string }>,
): Inventory['interfaces'][number] {
  const newest = on.at(-1);
  const current = (newest === undefined ? undefined : nodes.get(newest)?.pool) ?? pool;
  const mac = `02:00:00:00:01:${index.toString(16).padStart(2, '0')}`;
  return {
    id,
    kind,
    ...(current !== undefined && { pool: current }),
    ...(edge && { edge }),
    ...(home !== undefined && { home }),
    devices: on.map((node) => ({
      node,
      name: device ?? `dev${index}`,
      ifindex: index + 10,
      mac,
      mtu,
      up: true,
      ...(notMirrorable !== undefined && { notMirrorable }),
      ...(noDestination !== undefined && { noDestination }),
      ...(sharesWith && { sharesWith }),
      ...(guestMacs && { guestMacs }),
    })),
  };
}

/**
 * A policy as an operator writes it. Its defaults break no rule; sources and destination must be
 * given.
 */
export function specOf(fields: Partial<PolicySpec>): PolicySpec {
  return {
    name: 'new',
    description: '',
    sources: [],
    destination: '',
    direction: 'all',
    percent: 100,
    enabled: true,
    ...fields,
  };
}

/** A policy as the controller keeps it. `uid` is `u-NAME` unless given. */
export function policyOf(fields: Partial<Policy> & { name: string }): Policy {
  return {
    uid: `u-${fields.name}`,
    description: '',
    sources: [],
    destination: '',
    direction: 'all',
    percent: 100,
    enabled: true,
    type: 'virtual',
    revision: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
    warnings: [],
    ...fields,
  };
}
