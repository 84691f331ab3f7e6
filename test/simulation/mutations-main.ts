/**
 * Plants each mutation, and runs schedules until one finds it: `make simulate-mutations`. The
 * schedule runs once more without the mutation: if it fails then too, it has found something else,
 * and the search goes on behind it.
 */
import { hasSeveral } from './core/several.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { runSeeds } from './workers.ts';

/** The longest search for one mutation, seconds, unless `RUNS` says how many schedules it has. */
const LIMIT_S = 300;
const only = process.env.ONLY?.split(',').filter((name) => name !== '');
const first = Number(process.env.SEED || 1);
const runs = process.env.RUNS ? Number(process.env.RUNS) : undefined;

/** Schedules that a search has behind it when it has come to a seed. */
function schedulesTo(seed: number, { several }: Mutation): number {
  const seeds = Array.from({ length: seed - first }, (_, at) => first + at);
  return seeds.filter((one) => several === undefined || hasSeveral(one) === several).length;
}

/** What a search has come to. */
interface Result {
  found?: { seed: number; violation: string };
  schedules: number;
  /** Of CPU time. Known where nothing was found. */
  cpu?: number;
}

async function search(mutation: Mutation): Promise<Result> {
  const { name, several } = mutation;
  const began = performance.now();
  for (let from = first; ; ) {
    const before = schedulesTo(from, mutation);
    const limit = runs === undefined ? LIMIT_S - (performance.now() - began) / 1000 : Infinity;
    const left = runs === undefined ? {} : { runs: runs - before };
    const options = { first: from, mutation: name, untilFailed: true, several, ...left };
    const { outcomes, done, seconds } = await runSeeds({ ...options, ...(runs === undefined && { seconds: limit }) });
    const [found] = outcomes;
    if (found?.violation === undefined) {
      return { schedules: before + done, cpu: seconds };
    }
    const { seed, violation } = found;
    const { outcomes: without } = await runSeeds({ first: seed, runs: 1, several });
    if (without[0]?.violation === undefined) {
      return { found: { seed, violation }, schedules: schedulesTo(seed + 1, mutation) };
    }
    console.log(`  seed ${seed} fails without ${name} too: ${without[0].violation.slice(0, 300)}`);
    from = seed + 1;
  }
}

let missed = 0;
for (const mutation of MUTATIONS.filter((one) => !only?.length || only.includes(one.name))) {
  const { name, about } = mutation;
  const began = performance.now();
  const { found, schedules, cpu } = await search(mutation);
  const seconds = Math.round((performance.now() - began) / 1000);
  missed += found ? 0 : 1;
  console.log(`${found ? 'found' : 'MISSED'} in ${seconds} s, ${schedules} schedules: ${name}: ${about}`);
  if (found) {
    console.log(`  seed ${found.seed}: ${found.violation.slice(0, 300)}`);
    console.log('  the same seed without it: nothing is wrong');
  } else {
    // On a busy machine, five minutes are few schedules.
    console.log(`  ${Math.round(cpu ?? 0)} s of CPU time`);
  }
}
process.exitCode = missed > 0 ? 1 : 0;
