/** The inventory of this moment is made again where it is another one, and only there. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { CurrentInventory } from '../src/inventory/current-inventory.ts';
import { mergeInventory, recordsOf } from '../src/inventory/inventory.ts';
import { MOVE_MS } from '../src/inventory/places.ts';
import { GRACE_MS, LiveNodes } from '../src/reports/live-nodes.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import { keyOf, View } from '../src/store/view.ts';
import { temporaryFolder, vmDevice } from './harness.ts';

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
    assert.deepEqual(before, fresh(), why);
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
