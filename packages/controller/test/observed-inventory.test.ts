/** The inventory that planning keeps is the one that is made from nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Device } from '@mirrorplane/contract';
import fc from 'fast-check';
import type { Merged, Records } from '../src/inventory/inventory.ts';
import { KeptPlaces } from '../src/inventory/kept-places.ts';
import { observedInterfaces } from '../src/inventory/observed-interfaces.ts';
import { ObservedInventory } from '../src/inventory/observed-inventory.ts';
import { GRACE_MS, LiveNodes } from '../src/reports/live-nodes.ts';
import type { InterfaceRecord } from '../src/store/records.ts';
import type { Operation } from '../src/store/store.ts';
import type { Stored } from '../src/store/view.ts';
import { vmDevice } from './harness.ts';

const NODES = ['node-1', 'node-2', 'node-3'];
const IDS = ['a', 'b', 'c'];

/** A store, agents and a clock. Each change is one that they can make. */
class World {
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
  named = new Set<string>();
  revision = 1;

  constructor() {
    for (const name of NODES) {
      this.nodes.set(name, { value: { name, pool: name === 'node-3' ? 'p2' : 'p1' }, revision: 1 });
      this.live.hello({ type: 'hello', protocol: 1, node: name, agentVersion: '1', kernel: '6' });
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

type Change = (world: World) => void;

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
const changes: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(node, devices).map(
      ([name, list]): Change =>
        ({ live }) =>
          live.inventory(name, { type: 'inventory', devices: list }, undefined),
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
        live.hello({ type: 'hello', protocol: 1, node: name, agentVersion: '1', kernel: '6' }),
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

/** With lists that may be in another order sorted. */
function ordered({ inventory, ops }: { inventory: Merged; ops: Operation[] }) {
  const text = (items: readonly unknown[]) => items.map((item) => JSON.stringify(item)).sort();
  const granted = [...inventory.granted].map(([one, nodes]) => [one, [...nodes].sort()]);
  const { interfaces, domains, pools, nodes, due } = inventory;
  return {
    interfaces,
    domains,
    pools,
    nodes,
    due,
    contests: text(inventory.contests),
    granted: text(granted),
    ops: text(ops),
  };
}

test('after any changes, the kept inventory is the one that is made from nothing, and so are the records', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(changes, fc.boolean()), { minLength: 1, maxLength: 30, size: 'max' }), (steps) => {
      const world = new World();
      const places = new KeptPlaces();
      const kept = new ObservedInventory(places);
      for (const [change, isWritten] of steps) {
        change(world);
        const { records, live, named, now } = world;
        const concerned = places.update(records, live, world.changed);
        world.changed.clear();
        const result = kept.update(records, live, { concerned, named, now });
        assert.deepEqual(ordered(result), ordered(observedInterfaces(records, live, { named, now })));
        if (isWritten) {
          world.carryOut(result.ops);
        }
      }
    }),
    { numRuns: 1500 },
  );
});
