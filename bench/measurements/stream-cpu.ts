/**
 * CPU time of one TCP stream at a fixed rate: it wanders less than the rate of a stream that takes
 * what it gets. On one CPU, so that no work of the kernel falls to a process that is not one of the
 * two.
 */
import { busySeconds, SENDER_CPU } from '../cpu.ts';
import type { Measurement } from '../rounds.ts';
import { cpuRows } from './cpu-rows.ts';
import { BYTES, startReceiver, stream } from './stream.ts';

/**
 * Offered bit/s: a tenth of what a core of today carries, so that every variant keeps up with it.
 */
export const FIXED_BIT_RATE = 4e9;

export const STREAM_CPU: Measurement = {
  name: 'stream-cpu',
  title: `one TCP stream at ${FIXED_BIT_RATE / 1e9} Gbit/s`,
  prepare: startReceiver,
  async run(bed, seconds) {
    const fixed = { seconds, rate: FIXED_BIT_RATE, receiverCpu: SENDER_CPU };
    const { result, busy } = await busySeconds(() => stream(bed, fixed));
    return { busy, cpu: result.cpu, bytes: result.bytes };
  },
  leastArrived: 0.99,
  rows: (samples) => cpuRows(samples, 'stream-cpu', BYTES),
};
