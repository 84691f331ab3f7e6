/** Runs schedules: `make simulate SEED= RUNS= SECONDS= CONTROLLERS=one|several`. */
import { explain, runSeeds } from './workers.ts';

/** Failed schedules whose last steps are printed. */
const EXPLAINED = 3;

const { SEED, RUNS, SECONDS, CONTROLLERS } = process.env;
const several = CONTROLLERS ? CONTROLLERS === 'several' : undefined;
const first = Number(SEED || Date.now() % 1e9);
const runs = RUNS ? Number(RUNS) : undefined;
const seconds = SECONDS ? Number(SECONDS) : undefined;
console.log(`schedules from seed ${first} on`);
const began = performance.now();
const limits =
  runs === undefined && seconds === undefined
    ? { seconds: 60 }
    : { ...(runs && { runs }), ...(seconds && { seconds }) };
const { done, failed, steps, seconds: cpu, outcomes } = await runSeeds({ first, several, ...limits });
const minutes = (performance.now() - began) / 60_000;
if (runs === 1) {
  console.log(await explain(first, 400));
} else {
  for (const { seed, violation } of outcomes.slice(EXPLAINED)) {
    console.log(`seed ${seed}: ${violation}`);
  }
  for (const { seed } of outcomes.slice(0, EXPLAINED)) {
    console.log(`\n${await explain(seed)}`);
  }
}
const cost = Math.round((cpu * 1000) / Math.max(1, done));
const speed = `${Math.round(done / minutes)} schedules a minute, ${cost} ms of CPU time each`;
console.log(`${done} schedules, ${failed} failed, ${steps} steps, ${speed}`);
process.exitCode = failed > 0 ? 1 : 0;
