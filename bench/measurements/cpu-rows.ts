/** Rows of CPU time at a fixed rate, for traffic counted in gigabytes or in packets. */
import { metricRows, valuesOf } from '../report.ts';
import type { Sample, Samples } from '../rounds.ts';
import { comparedRow, type Row, row } from '../row.ts';

/** How a run's traffic is counted. */
export interface Amount {
  /** For the unit, as GB. */
  unit: string;
  /** Of a run, in that unit. */
  sent(sample: Sample): number;
  copied(sample: Sample): number;
}

/**
 * @param samples with the values `cpu` (seconds that the traffic took, see softirqSeconds) and,
 *   where the rate is fixed, `busy` (seconds that all CPUs were busy, by /proc/stat).
 */
export function cpuRows(samples: Samples, part: string, { unit, sent, copied }: Amount): Row[] {
  const own = (sample: Sample) => sample.values.cpu! / sent(sample);
  const rows = metricRows(samples, `${part}/total`, `CPU s/${unit}`, own);
  rows.push(
    comparedRow(
      `${part}/total/local/vs-mirred`,
      `CPU s/${unit}`,
      valuesOf(samples, 'local', own),
      valuesOf(samples, 'mirred', own),
    ),
  );
  // What a variant takes above no mirror in the same round, for what it copied. A difference of two
  // noisy numbers that may come out below 0: it has no ratio.
  const none = valuesOf(samples, 'none', own);
  for (const [variant, list] of samples) {
    if (variant === 'none') {
      continue;
    }
    const extra = list.map((sample, round) => ((own(sample) - none[round]!) * sent(sample)) / copied(sample));
    rows.push(row(`${part}/copies/${variant}`, `CPU s/${unit} copied`, extra));
  }
  if (samples.get('none')?.[0]?.values.busy !== undefined) {
    rows.push(...metricRows(samples, `${part}/proc-stat`, `CPU s/${unit}`, (s) => s.values.busy! / sent(s)));
  }
  return rows;
}
