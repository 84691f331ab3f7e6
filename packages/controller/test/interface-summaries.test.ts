/** The summaries of interfaces that are kept are those that are made from nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CurrentInventory } from '../src/inventory/current-inventory.ts';
import type { PolicyRecord } from '../src/store/records.ts';
import type { View } from '../src/store/view.ts';
import { InterfaceSummaries } from '../src/summaries/interfaces.ts';
import { type Change, changes, IDS, World, WorldView } from './inventory-world.ts';

const policy = fc.record({
  sources: fc.subarray([...IDS], { minLength: 1 }),
  destination: fc.constantFrom(...IDS),
  vlanId: fc.constantFrom(undefined, 100, 101),
  state: fc.constantFrom('approved' as const, 'pending' as const),
});

/** An interface is a source of one policy at most: the other one loses it in the same step. */
const policyChanges = fc.tuple(fc.constantFrom('p-1', 'p-2'), fc.option(policy)).map(
  ([name, spec]): Change =>
    (world) => {
      const write = (changed: string, value: PolicyRecord | undefined) => {
        world.changedPolicies.push(changed);
        world.policies.delete(changed);
        if (value) {
          world.policies.set(changed, { value, revision: ++world.revision });
        }
      };
      const other = name === 'p-1' ? 'p-2' : 'p-1';
      const others = world.policies.get(other)?.value;
      if (spec === null) {
        write(name, undefined);
        return;
      }
      const { state, ...rest } = spec;
      write(name, { name, uid: name, ...rest, approval: { state } } as unknown as PolicyRecord);
      if (others?.sources.some((id) => spec.sources.includes(id))) {
        write(other, { ...others, sources: others.sources.filter((id) => !spec.sources.includes(id)) });
      }
    },
);

test('after any changes, the kept summaries of interfaces are those that are made from nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(changes, policyChanges), { minLength: 1, maxLength: 30, size: 'max' }), (steps) => {
      const world = new World();
      const worldView = new WorldView(world);
      const view = worldView as unknown as View;
      const inventory = new CurrentInventory(view, world.live);
      const kept = new InterfaceSummaries({ view, inventory });
      for (const change of steps) {
        change(world);
        worldView.step();
        const fresh = new InterfaceSummaries({ view, inventory });
        const all = fresh.all().map(({ summary }) => summary);
        assert.deepEqual(
          kept.all().map(({ summary }) => summary),
          all,
        );
        assert.deepEqual(
          kept.all().map(({ text }) => text),
          fresh.all().map(({ text }) => text),
        );
        assert.deepEqual([...kept.summaries().values()], all);
        for (const id of IDS) {
          const found = all.find((one) => one.id === id);
          assert.deepEqual(kept.one(id), found);
          assert.deepEqual(kept.summaries().get(id), found);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('an entry stays the same object until its interface differs, or what policies make of it', () => {
  const world = new World();
  const worldView = new WorldView(world);
  const view = worldView as unknown as View;
  for (const id of IDS) {
    world.write(id, { id, kind: 'vm', name: id, declared: true });
  }
  worldView.step();
  const kept = new InterfaceSummaries({ view, inventory: new CurrentInventory(view, world.live) });
  const [a, b, c] = kept.all();
  world.write('b', { id: 'b', kind: 'vm', name: 'other', declared: true });
  world.changedPolicies.push('p-1');
  const value = { name: 'p-1', uid: 'p-1', sources: ['c'], destination: 'x' } as unknown as PolicyRecord;
  world.policies.set('p-1', { value, revision: 9 });
  worldView.step();
  const [now, other, used] = kept.all();
  assert.equal(now, a);
  assert.notEqual(other, b);
  assert.equal(other!.item.name, 'other');
  assert.notEqual(used, c);
  assert.equal(used!.policy, 'p-1');
});
