/** The list of checks for people. */
import type { Check, CheckState } from './check.ts';

/** Terminal control characters. Names of devices and certificates may contain them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;

/** One line for each check with its remedy below, and a last line with the result. */
export function renderChecks(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ id }) => id.length));
  const row = (state: string, id: string, found: string) =>
    `${state.padEnd('skipped'.length)}  ${id.padEnd(width)}  ${found}`;
  const indent = row('', '', '');
  const lines = checks.flatMap(({ state, id, found, lines = [], remedy }) => [
    row(state, id, found),
    ...lines.map((line) => `${indent}  ${line}`),
    ...(remedy === undefined ? [] : [`${indent}-> ${remedy}`]),
  ]);
  const all = [row('STATE', 'CHECK', 'FOUND'), ...lines, '', summary(checks)];
  return all.map((line) => `${line.replace(CONTROL, '\ufffd')}\n`).join('');
}

function summary(checks: readonly Check[]): string {
  const count = (wanted: CheckState) => checks.filter(({ state }) => state === wanted).length;
  const [failures, warnings] = [count('failed'), count('warning')];
  const counts = [`${failures} failed`, `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`].join(', ');
  return `The agent ${failures > 0 ? 'cannot' : 'can'} run on this host: ${counts}.`;
}
