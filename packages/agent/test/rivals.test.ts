/** How long ours waits before it goes first again where another program does so too. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rivals } from '../src/datapath/kernel/rivals.ts';

const HOOK = 'ingress-5-capture_ingress';

/**
 * Lets a rival go first at every look, from 0 to `until`, each `step` milliseconds. Returns when
 * ours went first again.
 */
function fight(rivals: Rivals, until: number, step = 500): number[] {
  const moves: number[] = [];
  for (let now = 0; now < until; now += step) {
    if (rivals.behind(HOOK, now)) {
      moves.push(now);
    }
  }
  return moves;
}

test('ours goes first again at once three times, then waits twice as long each time', () => {
  const rivals = new Rivals();
  assert.deepEqual(fight(rivals, 40_000), [0, 500, 1000, 3000, 7000, 15_000, 31_000]);
  assert.ok(rivals.isDisputed(HOOK, 40_000));
});

test('ours waits a minute at most', () => {
  const moves = fight(new Rivals(), 600_000);
  assert.deepEqual(new Set(moves.slice(-4).map((at, i, all) => at - (all[i - 1] ?? at - 60_000))), new Set([60_000]));
});

test('a program that came in front once or twice is no rival', () => {
  const rivals = new Rivals();
  fight(rivals, 1000);
  assert.ok(!rivals.isDisputed(HOOK, 1000));
  assert.ok(!rivals.isDisputed('egress-5-capture_egress', 1000));
});

test('the dispute is over after five seconds without a program in front, and begins again after that', () => {
  const rivals = new Rivals();
  fight(rivals, 2000);
  assert.ok(rivals.isDisputed(HOOK, 6000));
  assert.ok(!rivals.isDisputed(HOOK, 6501));
  assert.ok(rivals.behind(HOOK, 12_000));
});
