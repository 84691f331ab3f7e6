/** The inventory that planning keeps is the one that is made from nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeptPlaces } from '../src/inventory/kept-places.ts';
import { observedInterfaces } from '../src/inventory/observed-interfaces.ts';
import { ObservedInventory } from '../src/inventory/observed-inventory.ts';
import { changes, ordered, World } from './inventory-world.ts';

const texts = (items: readonly unknown[]) => items.map((item) => JSON.stringify(item)).sort();

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
        const fresh = observedInterfaces(records, live, { named, now });
        assert.deepEqual(ordered(result.inventory), ordered(fresh.inventory));
        assert.deepEqual(texts(result.ops), texts(fresh.ops));
        if (isWritten) {
          world.carryOut(result.ops);
        }
      }
    }),
    { numRuns: 1500 },
  );
});
