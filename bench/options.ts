/** Command line of the bench. */
import { parseArgs } from 'node:util';
import { LATENCY } from './measurements/latency.ts';
import { PACKETS } from './measurements/packets.ts';
import { PACKETS_CPU } from './measurements/packets-cpu.ts';
import { STREAM, STREAM_ONE_CPU } from './measurements/stream.ts';
import { STREAM_CPU } from './measurements/stream-cpu.ts';

/** Measurements that compare variants, in the order in which they run. */
export const MEASUREMENTS = [STREAM, STREAM_ONE_CPU, STREAM_CPU, PACKETS, PACKETS_CPU, LATENCY];
/** All parts by name; the last eight have their own way. */
export const PARTS = [
  ...MEASUREMENTS.map((measurement) => measurement.name),
  'programs',
  'runs',
  'cpus',
  'hear',
  'rates',
  'policies',
  'overload',
  'attach',
  'agent',
];

export const USAGE = `usage: make bench BENCH='[OPTION...]', or scripts/run.sh bench/main.ts [OPTION...]
  --rounds N      rounds of every measurement, each variant once a round. Default 9
  --seconds S     length of one run. Default 1
  --quick         3 rounds of 0.5 seconds: to see that it works, not to quote
  --only LIST     parts, comma separated: ${PARTS.join(', ')}
  --command FILE  the mirrorplane command whose daemons the part agent measures: to compare builds.
                  Default: the one of this checkout
  --help`;

export interface Options {
  rounds: number;
  /** Length of one run in seconds. */
  seconds: number;
  /** Which of PARTS. */
  only: string[];
  quick: boolean;
  /** The command that starts the daemons. Undefined: the one of this checkout. */
  command: string | undefined;
}

/** @throws Error with a message for the operator. Returns 'help' where that was asked for. */
export function parseOptions(argv: string[]): Options | 'help' {
  const { values } = parseArgs({
    args: argv,
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      command: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    return 'help';
  }
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 9));
  const seconds = Number(values.seconds ?? (values.quick ? 0.5 : 1));
  const only = values.only?.split(',') ?? PARTS;
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 999) {
    throw new Error('--rounds: a whole number from 1 to 999');
  }
  if (!(seconds >= 0.2 && seconds <= 60)) {
    throw new Error('--seconds: a number from 0.2 to 60');
  }
  const unknown = only.filter((part) => !PARTS.includes(part));
  if (unknown.length > 0) {
    throw new Error(`--only: ${unknown.join(', ')} is not among ${PARTS.join(', ')}`);
  }
  return { rounds, seconds, only, quick: values.quick, command: values.command };
}
