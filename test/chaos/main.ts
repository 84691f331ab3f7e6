/**
 * `make chaos SEED=7 MINUTES=10`: random changes, faults and interference on the lab under traffic.
 * The same seed does the same steps again. ROUNDS=3 ends after so many rounds;
 * ONLY=migrate,create-policy uses no other actions.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { createLab } from '@mirrorplane/lab';
import { labName } from '../support/lab.ts';
import { homeward, rounds } from './plan.ts';
import { failureText, writeRun } from './report.ts';
import { ChaosRun } from './run.ts';
import { uninstallProblems } from './uninstall.ts';

const number = (name: string, otherwise: number) => Number(process.env[name] || otherwise);
const seed = number('SEED', Math.floor(Math.random() * 2 ** 32));
const minutes = number('MINUTES', 10);
const most = number('ROUNDS', Number.POSITIVE_INFINITY);
const only = process.env.ONLY?.split(',');
const folder = join(import.meta.dirname, 'out', `seed-${seed}`);

console.log(`chaos with seed ${seed}, ${minutes} minutes, steps in ${folder}`);
const lab = await createLab({ name: labName('c') });
let ok = false;
let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
try {
  const run = await ChaosRun.start(lab, seed);
  try {
    const end = Date.now() + minutes * 60_000;
    ok = true;
    for (const planned of rounds(seed, only)) {
      if (stopped || Date.now() > end || run.summary.rounds >= most || !ok) {
        break;
      }
      const begin = Date.now();
      ok = await run.round(planned);
      const names = planned.steps.map(({ action }) => action).join(' ');
      console.log(
        `round ${run.summary.rounds} ${ok ? 'ok' : 'FAILED'} ${((Date.now() - begin) / 1000).toFixed(1)} s: ${names}`,
      );
    }
    if (ok) {
      ok = await run.round(homeward(run.world));
      console.log(`home ${ok ? 'ok' : 'FAILED'}`);
    }
    console.log(JSON.stringify(run.summary));
    const replay = `make chaos SEED=${seed} ROUNDS=${run.summary.rounds}${only ? ` ONLY=${only}` : ''}`;
    if (!ok) {
      console.log(failureText(run, replay));
    }
  } finally {
    writeRun(folder, run);
    await run.stop();
    if (!ok) {
      for (const name of ['captures', 'logs']) {
        cpSync(join(lab.runDir, name), join(folder, name), { recursive: true });
      }
    }
  }
  const nodes = ok ? lab.topology.nodes : [];
  const problems = (await Promise.all(nodes.map(({ name }) => uninstallProblems(lab, name)))).flat();
  for (const problem of problems) {
    console.log(`after uninstall: ${problem}`);
  }
  ok &&= problems.length === 0;
} finally {
  await lab.down();
}
process.exit(ok ? 0 : 1);
