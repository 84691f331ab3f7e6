/**
 * One line of the result: a number, what it is compared with, and whether it is what it should be.
 */
import { median, medianInterval, ratios } from './statistics.ts';

/** What a ratio should be at least or at most. */
export interface Aim {
  at: 'least' | 'most';
  ratio: number;
}

/** One line of the result. */
export interface Row {
  /**
   * `PART/METRIC/VARIANT`, or with `/vs-VARIANT` behind where the baseline is another one than no
   * mirror.
   */
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
  /**
   * `close`: the noise of this run does not decide it (the 95 % interval of the median ratio holds
   * the aim).
   */
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
  if (met) {
    return close ? 'met, close' : 'met';
  }
  return close ? 'missed, close' : 'missed';
}
