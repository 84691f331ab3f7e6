/** A planning waits for agents that are about to say something, and not for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quiet } from '../src/planning/quiet.ts';

test('it waits until the burst is over', async () => {
  let left = 5;
  await quiet(
    () => left-- > 0,
    () => true,
    60_000,
  );
  assert.equal(left, -1);
});

test('it waits no longer than it may, and not where an edit waits', async () => {
  const began = performance.now();
  let looks = 0;
  const isBurst = () => ++looks > 0;
  await quiet(isBurst, () => true, 20);
  assert.ok(performance.now() - began >= 20 && looks > 1);
  looks = 0;
  await quiet(isBurst, () => looks < 3, 60_000);
  assert.equal(looks, 3);
});
