/** Plants each mutation, and runs schedules until one finds it: `make simulate-mutations`. */
import { MUTATIONS } from './mutations.ts';
import { runSeeds } from './workers.ts';

/** The longest search for one mutation, seconds. */
const LIMIT_S = 300;
const only = process.env.ONLY?.split(',').filter((name) => name !== '');
const first = Number(process.env.SEED || 1);
let missed = 0;

for (const { name, about, several } of MUTATIONS.filter((one) => !only?.length || only.includes(one.name))) {
  const began = performance.now();
  const {
    outcomes,
    done,
    seconds: cpu,
  } = await runSeeds({ first, seconds: LIMIT_S, mutation: name, untilFailed: true, several });
  const seconds = Math.round((performance.now() - began) / 1000);
  const [found] = outcomes;
  missed += found ? 0 : 1;
  console.log(`${found ? 'found' : 'MISSED'} in ${seconds} s: ${name}: ${about}`);
  if (!found) {
    // On a busy machine, five minutes are few schedules.
    console.log(`  in ${done} schedules, ${Math.round(cpu)} s of CPU time`);
  }
  if (found) {
    console.log(`  seed ${found.seed}: ${found.violation?.slice(0, 300)}`);
  }
}
process.exitCode = missed > 0 ? 1 : 0;
