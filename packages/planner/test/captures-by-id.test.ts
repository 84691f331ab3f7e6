/** States of captures are found by the ids of captures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CaptureStatus } from '@mirrorplane/contract';
import fc from 'fast-check';
import { capturesById } from '../src/observation.ts';

const IDS = ['p/a', 'p/b', 'p/b/0', 'q/a', 'q/b'];
const statuses = fc.array(
  fc
    .record({ capture: fc.constantFrom(...IDS), device: fc.constantFrom('tap1', 'tap2') })
    .map(({ capture, device }): CaptureStatus => ({ capture, device, state: 'capturing' }) as CaptureStatus),
);

test('each capture has the states that are told of it, in their order, and another has none', () => {
  fc.assert(
    fc.property(statuses, (all) => {
      const found = capturesById(all);
      for (const id of [...IDS, '', 'o', 'p/c', 'z']) {
        const told = all.filter(({ capture }) => capture === id);
        assert.deepEqual(found.get(id), told.length === 0 ? undefined : told);
      }
    }),
  );
});
