/**
 * The mirrors of the bench beside what the necessary kernel calls alone take: for a stream, for
 * packets and for an exchange on one CPU.
 */
import { metricRows, valuesOf } from '../report.ts';
import type { Measurement, Sample } from '../rounds.ts';
import { comparedRow } from '../row.ts';
import { PAIRS, TRIAL_DIRECT_SENDER, TRIAL_MIRRED_SENDER } from '../trials.ts';
import { MIRRED, NONE } from '../variants.ts';
import { LATENCY } from './latency.ts';
import { PACKETS } from './packets.ts';
import { STREAM_ONE_CPU } from './stream.ts';

const WAYS = [NONE, MIRRED, ...PAIRS.flat(), TRIAL_MIRRED_SENDER, TRIAL_DIRECT_SENDER];

/** @param value which number of a sample is the metric */
function trialOf(of: Measurement, name: string, unit: string, value: string): Measurement {
  const pick = ({ values }: Sample) => values[value]!;
  return {
    ...of,
    name,
    title: `${of.title}, and the necessary calls alone`,
    variants: WAYS,
    rows: (samples) => [
      ...metricRows(samples, `${name}/one-cpu`, unit, pick),
      ...PAIRS.map(([ours, trial]) =>
        comparedRow(
          `${name}/one-cpu/${ours.name}/vs-${trial.name}`,
          unit,
          valuesOf(samples, ours.name, pick),
          valuesOf(samples, trial.name, pick),
        ),
      ),
    ],
  };
}

export const STREAM_TRIAL = trialOf(STREAM_ONE_CPU, 'stream-trial', 'Gbit/s', 'gigabits');
export const PACKETS_TRIAL = trialOf(PACKETS, 'packets-trial', 'kpps', 'rate');
export const LATENCY_TRIAL = trialOf(LATENCY, 'latency-trial', 'us', 'near-low');
