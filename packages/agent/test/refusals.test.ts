/** For how long a budget counts as throttling. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusals, THROTTLED_FOR_MS } from '../src/throttle/refusals.ts';

test('a budget throttles from a refused copy on for a while, and not for copies that were refused before', () => {
  const refusals = new Refusals(7);
  refusals.note(7, 100);
  assert.equal(refusals.isThrottled(100), false);
  refusals.note(8, 200);
  assert.equal(refusals.isThrottled(200 + THROTTLED_FOR_MS - 1), true);
  assert.equal(refusals.isThrottled(200 + THROTTLED_FOR_MS), false);
});

test('refused copies that do not count throttle neither then nor later', () => {
  const refusals = new Refusals(0);
  refusals.note(5, 100, false);
  refusals.note(5, 200);
  assert.equal(refusals.isThrottled(200), false);
});
