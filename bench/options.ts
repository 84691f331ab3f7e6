/** Command line of the bench. */
import { parseArgs } from 'node:util';
import { ERSPAN_DEVICE_PACKETS, ERSPAN_DEVICE_STREAM } from './measurements/erspan-device.ts';
import { FLOWS } from './measurements/flows.ts';
import { LATENCY } from './measurements/latency.ts';
import { PACKETS } from './measurements/packets.ts';
import { PACKETS_CPU } from './measurements/packets-cpu.ts';
import { PEERS, PEERS_CPU } from './measurements/peers.ts';
import { STREAM, STREAM_ONE_CPU } from './measurements/stream.ts';
import { STREAM_CPU } from './measurements/stream-cpu.ts';
import { IMIX_PACKETS, SOURCES } from './measurements/traffic.ts';
import { LATENCY_TRIAL, PACKETS_TRIAL, STREAM_TRIAL } from './measurements/trial.ts';

/** Measurements that compare variants, in the order in which they run. */
export const MEASUREMENTS = [
  STREAM,
  STREAM_ONE_CPU,
  STREAM_CPU,
  PACKETS,
  PACKETS_CPU,
  LATENCY,
  PEERS,
  PEERS_CPU,
  IMIX_PACKETS,
  FLOWS,
  ...SOURCES,
  STREAM_TRIAL,
  PACKETS_TRIAL,
  LATENCY_TRIAL,
];
/** Those that compare with a device of the kernel which not every kernel has. */
export const DEVICE_MEASUREMENTS = [ERSPAN_DEVICE_PACKETS, ERSPAN_DEVICE_STREAM];
/** All parts by name; those after the measurements have their own way. */
export const PARTS = [
  ...MEASUREMENTS.map((measurement) => measurement.name),
  'programs',
  'runs',
  'cpus',
  'hear',
  'rates',
  'steps',
  'policies',
  'overload',
  'attach',
  'guest',
  'agent',
];

/** What runs where nothing else is asked for: every part with an aim that needs no quiet machine. */
export const DEFAULT_PARTS = [
  STREAM_ONE_CPU.name,
  PACKETS.name,
  LATENCY.name,
  PEERS.name,
  IMIX_PACKETS.name,
  ...SOURCES.map(({ name }) => name),
  'runs',
  'cpus',
];

export const USAGE = `usage: make bench BENCH='[OPTION...]', or scripts/run.sh bench/main.ts [OPTION...]
  --rounds N      rounds of every measurement, each variant once a round. Default 9
  --seconds S     length of one run. Default 0.5
  --quick         3 rounds of 0.3 seconds: to see that it works, not to quote
  --only LIST     parts, comma separated, or all: ${PARTS.join(', ')}
                  and, on kernels with erspan devices, ${DEVICE_MEASUREMENTS.map(({ name }) => name).join(', ')}
                  Default: ${DEFAULT_PARTS.join(', ')}
  --output FILE   where the rows are written. Default bench/out/latest.jsonl
  --command FILE  the mirrorplane command whose daemons the part agent measures: to compare builds.
                  Default: the one of this checkout
  --packaged      the part agent measures daemons that are bundled as in the packages
  --help`;

export interface Options {
  rounds: number;
  /** Length of one run in seconds. */
  seconds: number;
  /** Which of PARTS. */
  only: string[];
  quick: boolean;
  /** The file for the rows. Undefined: the one that is always written. */
  output: string | undefined;
  /** The daemons are bundled as in the packages. */
  packaged: boolean;
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
      packaged: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    return 'help';
  }
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 9));
  const seconds = Number(values.seconds ?? (values.quick ? 0.3 : 0.5));
  const only = values.only === 'all' ? PARTS : (values.only?.split(',') ?? DEFAULT_PARTS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 999) {
    throw new Error('--rounds: a whole number from 1 to 999');
  }
  if (!(seconds >= 0.2 && seconds <= 60)) {
    throw new Error('--seconds: a number from 0.2 to 60');
  }
  const known = [...PARTS, ...DEVICE_MEASUREMENTS.map(({ name }) => name)];
  const unknown = only.filter((part) => !known.includes(part));
  if (unknown.length > 0) {
    throw new Error(`--only: ${unknown.join(', ')} is not among ${known.join(', ')}`);
  }
  if (values.packaged && values.command !== undefined) {
    throw new Error('--packaged makes the command, and --command names another one');
  }
  if (values.output !== undefined && !values.output.endsWith('.jsonl')) {
    throw new Error('--output: a file whose name ends in .jsonl');
  }
  const { quick, output, packaged, command } = values;
  return { rounds, seconds, only, quick, output, packaged, command };
}
