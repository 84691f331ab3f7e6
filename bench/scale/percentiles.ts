/** What a measurement of a simulated cluster gives: percentiles, as a line of JSON and a table. Pure. */

/** One line of the result. */
export interface ScaleRow {
  /** Number of nodes of the cluster. */
  nodes: number;
  /** For example `edit/acknowledged`. */
  name: string;
  unit: string;
  /** Number of measured values. */
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** The value that a share of all does not exceed (nearest rank). NaN for none. @param share 0 to 1 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function scaleRow(nodes: number, name: string, unit: string, values: readonly number[]): ScaleRow {
  const at = (share: number) => round(percentile(values, share));
  return { nodes, name, unit, count: values.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

/** Three significant digits, and all digits before the point. */
function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

/** The rows as a table in Markdown. A row with one value has it as its median. */
export function scaleTable(rows: readonly ScaleRow[]): string {
  const lines = rows.map(({ nodes, name, unit, count, p50, p90, p99, max }) => {
    const rest = count > 1 ? [p90, p99, max] : ['', '', ''];
    return `| ${[nodes, name, unit, count, p50, ...rest].join(' | ')} |`;
  });
  const head = '| nodes | what | unit | values | p50 | p90 | p99 | max |\n|---|---|---|---|---|---|---|---|';
  return [head, ...lines].join('\n');
}
