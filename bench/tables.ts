/**
 * Prints the rows of a run as tables in Markdown, or writes them into docs/performance.md, between
 * the two lines that mark their place.
 * usage: scripts/run.sh bench/tables.ts [FILE] [--write]. Default: bench/out/latest.jsonl
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readRows } from './agree.ts';
import { SECTIONS, type Section, type Table, TITLES } from './page.ts';
import { digits } from './report.ts';
import type { Row } from './row.ts';

const PAGE = join(import.meta.dirname, '../docs/performance.md');
const BEGIN = '<!-- bench/tables.ts writes from here -->';
const END = '<!-- bench/tables.ts writes to here -->';

/** Rows by metric, and by what was measured. */
type Metrics = Map<string, Map<string, Row>>;

/** The metric of a row, and what was measured: a way to mirror, and what it is compared with. */
function split({ name }: Row): [metric: string, what: string] {
  const [part, metric, ...what] = name.split('/');
  return what.length > 0 ? [`${part}/${metric}`, what.join('/')] : [part!, metric!];
}

function metricsOf(rows: readonly Row[]): Metrics {
  const metrics: Metrics = new Map();
  for (const row of rows) {
    const [metric, what] = split(row);
    metrics.set(metric, (metrics.get(metric) ?? new Map()).set(what, row));
  }
  return metrics;
}

/** `local/vs-mirred` is "local mirror against `tc` mirred". */
function titleOf(what: string): string {
  const [, way = what, other] = /^(.+)\/vs-(.+)$/.exec(what) ?? [];
  const title = TITLES[way] ?? way;
  return other === undefined ? title : `${title} against ${TITLES[other] ?? other}`;
}

function tableOf({ metric, lead, beside = [] }: Table, metrics: Metrics): string {
  const rows = metrics.get(metric);
  if (rows === undefined) {
    return '';
  }
  const unit = [...rows.values()][0]!.unit;
  const others = beside.filter((other) => metrics.has(other.metric));
  const heads = ['', `${unit}: median (min to max)`, ...others.map(({ head }) => head), 'ratio: median (min to max)'];
  const lines = [...rows].map(([what, row]) => {
    const { value, min, max, ratio, ratioMin, ratioMax, aim, verdict } = row;
    const isCompared = what.includes('/vs-');
    return [
      titleOf(what),
      isCompared ? '' : `${digits(value)} (${digits(min)} to ${digits(max)})`,
      ...others.map((other) => shortOf(metrics.get(other.metric)!.get(what))),
      ratio === null ? '' : `${ratio.toFixed(3)} (${ratioMin!.toFixed(2)} to ${ratioMax!.toFixed(2)})`,
      aim ?? '',
      verdict ?? '',
    ];
  });
  const all = [[...heads, 'aim', ''], heads.map(() => '---').concat('---', '---'), ...lines];
  const text = all.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `${lead === undefined ? '' : `${lead}\n\n`}${text}\n`;
}

/** The median, and the worst where it differs. */
function shortOf(row: Row | undefined): string {
  if (row === undefined) {
    return '';
  }
  const short = (value: number) => (row.unit.startsWith('of ') ? `${(100 * value).toFixed(2)} %` : digits(value));
  const [value, min] = [short(row.value), short(row.min)];
  return value === min ? value : `${value} (from ${min})`;
}

function sectionOf({ title, tables }: Section, metrics: Metrics): string {
  const texts = tables.map((table) => tableOf(table, metrics)).filter(Boolean);
  return texts.length === 0 ? '' : `### ${title}\n\n${texts.join('\n')}`;
}

/** All tables of a run. @param machine what the machine was, and how quiet */
export function pageOf(rows: readonly Row[], machine: string): string {
  const metrics = metricsOf(rows);
  const shown = SECTIONS.flatMap(({ tables }) =>
    tables.flatMap(({ metric, beside = [] }) => [metric, ...beside.map((other) => other.metric)]),
  );
  const rest = [...metrics.keys()].filter((metric) => !shown.includes(metric));
  const more = { title: 'More rows', tables: rest.map((metric) => ({ metric, lead: `\`${metric}\`:` })) };
  const sections = [...SECTIONS, more].map((section) => sectionOf(section, metrics)).filter(Boolean);
  return [...(machine === '' ? [] : [`\`\`\`\n${machine}\n\`\`\`\n`]), ...sections].join('\n');
}

function write(text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`${PAGE} does not have the lines "${BEGIN}" and "${END}"`);
  }
  writeFileSync(PAGE, `${page.slice(0, begin)}${BEGIN}\n\n${text}\n${page.slice(end)}`);
}

function main(argv: string[]): void {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { write: { type: 'boolean', default: false } },
  });
  const file = positionals[0] ?? join(import.meta.dirname, 'out', 'latest.jsonl');
  const machine = file.replace(/\.jsonl$/, '.txt');
  const text = pageOf(readRows(file), existsSync(machine) ? readFileSync(machine, 'utf8').trim() : '');
  if (values.write) {
    write(text);
  } else {
    process.stdout.write(text);
  }
}

if (import.meta.main) {
  main(process.argv.slice(2));
}
