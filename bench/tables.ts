/**
 * Prints the rows of the last run as tables in Markdown, for docs/performance.md. usage:
 * scripts/run.sh bench/tables.ts [FILE]. Default: bench/out/latest.jsonl
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digits } from './report.ts';
import type { Row } from './row.ts';

/** As the page names variants; other names stay as they are. */
const TITLES: Record<string, string> = {
  none: 'no mirror',
  local: 'local mirror',
  'erspan-1500': 'ERSPAN, MTU 1500, both nodes',
  'erspan-1600': 'ERSPAN, MTU 1600, both nodes',
  'erspan-1500-sender': 'ERSPAN, MTU 1500, sending node alone',
  mirred: '`tc` mirred (yardstick)',
  'local/vs-mirred': 'local mirror against mirred',
};

/** Part and metric, and what is measured. */
function split({ name }: Row): [metric: string, what: string] {
  const [part, metric, ...what] = name.split('/');
  return what.length > 0 ? [`${part}/${metric}`, what.join('/')] : [part!, metric!];
}

function line(row: Row): string {
  const { value, min, max, ratio, ratioMin, ratioMax, aim, verdict } = row;
  const [, what] = split(row);
  const compared = ratio === null ? '' : `${ratio.toFixed(3)} (${ratioMin!.toFixed(2)} to ${ratioMax!.toFixed(2)})`;
  const cells = [TITLES[what] ?? what, `${digits(value)} (${digits(min)} to ${digits(max)})`, compared, aim, verdict];
  return `| ${cells.map((cell) => cell ?? '').join(' | ')} |`;
}

const file = process.argv[2] ?? join(import.meta.dirname, 'out', 'latest.jsonl');
const rows = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((text) => JSON.parse(text) as Row);
for (const [metric, group] of Map.groupBy(rows, (row) => `${split(row)[0]}, ${row.unit}`)) {
  const head = [
    '### '.concat(metric),
    '',
    '| | median (min to max) | ratio: median (min to max) | aim | |',
    '|---|---|---|---|---|',
  ];
  process.stdout.write(`${[...head, ...group.map(line)].join('\n')}\n\n`);
}
