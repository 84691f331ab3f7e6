/** Rows of the result: as a table for people, as JSON lines for programs. */

import type { Sample, Samples } from './rounds.ts';
import { median, medianInterval, ratios } from './statistics.ts';

/** What a ratio should be at least or at most. */
export interface Aim {
  at: 'least' | 'most';
  ratio: number;
}

/** One line of the result. */
export interface Row {
  /** `PART/METRIC/VARIANT`, or with `/vs-VARIANT` behind where the baseline is another one than no mirror. */
  name: string;
  /** Median over the rounds. */
  value: number;
  unit: string;
  /** Median of what it is compared with, null where there is none. */
  baseline: number | null;
  /** Median of the ratios of each round, null without baseline. */
  ratio: number | null;
  runs: number;
  /** Lowest and highest value. */
  min: number;
  max: number;
  /** Lowest and highest ratio of a round. */
  ratioMin: number | null;
  ratioMax: number | null;
  aim: string | null;
  /** `close`: the noise of this run does not decide it (the 95 % interval of the median ratio holds the aim). */
  verdict: 'met' | 'met, close' | 'missed' | 'missed, close' | null;
}

/** A row without comparison. */
export function row(name: string, unit: string, values: readonly number[]): Row {
  return {
    name,
    value: median(values),
    unit,
    baseline: null,
    ratio: null,
    runs: values.length,
    min: Math.min(...values),
    max: Math.max(...values),
    ratioMin: null,
    ratioMax: null,
    aim: null,
    verdict: null,
  };
}

/** A row with ratios; element i of both is of the same round. */
export function comparedRow(
  name: string,
  unit: string,
  values: readonly number[],
  baseline: readonly number[],
  aim?: Aim,
): Row {
  const each = ratios(values, baseline);
  return {
    ...row(name, unit, values),
    baseline: median(baseline),
    ratio: median(each),
    ratioMin: Math.min(...each),
    ratioMax: Math.max(...each),
    aim: aim ? `${aim.at === 'least' ? '>=' : '<='} ${aim.ratio.toFixed(2)}` : null,
    verdict: aim ? verdict(each, aim) : null,
  };
}

function verdict(each: readonly number[], { at, ratio }: Aim): NonNullable<Row['verdict']> {
  const [low, high] = medianInterval(each);
  const close = low < ratio && ratio < high;
  const met = at === 'least' ? median(each) >= ratio : median(each) <= ratio;
  if (met) return close ? 'met, close' : 'met';
  return close ? 'missed, close' : 'missed';
}

/** One number of every sample of a variant. */
export function valuesOf(samples: Samples, variant: string, pick: (sample: Sample) => number): number[] {
  const list = samples.get(variant);
  if (list === undefined) throw new Error(`no samples of ${variant}`);
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
function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const whole = Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 1;
  return value.toFixed(Math.max(0, 4 - whole));
}
