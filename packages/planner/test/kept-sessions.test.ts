/** Numbers that are kept are those that an allocation from nothing gives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeptSessions } from '../src/kept-sessions.ts';
import { allocateSessions, SECRET_LIFE_MS, type SessionDemand, type Sessions } from '../src/sessions.ts';

const demand = fc.record(
  {
    uid: fc.constantFrom('p-1', 'p-2', 'p-3', 'p-4', 'p-5', 'p-6'),
    end: fc.constantFrom('e', 'f'),
    node: fc.constantFrom('n-1', 'n-2', undefined),
    needed: fc.boolean(),
    handoverNodes: fc.constantFrom([], ['n-1'], ['n-1', 'n-2']),
  },
  { requiredKeys: ['uid', 'end', 'node', 'needed'] },
);
const demands = fc.uniqueArray(demand, { selector: ({ uid }) => uid });
const step = fc.record({
  /** Undefined: the same objects as before. */
  demands: fc.option(demands, { nil: undefined, freq: 3 }),
  later: fc.constantFrom(0, 1, 1000, SECRET_LIFE_MS - 1, SECRET_LIFE_MS, -5000),
  cutOff: fc.constantFrom(0, 0, 0, 1),
  isStored: fc.boolean(),
});

test('numbers that are kept are those of an allocation from nothing, and mostly the same object', () => {
  let [same, others] = [0, 0];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const kept = new KeptSessions();
      let before: Sessions = {};
      let wanted: readonly SessionDemand[] = [];
      let [now, cutOffs] = [10 * SECRET_LIFE_MS, 0];
      let last: object | undefined;
      for (const one of steps) {
        wanted = one.demands ?? wanted;
        now += one.later;
        cutOffs += one.cutOff;
        const chance = { draw: () => 7, now, cutOffs };
        const found = kept.allocate(before, [...wanted], chance);
        assert.deepEqual(found, allocateSessions(before, wanted, chance));
        same += found === last ? 1 : 0;
        others += found === last ? 0 : 1;
        last = found;
        // As planning does it: what is the same is not written, so it stays the same object.
        if (one.isStored && JSON.stringify(found.sessions) !== JSON.stringify(before)) {
          before = structuredClone(found.sessions);
        }
      }
    }),
    { numRuns: 1000 },
  );
  assert.ok(same > 100 && others > 100, `${same} ${others}`);
});
