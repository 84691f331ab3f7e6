/** Long work that somebody waits for goes before work that nobody waits for, and does not starve it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurns, inTurnsBeside, isAwaited } from '../src/turns.ts';

/** So many steps, each of which takes six milliseconds: more than a turn. */
function* work(count: number, done: string[], name: string): Generator<undefined, string> {
  for (let step = 0; step < count; step++) {
    for (const ends = performance.now() + 6; performance.now() < ends; ) {
      // As long as it takes.
    }
    done.push(name);
    yield;
  }
  return name;
}

test('while somebody waits for one work, another one that nobody waits for has no further turn', async () => {
  const done: string[] = [];
  const beside = inTurnsBeside(work(20, done, 'beside'), 60_000);
  assert.equal(isAwaited(), false);
  const awaited = inTurns(work(10, done, 'awaited'));
  assert.equal(isAwaited(), true);
  assert.equal(await awaited, 'awaited');
  assert.equal(isAwaited(), false);
  const meanwhile = done.filter((name) => name === 'beside').length;
  assert.equal(meanwhile, 1);
  assert.equal(await beside, 'beside');
  assert.equal(done.filter((name) => name === 'beside').length, 20);
});

test('work that nobody waits for comes to its end beside work that never ends', async () => {
  const done: string[] = [];
  let isOver = false;
  function* endless(): Generator<undefined, void> {
    while (!isOver) {
      yield* work(1, done, 'awaited');
    }
  }
  const awaited = inTurns(endless());
  assert.equal(await inTurnsBeside(work(3, done, 'beside')), 'beside');
  isOver = true;
  await awaited;
});

test('work that fails is not waited for any more', async () => {
  // biome-ignore lint/correctness/useYield: it fails before its first step
  function* fails(): Generator<undefined, void> {
    throw new Error('failed');
  }
  await assert.rejects(inTurns(fails()), /failed/);
  assert.equal(isAwaited(), false);
});
