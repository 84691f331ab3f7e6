/** The inventory of this moment is made again where it is another one, and only there. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { CurrentInventory } from '../src/inventory/current-inventory.ts';
import { type Merged, mergeInventory, oneInterface, recordsOf, sightingsOf } from '../src/inventory/inventory.ts';
import { identityOf, withIdentity } from '../src/inventory/observed-interfaces.ts';
import { MOVE_MS } from '../src/inventory/places.ts';
import { GRACE_MS, LiveNodes } from '../src/reports/live-nodes.ts';
import type { InterfaceRecord } from '../src/store/records.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import { keyOf, type Stored, View } from '../src/store/view.ts';
import { temporaryFolder, vmDevice } from './harness.ts';
import { changes, IDS, ordered, World, WorldView } from './inventory-world.ts';

test('the inventory is kept until reports, records or time make another one', async (t) => {
  const store = openSqliteStore(path.join(temporaryFolder(t), 'store.db'));
  const view = new View(store, (error) => assert.ifError(error));
  await view.open();
  t.after(async () => {
    view.close();
    await store.close();
  });
  const put = async (key: string, value: unknown) => {
    const { revision } = await store.txn({ compare: [], ops: [{ type: 'put', key, value }] });
    await view.reached(revision);
  };
  const records: [string, object][] = [
    [keyOf('domains', 'blue'), { name: 'blue' }],
    [keyOf('pools', 'east'), { name: 'east', domain: 'blue' }],
    [keyOf('nodes', 'node-1'), { name: 'node-1', pool: 'east' }],
    [keyOf('nodes', 'node-2'), { name: 'node-2', pool: 'east' }],
    [keyOf('interfaces', 'web-1/0'), { id: 'web-1/0', kind: 'vm', name: 'web-1/0', declared: false }],
  ];
  for (const [key, value] of records) {
    await put(key, value);
  }
  let now = Date.parse('2026-01-31T12:00:00Z');
  const live = new LiveNodes(() => now);
  const current = new CurrentInventory(view, live);
  let before = current.now();
  const fresh = () => mergeInventory(recordsOf(view), live);
  const isKept = (why: string) => assert.equal(current.now(), before, why);
  const isMade = (why: string) => {
    assert.notEqual(current.now(), before, why);
    before = current.now();
    assert.deepEqual(ordered(before), ordered(fresh()), why);
  };

  isKept('nothing has happened');
  for (const name of ['node-1', 'node-2']) {
    live.hello({ type: 'hello', protocol: 1, node: name, agentVersion: '1' } as Parameters<LiveNodes['hello']>[0]);
  }
  isMade('agents have connected');
  const lists = (node: string, ...devices: object[]) =>
    live.inventory(node, { type: 'inventory', devices } as Parameters<LiveNodes['inventory']>[1], undefined);
  lists('node-1', vmDevice('web-1/0', 4));
  isMade('a device has come');
  lists('node-1', vmDevice('web-1/0', 4));
  live.heard('node-1');
  await put(keyOf('programs', 'node-1'), { digest: 'd', revision: 1 });
  isKept('the same was said again, and a program was written');
  await put(keyOf('interfaces', 'web-1/0'), { id: 'web-1/0', kind: 'vm', name: 'other', declared: false });
  isMade('the interface has another name');
  lists('node-2', vmDevice('web-1/0', 9));
  isMade('the guest begins to move');
  now += MOVE_MS + 1;
  isMade('a move that takes too long is a contest');
  live.disconnected('node-1');
  isMade('the node is away');
  now += GRACE_MS - 1;
  isKept('the grace period is not over');
  now += 2;
  isMade('the grace period is over');
});

/**
 * The same from nothing. A device is judged by the kind that its node tells, which the record has
 * after the next planning.
 */
function fromNothing({ records, live }: World): Merged {
  const sightings = sightingsOf(records, live);
  const told = new Map<string, Stored<InterfaceRecord>>();
  for (const [id, stored] of records.interfaces) {
    told.set(id, withIdentity(id, stored, identityOf(sightings.get(id) ?? [], stored.value.boundTo))!);
  }
  const inventory = mergeInventory({ ...records, interfaces: told }, live);
  const interfaces = inventory.interfaces.map((item) => {
    const { kind, name, network } = records.interfaces.get(item.id)!.value;
    return { ...item, kind, name, ...(network !== undefined && { network }) };
  });
  return { ...inventory, interfaces };
}

test('after any changes, the current inventory is the one that is made from nothing', () => {
  fc.assert(
    fc.property(fc.array(changes, { minLength: 1, maxLength: 30, size: 'max' }), fc.gen(), (steps, gen) => {
      const world = new World();
      const view = new WorldView(world);
      const current = new CurrentInventory(view as unknown as View, world.live);
      const changed = new Set<string>();
      current.onChanged((ids) => {
        for (const id of ids) {
          changed.add(id);
        }
      });
      let before = new Map(current.now().interfaces.map((item) => [item.id, item]));
      for (const change of steps) {
        change(world);
        view.step();
        if (gen(fc.boolean)) {
          continue;
        }
        changed.clear();
        const now = current.now();
        assert.deepEqual(ordered(now), ordered(fromNothing(world)));
        const merged = mergeInventory(world.records, world.live);
        for (const id of IDS) {
          const one = merged.interfaces.find((item) => item.id === id);
          assert.deepEqual(oneInterface(id, world.records, world.live), one);
        }
        const after = new Map(now.interfaces.map((item) => [item.id, item]));
        for (const id of IDS) {
          assert.equal(changed.has(id), before.get(id) !== after.get(id), `${id} is told where it is another one`);
          assert.equal(current.get(id), after.get(id));
        }
        before = after;
      }
    }),
    { numRuns: 1000 },
  );
});
