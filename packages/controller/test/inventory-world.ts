/** Records, agents and a clock that change as they can, for tests of inventories. */
import type { Device } from '@mirrorplane/contract';
import fc from 'fast-check';
import type { Merged, Records } from '../src/inventory/inventory.ts';
import { GRACE_MS, LiveNodes } from '../src/reports/live-nodes.ts';
import type { InterfaceRecord, PolicyRecord } from '../src/store/records.ts';
import type { Operation } from '../src/store/store.ts';
import type { Stored } from '../src/store/view.ts';
import { vmDevice } from './harness.ts';

const NODES = ['node-1', 'node-2', 'node-3'];
export const IDS = ['a', 'b', 'c'];

export function underlayOf(node: string) {
  return { device: 'eth0', address: `10.0.0.${node.slice(-1)}`, mtu: 1600, proves: true as const };
}

/** Records, agents and a clock. */
export class World {
  now = Date.UTC(2026, 0, 1);
  readonly live = new LiveNodes(() => this.now);
  readonly pools = new Map(
    [
      ['p1', 'east'],
      ['p2', 'west'],
    ].map(([name, domain]) => [name!, { value: { name: name!, domain: domain! }, revision: 1 }]),
  );
  readonly nodes = new Map<string, Stored<{ name: string; pool: string }>>();
  readonly interfaces = new Map<string, Stored<InterfaceRecord>>();
  readonly changed = new Set<string>();
  readonly policies = new Map<string, Stored<PolicyRecord>>();
  readonly changedPolicies: string[] = [];
  readonly programs = new Map(NODES.map((name) => [name, { value: { digest: '', revision: 2 }, revision: 1 }]));
  named = new Set<string>();
  revision = 1;

  constructor() {
    for (const name of NODES) {
      this.nodes.set(name, { value: { name, pool: name === 'node-3' ? 'p2' : 'p1' }, revision: 1 });
      this.live.hello({
        type: 'hello',
        protocol: 1,
        node: name,
        agentVersion: '1',
        kernel: '6',
        underlay: underlayOf(name),
      });
    }
  }

  get records(): Records {
    return {
      domains: new Map([
        ['east', 1],
        ['west', 1],
      ]),
      pools: this.pools,
      nodes: this.nodes,
      interfaces: this.interfaces,
    };
  }

  write(id: string, value: InterfaceRecord | undefined): void {
    this.changed.add(id);
    if (value) {
      this.interfaces.set(id, { value, revision: ++this.revision });
    } else {
      this.interfaces.delete(id);
    }
  }

  carryOut(ops: readonly Operation[]): void {
    for (const op of ops) {
      this.write(
        op.key.slice(op.key.lastIndexOf('/') + 1),
        op.type === 'put' ? (op.value as InterfaceRecord) : undefined,
      );
    }
  }
}

export type Change = (world: World) => void;

const devices = fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 3 }).chain((ids) =>
  fc.tuple(
    ...ids.map((id, at) =>
      fc
        .record({
          guest: fc.constantFrom(undefined, 'absent' as const, 'running' as const),
          mtu: fc.constantFrom(1500, 9000),
          kind: fc.constantFrom('vm' as const, 'nfv' as const),
        })
        .map(({ guest, mtu, kind }): Device => {
          const device = vmDevice(id, at + 4);
          return {
            ...device,
            name: at === 0 ? 'eth1' : device.name,
            mtu,
            identity: { ...device.identity!, kind },
            ...(guest && { guest }),
          };
        }),
    ),
  ),
);

const node = fc.constantFrom(...NODES);
const id = fc.constantFrom(...IDS);
/** Any change that a step of time, an operator or an agent can make. */
export const changes: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(node, devices).map(
      ([name, list]): Change =>
        ({ live }) =>
          live.inventory(name, { type: 'inventory', devices: list }, underlayOf(name)),
    ),
  },
  fc.tuple(node, fc.constantFrom('p1', 'p2', undefined)).map(
    ([name, pool]): Change =>
      (world) => {
        if (pool === undefined) {
          world.nodes.delete(name);
          world.live.delete(name);
        } else {
          world.nodes.set(name, { value: { name, pool }, revision: ++world.revision });
        }
      },
  ),
  node.map(
    (name): Change =>
      ({ live }) =>
        live.disconnected(name),
  ),
  node.map(
    (name): Change =>
      ({ live }) =>
        live.hello({
          type: 'hello',
          protocol: 1,
          node: name,
          agentVersion: '1',
          kernel: '6',
          underlay: underlayOf(name),
        }),
  ),
  fc.tuple(node, fc.boolean()).map(
    ([name, revoked]): Change =>
      ({ live }) =>
        live.admission(name, revoked),
  ),
  {
    weight: 3,
    arbitrary: fc.constantFrom(1000, 6000, GRACE_MS, 16 * 60_000, 8 * 24 * 60 * 60_000).map(
      (ms): Change =>
        (world) => {
          world.now += ms;
        },
    ),
  },
  fc.tuple(id, node, fc.constantFrom('edge', 'bound', 'plain', 'gone')).map(
    ([one, name, what]): Change =>
      (world) => {
        const kind = what === 'edge' ? ('edge' as const) : ('vm' as const);
        const more = {
          edge: { edge: { node: name, device: 'eth1' } },
          bound: { boundTo: name },
          plain: { pool: 'p2' },
          gone: {},
        }[what]!;
        world.write(one, what === 'gone' ? undefined : { id: one, kind, name: one, declared: true, ...more });
      },
  ),
  fc.constantFrom('east', 'west').map(
    (domain): Change =>
      ({ pools }) => {
        pools.set('p2', { value: { name: 'p2', domain }, revision: 2 });
      },
  ),
  fc.subarray(IDS).map(
    (ids): Change =>
      (world) => {
        world.named = new Set(ids);
      },
  ),
);

/** A view of the records of a world. */
export class WorldView {
  readonly #world: World;
  readonly #changed: string[] = [];
  #steps = 0;
  /** How often the records of a folder were others, and what they are. */
  readonly #texts = new Map<string, { count: number; text: string }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Something may have changed. */
  step(): void {
    this.#steps++;
    this.#changed.push(...this.#world.changed);
    this.#world.changed.clear();
    for (const folder of ['nodes', 'pools'] as const) {
      const text = JSON.stringify([...this.all(folder)]);
      const before = this.#texts.get(folder);
      this.#texts.set(folder, { count: (before?.count ?? 0) + (before?.text === text ? 0 : 1), text });
    }
  }

  all(folder: keyof Records | 'policies' | 'programs'): ReadonlyMap<string, unknown> {
    const { policies, programs, records } = this.#world;
    return { ...records, policies, programs }[folder];
  }

  get(folder: keyof Records | 'policies' | 'programs', name: string): unknown {
    return this.all(folder).get(name);
  }

  changesOf(folder: string): number {
    return this.changedSince(folder, 0)?.length ?? this.#texts.get(folder)?.count ?? this.#steps;
  }

  changedSince(folder: string, count: number): readonly string[] | undefined {
    const lists: Record<string, readonly string[]> = {
      interfaces: this.#changed,
      policies: this.#world.changedPolicies,
    };
    return lists[folder]?.slice(count);
  }
}

/** With lists that may be in another order sorted. */
export function ordered({ interfaces, domains, pools, nodes, due, contests, granted }: Merged) {
  return {
    interfaces,
    domains,
    pools,
    nodes,
    due,
    contests: contests.map((one) => JSON.stringify(one)).sort(),
    granted: IDS.map((one) => [one, [...(granted.get(one) ?? [])].sort()]),
  };
}
