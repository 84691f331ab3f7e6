/** Rows of the result: of one metric for all variants, and as a table for people. */
import type { Sample, Samples } from './rounds.ts';
import { type Aim, comparedRow, type Row, row } from './row.ts';

/** One number of every sample of a variant. */
export function valuesOf(samples: Samples, variant: string, pick: (sample: Sample) => number): number[] {
  const list = samples.get(variant);
  if (list === undefined) {
    throw new Error(`no samples of ${variant}`);
  }
  return list.map(pick);
}

/** Rows of one metric for every variant, compared with `none`; aims by variant name. */
export function metricRows(
  samples: Samples,
  name: string,
  unit: string,
  pick: (sample: Sample) => number,
  aims: Record<string, Aim> = {},
): Row[] {
  const baseline = valuesOf(samples, 'none', pick);
  return [...samples.keys()].map((variant) => {
    const values = valuesOf(samples, variant, pick);
    const full = `${name}/${variant}`;
    return variant === 'none' ? row(full, unit, values) : comparedRow(full, unit, values, baseline, aims[variant]);
  });
}

/** The rows as a table. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ['', 'median', 'min .. max', 'ratio', 'min .. max', 'runs', 'aim', ''],
    ...rows.map((r) => [
      r.name,
      `${digits(r.value)} ${r.unit}`,
      `${digits(r.min)} .. ${digits(r.max)}`,
      r.ratio === null ? '' : r.ratio.toFixed(3),
      r.ratioMin === null ? '' : `${r.ratioMin.toFixed(2)} .. ${r.ratioMax!.toFixed(2)}`,
      String(r.runs),
      r.aim ?? '',
      r.verdict ?? '',
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Four significant digits, without exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) {
    return String(value);
  }
  const whole = Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 1;
  return value.toFixed(Math.max(0, 4 - whole));
}
