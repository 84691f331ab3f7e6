/**
 * ERSPAN as Mirrorplane sends it, and as the kernel does with mirred and a device of type erspan: one
 * CPU with 64-byte packets, and one with a TCP stream. Only for kernels that have such devices.
 */
import { metricRows, valuesOf } from '../report.ts';
import type { Measurement, Sample } from '../rounds.ts';
import { comparedRow } from '../row.ts';
import { ERSPAN_1600_SENDER, ERSPAN_DEVICE, NONE } from '../variants.ts';
import { PACKETS } from './packets.ts';
import { STREAM_ONE_CPU } from './stream.ts';

const WAYS = [NONE, ERSPAN_1600_SENDER, ERSPAN_DEVICE];

function withDevice(of: Measurement, name: string, unit: string, value: string): Measurement {
  const pick = ({ values }: Sample) => values[value]!;
  return {
    ...of,
    name,
    title: `${of.title}, an erspan device`,
    variants: WAYS,
    rows: (samples) => [
      ...metricRows(samples, `${name}/sent`, unit, pick),
      comparedRow(
        `${name}/sent/${ERSPAN_1600_SENDER.name}/vs-${ERSPAN_DEVICE.name}`,
        unit,
        valuesOf(samples, ERSPAN_1600_SENDER.name, pick),
        valuesOf(samples, ERSPAN_DEVICE.name, pick),
      ),
    ],
  };
}

export const ERSPAN_DEVICE_PACKETS = withDevice(PACKETS, 'device-packets', 'kpps', 'rate');
export const ERSPAN_DEVICE_STREAM = withDevice(STREAM_ONE_CPU, 'device-stream', 'Gbit/s', 'gigabits');
