/**
 * `make bench`: the cost of mirroring, compared with no mirror and with the kernel's own mirror.
 * See docs/performance.md.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Bed } from './bed.ts';
import { describeMachine, idleLoad } from './machine.ts';
import { measureAgent } from './measurements/agent.ts';
import { measureAttach } from './measurements/attach.ts';
import { measureCpus } from './measurements/cpus.ts';
import { measureGuest } from './measurements/guest.ts';
import { measureHear } from './measurements/hear.ts';
import { measureOverload } from './measurements/overload.ts';
import { measurePolicies } from './measurements/policies.ts';
import { measurePrograms } from './measurements/programs.ts';
import { measureRates } from './measurements/rates.ts';
import { measureRuns } from './measurements/runs.ts';
import { measureSteps } from './measurements/steps.ts';
import { DEVICE_MEASUREMENTS, MEASUREMENTS, type Options, parseOptions, USAGE } from './options.ts';
import { packagedCommand } from './packaged.ts';
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
  ['steps', 'rates at which loss begins', measureSteps],
  ['policies', '1 to 1,000 policies', measurePolicies],
  ['overload', 'service traffic on a full uplink', measureOverload],
] as const;

async function measure(options: Options, signal: AbortSignal, loads: number[]): Promise<Row[]> {
  const rows: Row[] = [];
  const { rounds, seconds } = options;
  const chosen = [...MEASUREMENTS, ...DEVICE_MEASUREMENTS].filter(({ name }) => options.only.includes(name));
  const progress = (title: string) => (round: number) => say(`${title}: round ${round} of ${rounds}`);
  if (chosen.length > 0 || PARTS_OF_THEIR_OWN.some(([name]) => options.only.includes(name))) {
    await Bed.with(labName, signal, async (bed) => {
      for (const measurement of chosen) {
        loads.push(await idleLoad());
        const samples = await runRounds(
          bed,
          measurement,
          measurement.variants ?? VARIANTS,
          rounds,
          seconds,
          progress(measurement.title),
        );
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
  if (options.only.includes('guest')) {
    loads.push(await idleLoad());
    rows.push(...(await measureGuest(labName, signal, rounds, progress('a QEMU guest'))));
  }
  if (options.only.includes('agent')) {
    loads.push(await idleLoad());
    rows.push(...(await measureDaemons(options, signal)));
  }
  return rows;
}

async function measureDaemons({ packaged, command, rounds }: Options, signal: AbortSignal): Promise<Row[]> {
  if (!packaged) {
    return measureAgent({ labName, command }, signal, rounds, say);
  }
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-bench-'));
  try {
    return await measureAgent({ labName, command: await packagedCommand(folder) }, signal, rounds, say);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Writes the rows, and beside them what they are of, as a text file.
 * @param file its name ends in .jsonl
 */
function save(rows: readonly Row[], about: string, file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  replace(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  replace(file.replace(/\.jsonl$/, '.txt'), `${about}\n`);
  return file;
}

/** As a whole or not at all. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
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
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  const about = [
    describeMachine(loads),
    `${options.rounds} rounds of ${options.seconds} s in ${minutes} minutes; value: median over rounds; ` +
      'ratio: median of the ratios within a round; close: the noise does not decide',
  ].join('\n');
  const file = save(rows, about, options.output ?? join(OUT, 'latest.jsonl'));
  process.stdout.write(`${table(rows)}\n\n${about}\n`);
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
