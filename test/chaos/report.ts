/** The report of a run: findings, the steps around them, and how to repeat the run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Violation } from './oracle.ts';
import type { ChaosRun, DoneStep } from './run.ts';

/** Number of violations that are printed in full. The rest is in the run's folder. */
const TOLD = 5;
/** Milliseconds before and after a violation in which steps are printed. */
const AROUND_MS = 6000;
const time = (at: number) => new Date(at).toISOString().slice(11, 23);

const stepLine = ({ round, action, params, from, to, settledMs, error }: DoneStep) =>
  `  ${time(from)} +${to - from} ms  round ${round}  ${action} ${JSON.stringify(params)}` +
  `${settledMs === undefined ? '' : `  settled after ${settledMs} ms`}${error ? `  FAILED: ${error}` : ''}`;

function violationLines({ message, at, sightings }: Violation): string[] {
  const seen = (sightings ?? []).map(({ at: when, host, ifindex, out, outer, vlans, length }) => {
    const how = `${outer ? ` in ERSPAN ${outer.session}` : ''}${vlans.length > 0 ? ` VLAN ${vlans}` : ''}`;
    return `    ${time(when)} ${host} device ${ifindex} ${out ? 'out' : 'in'}${how} ${length} bytes`;
  });
  return [`${time(at)} ${message}`, ...seen];
}

/** What to print of a run that has found something. */
export function failureText(run: ChaosRun, replay: string): string {
  const first = run.violations.slice(0, TOLD);
  const times = first.map(({ at }) => at);
  const near = run.steps.filter(({ from, to }) => times.some((at) => from - AROUND_MS < at && at < to + AROUND_MS));
  const rest = run.violations.length - first.length;
  return [
    `${run.violations.length} violations; to see it again: ${replay}`,
    ...first.flatMap(violationLines),
    ...(rest > 0 ? [`and ${rest} more`] : []),
    'steps around it:',
    ...near.map(stepLine),
  ].join('\n');
}

/** Writes steps, violations and numbers into a folder. */
export function writeRun(folder: string, run: ChaosRun): void {
  mkdirSync(folder, { recursive: true });
  const lines = (list: readonly unknown[]) => list.map((item) => `${JSON.stringify(item)}\n`).join('');
  writeFileSync(join(folder, 'steps.jsonl'), lines(run.steps));
  writeFileSync(join(folder, 'summary.json'), `${JSON.stringify(run.summary, null, 2)}\n`);
  writeFileSync(join(folder, 'books.json'), JSON.stringify(run.books, null, 1));
  writeFileSync(join(folder, 'violations.txt'), run.violations.flatMap(violationLines).join('\n'));
}
