/** Secrets that a host knows which was cut off: all of them change, once, whatever the clock says. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { allocateSessions, type Sessions } from '../src/sessions.ts';

const DEMANDS = Array.from({ length: 10 }, (_, i) => ({ uid: `p${i}`, end: 'e', node: 'node-1', needed: true }));

/** How many numbers change in each of some plans. */
function changes(sessions: Sessions, cutOffs: number, now: number): { sessions: Sessions; changed: number[] } {
  const changed: number[] = [];
  for (let plan = 0; plan < 5; plan++) {
    const before = sessions['node-1']?.policies ?? {};
    sessions = allocateSessions(sessions, DEMANDS, { draw: randomInt, now: now + plan, cutOffs }).sessions;
    const after = Object.entries(sessions['node-1']!.policies);
    changed.push(after.filter(([uid, { session }]) => before[uid]?.session !== session).length);
  }
  return { sessions, changed };
}

test('after a host was cut off, every number changes once, a few in each plan', () => {
  const first = changes({}, 0, 5000);
  assert.deepEqual(first.changed, [10, 0, 0, 0, 0]);
  const second = changes(first.sessions, 1, 5000);
  assert.deepEqual(second.changed, [4, 4, 2, 0, 0]);
  // The clock was set back.
  const third = changes(second.sessions, 2, 1000);
  assert.deepEqual(third.changed, [4, 4, 2, 0, 0]);
  assert.deepEqual(changes(third.sessions, 2, 1010).changed, [0, 0, 0, 0, 0]);
});
