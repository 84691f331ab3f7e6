/**
 * When service traffic counts as unprotected: it is there, beside copies, and nothing is known of
 * the device.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Unprotected } from '../src/throttle/unprotected.ts';

/**
 * Readings every 100 ms: bytes a second of originals and copies. Returns what the last one said.
 */
function run(
  shared: Unprotected,
  from: number,
  seconds: number,
  { originals = 0, copies = 0, known = false }: { originals?: number; copies?: number; known?: boolean },
): boolean {
  let last = false;
  for (let ms = 0; ms <= seconds * 1000; ms += 100) {
    const done = (rate: number) => (rate * ms) / 1000;
    last = shared.next({ at: from + ms, sent: done(originals) + done(copies), copies: done(copies), known });
  }
  return last;
}

test('a device that carries service traffic, and is not known, is unprotected', () => {
  assert.equal(run(new Unprotected(), 0, 6, { originals: 100_000, copies: 1_000_000 }), true);
});

test('a device that carries copies alone has nothing to protect', () => {
  assert.equal(run(new Unprotected(), 0, 60, { copies: 100_000_000 }), false);
});

test('a few packets of neighbours and routes are no service traffic', () => {
  assert.equal(run(new Unprotected(), 0, 60, { originals: 2000, copies: 10_000 }), false);
});

test('the difference of two readings from different moments is no service traffic', () => {
  assert.equal(run(new Unprotected(), 0, 60, { originals: 1_000_000, copies: 100_000_000 }), false);
});

test('a device with a speed or a queue is protected, and is so from when it gets one', () => {
  const shared = new Unprotected();
  assert.equal(run(shared, 0, 60, { originals: 100_000, known: true }), false);
  assert.equal(run(shared, 100_000, 6, { originals: 100_000 }), true);
  assert.equal(run(shared, 200_000, 0, { originals: 100_000, known: true }), false);
});

test('it stays unprotected for ten minutes after the last service traffic', () => {
  const shared = new Unprotected();
  assert.equal(run(shared, 0, 6, { originals: 100_000 }), true);
  const after = (at: number) => shared.next({ at, sent: 600_000, copies: 0, known: false });
  assert.equal(after(500_000), true);
  assert.equal(after(700_000), false);
});
