/**
 * A short chaos run: random changes, faults and interference under traffic, judged by captures on every device. One seed is
 * always the same, one is new each time; `make chaos` runs for minutes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { homeward, rounds } from './chaos/plan.ts';
import { failureText } from './chaos/report.ts';
import { ChaosRun } from './chaos/run.ts';
import { uninstallProblems } from './chaos/uninstall.ts';
import { useLab } from './support/lab.ts';

const lab = useLab();

test('the same seed gives the same steps', () => {
  const first = (seed: number) =>
    JSON.stringify(
      Array.from(
        { length: 20 },
        (
          (all) => () =>
            all.next().value
        )(rounds(seed)),
      ),
    );
  assert.equal(first(5), first(5));
  assert.notEqual(first(5), first(6));
});

/** Runs the first rounds of a seed, and then puts everything back. */
async function chaos(seed: number, count: number): Promise<ChaosRun> {
  const run = await ChaosRun.start(lab(), seed);
  const replay = `make chaos SEED=${seed} ROUNDS=${count}`;
  try {
    const planned = rounds(seed);
    for (let round = 0; round < count; round++) {
      assert.ok(await run.round(planned.next().value), failureText(run, replay));
    }
    assert.ok(await run.round(homeward(run.world)), failureText(run, replay));
  } finally {
    await run.stop();
  }
  return run;
}

test('originals pass, copies are exact and books close through the changes of a known seed', async (context) => {
  const { summary } = await chaos(20, 2);
  context.diagnostic(JSON.stringify(summary));
  assert.ok(summary.copies > 100 && summary.erspan > 100, `too little was mirrored: ${JSON.stringify(summary)}`);
});

const fresh = Math.floor(Math.random() * 2 ** 32);
test(`originals pass, copies are exact and books close through the changes of seed ${fresh}, drawn now`, async (context) => {
  const { summary } = await chaos(fresh, 1);
  context.diagnostic(JSON.stringify(summary));
});

test('uninstalled after all that, the agents leave nothing behind', async () => {
  const problems = await Promise.all(lab().topology.nodes.map(({ name }) => uninstallProblems(lab(), name)));
  assert.deepEqual(problems.flat(), []);
});
