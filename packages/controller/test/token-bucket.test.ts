/** A bucket that limits the rate of an action. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TokenBucket } from '../src/token-bucket.ts';

test('a bucket gives its reserve at once, and then what comes back', () => {
  let now = 0;
  const bucket = new TokenBucket({ reserve: 3, perSecond: 2, now: () => now });
  assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [true, true, true, false]);
  now = 500;
  assert.deepEqual([bucket.take(), bucket.take()], [true, false]);
  now = 1_000_000;
  assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [true, true, true, false]);
});

test('an amount beyond the reserve causes a wait', () => {
  let now = 0;
  const bucket = new TokenBucket({ reserve: 1000, perSecond: 250, now: () => now });
  assert.equal(bucket.spend(900), 0);
  assert.equal(bucket.spend(600), 2000);
  now = 1000;
  assert.equal(bucket.spend(0), 1000);
  now = 2000;
  assert.equal(bucket.spend(0), 0);
});
