/** Schedules of the simulation: nothing that must be true is ever untrue, and planted faults are found. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';
import { KNOBS } from './knobs.ts';
import { MUTATIONS } from './mutations.ts';
import { patched } from './patch.ts';
import { explain, runSeeds } from './workers.ts';

/** Schedules that are run each time, and how many more at most, within so many seconds. */
const KNOWN = 60;
const MORE = 400;
const MORE_SECONDS = 20;
/** Where these begin: `make simulate` draws new seeds. */
const MORE_FROM = Number(process.env.SEED || 1000);
/** Mutations that are found within seconds; `make simulate-mutations` plants all. */
const QUICK = ['confirmed-unsaved', 'standby-stays', 'stale-leader-writes'];

const options = { timeout: 300_000 };

/** Fails with the last steps of the first schedule that failed. */
async function assertNoneFailed(run: ReturnType<typeof runSeeds>): Promise<number> {
  const { done, outcomes } = await run;
  const failed = outcomes.find(({ violation }) => violation !== undefined);
  assert.equal(failed, undefined, failed && `\n${await explain(failed.seed)}\nat first: ${failed.violation}`);
  return done;
}

test('schedules of known seeds keep what must be true', options, async () => {
  assert.equal(await assertNoneFailed(runSeeds({ first: 1, runs: KNOWN })), KNOWN);
});

test('as many more schedules as twenty seconds take, up to 400, do too', options, async (t) => {
  t.diagnostic(
    `${await assertNoneFailed(runSeeds({ first: MORE_FROM, runs: MORE, seconds: MORE_SECONDS }))} schedules`,
  );
});

test('a seed gives the same steps again, in another process and after other schedules', options, async () => {
  const traced = async (first: number, runs: number) => {
    const { outcomes } = await runSeeds({ first, runs, traceLines: 5000, workers: 1 });
    return outcomes.find(({ seed }) => seed === 7)!;
  };
  const [alone, after] = [await traced(7, 1), await traced(4, 4)];
  assert.ok(alone.trace.length > 100);
  assert.deepEqual(after, alone);
});

for (const name of QUICK) {
  test(`the planted fault ${name} is found`, options, async () => {
    const { several } = MUTATIONS.find((one) => one.name === name)!;
    const { failed } = await runSeeds({ first: 1, seconds: 200, mutation: name, untilFailed: true, several });
    assert.ok(failed > 0);
  });
}

test('every patch has its place in the sources of today', () => {
  assert.ok(MUTATIONS.length >= 10);
  for (const { patches } of [{ patches: KNOBS }, ...MUTATIONS]) {
    for (const patch of patches) {
      const source = readFileSync(join(ROOT, 'packages', patch.file), 'utf8');
      assert.notEqual(patched(source, [patch]), source);
    }
  }
});

test('a patch without its place, and one with two, is an error that names file and text', () => {
  const patch = { file: 'x.ts', find: 'a = 1', put: '' };
  assert.throws(() => patched('b = 1', [patch]), /x\.ts has 0 times "a = 1"/);
  assert.throws(() => patched('a = 1, a = 1', [patch]), /x\.ts has 2 times/);
});
