/**
 * Compares the ratios of two runs of the bench, and says which differ by more than a limit.
 * usage: scripts/run.sh bench/agree.ts A.jsonl B.jsonl [--percent 3] [--all]
 * Exit status: 0 where all ratios with an aim agree, 1 where one does not, 2 for a wrong call.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Row } from './row.ts';

const USAGE = 'usage: scripts/run.sh bench/agree.ts A.jsonl B.jsonl [--percent 3] [--all]';

/** Two ratios of one name. */
export interface Pair {
  name: string;
  /** Of either run. */
  ratios: readonly [number, number];
  /** How far the larger is above the smaller, in percent. */
  apart: number;
  aim: string | null;
}

/**
 * The ratios that both runs have, in the order of the first.
 * @param all also those without an aim
 */
export function pairsOf(a: readonly Row[], b: readonly Row[], all: boolean): Pair[] {
  const others = new Map(b.map((row) => [row.name, row]));
  return a.flatMap(({ name, ratio, aim }) => {
    const other = others.get(name)?.ratio ?? null;
    if (ratio === null || other === null || (aim === null && !all)) {
      return [];
    }
    const apart = 100 * (Math.max(ratio, other) / Math.min(ratio, other) - 1);
    return [{ name, ratios: [ratio, other] as const, apart, aim }];
  });
}

/** Names of rows with an aim that one run has and the other has not. */
export function unpaired(a: readonly Row[], b: readonly Row[]): string[] {
  const aims = (rows: readonly Row[]) => rows.filter(({ aim }) => aim !== null).map(({ name }) => name);
  const [first, second] = [new Set(aims(a)), new Set(aims(b))];
  return [...first.symmetricDifference(second)];
}

/** The rows of a file that the bench has written. @throws Error if there is none */
export function readRows(file: string): Row[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Row);
}

function main(argv: string[]): number {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { percent: { type: 'string', default: '3' }, all: { type: 'boolean', default: false } },
  });
  const limit = Number(values.percent);
  const [a, b, more] = positionals;
  if (a === undefined || b === undefined || more !== undefined || !(limit > 0)) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const [first, second] = [readRows(a), readRows(b)];
  const pairs = pairsOf(first, second, values.all).sort((x, y) => y.apart - x.apart);
  const width = Math.max(0, ...pairs.map(({ name }) => name.length));
  for (const { name, ratios, apart, aim } of pairs) {
    const numbers = ratios.map((ratio) => ratio.toFixed(3)).join('  ');
    const verdict = apart <= limit ? '' : aim === null ? 'apart (no aim)' : 'apart';
    process.stdout.write(`${name.padEnd(width)}  ${numbers}  ${apart.toFixed(1).padStart(5)} %  ${verdict}`.trimEnd());
    process.stdout.write('\n');
  }
  const missing = unpaired(first, second);
  for (const name of missing) {
    process.stdout.write(`${name}: only in one run\n`);
  }
  const compared = pairs.filter(({ aim }) => aim !== null);
  const apart = compared.filter((pair) => pair.apart > limit).length;
  process.stdout.write(`${compared.length - apart} of ${compared.length} ratios with an aim agree within ${limit} %\n`);
  return apart === 0 && missing.length === 0 && compared.length > 0 ? 0 : 1;
}

if (import.meta.main) {
  process.exitCode = main(process.argv.slice(2));
}
