/**
 * `make bench`: the cost of mirroring, compared with no mirror and with the kernel's own mirror.
 * See docs/performance.md.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bed } from './bed.ts';
import { describeMachine, idleLoad } from './machine.ts';
import { measureAgent } from './measurements/agent.ts';
import { measureAttach } from './measurements/attach.ts';
import { measureCpus } from './measurements/cpus.ts';
import { measureHear } from './measurements/hear.ts';
import { measureOverload } from './measurements/overload.ts';
import { measurePolicies } from './measurements/policies.ts';
import { measurePrograms } from './measurements/programs.ts';
import { measureRates } from './measurements/rates.ts';
import { measureRuns } from './measurements/runs.ts';
import { MEASUREMENTS, type Options, parseOptions, USAGE } from './options.ts';
import { table } from './report.ts';
import { runRounds } from './rounds.ts';
import type { Row } from './row.ts';
import { VARIANTS } from './variants.ts';

const OUT = join(import.meta.dirname, 'out');

/** On stderr, so that stdout has only the table. */
const say = (line: string) => process.stderr.write(`[bench] ${line}\n`);

/** Parallel benches have different names. A lab's name has at most six characters. */
const labName = `b${process.pid.toString(36)}`.slice(0, 6);

/** Parts that choose their own comparisons. */
const PARTS_OF_THEIR_OWN = [
  ['programs', 'time of program runs', measurePrograms],
  ['runs', 'runs on one packet', measureRuns],
  ['cpus', 'two CPUs', measureCpus],
  ['hear', 'drops that are heard', measureHear],
  ['rates', 'loss at rate', measureRates],
  ['policies', '1 to 1,000 policies', measurePolicies],
  ['overload', 'service traffic on a full uplink', measureOverload],
] as const;

async function measure(options: Options, signal: AbortSignal, loads: number[]): Promise<Row[]> {
  const rows: Row[] = [];
  const { rounds, seconds } = options;
  const chosen = MEASUREMENTS.filter(({ name }) => options.only.includes(name));
  const progress = (title: string) => (round: number) => say(`${title}: round ${round} of ${rounds}`);
  if (chosen.length > 0 || PARTS_OF_THEIR_OWN.some(([name]) => options.only.includes(name))) {
    await Bed.with(labName, signal, async (bed) => {
      for (const measurement of chosen) {
        loads.push(await idleLoad());
        const samples = await runRounds(bed, measurement, VARIANTS, rounds, seconds, progress(measurement.title));
        rows.push(...measurement.rows(samples));
      }
      for (const [name, title, part] of PARTS_OF_THEIR_OWN) {
        if (!options.only.includes(name)) {
          continue;
        }
        loads.push(await idleLoad());
        rows.push(...(await part(bed, rounds, seconds, progress(title))));
      }
    });
  }
  if (options.only.includes('attach')) {
    loads.push(await idleLoad());
    rows.push(...(await measureAttach(labName, signal, rounds, progress('1024 captures'))));
  }
  if (options.only.includes('agent')) {
    loads.push(await idleLoad());
    rows.push(...(await measureAgent({ labName, command: options.command }, signal, rounds, say)));
  }
  return rows;
}

/** Writes the file atomically. */
function save(rows: readonly Row[]): string {
  mkdirSync(OUT, { recursive: true });
  const file = join(OUT, 'latest.jsonl');
  writeFileSync(`${file}.${process.pid}`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  renameSync(`${file}.${process.pid}`, file);
  return file;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) {
        say(`${signal}: removing the lab`);
      }
      stop.abort(new Error(`ended by ${signal}`));
    });
  }
  const start = performance.now();
  const loads: number[] = [];
  const rows = await measure(options, stop.signal, loads);
  const file = save(rows);
  process.stdout.write(`${table(rows)}\n\n`);
  process.stdout.write(`${describeMachine(loads)}\n`);
  process.stdout.write(
    `${options.rounds} rounds of ${options.seconds} s in ${((performance.now() - start) / 60_000).toFixed(1)} minutes; ` +
      'value: median over rounds; ratio: median of the ratios within a round; close: the noise does not decide\n',
  );
  if (options.quick) {
    process.stdout.write('--quick: shows that the bench works; do not quote these numbers\n');
  }
  say(`written to ${file}`);
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    say(error.message);
    if (process.env.V) {
      say(error.stack ?? '');
    }
    process.exitCode = 1;
  },
);
