/** Requests and responses of one byte over TCP. */
import { type Bed, PEER, SOURCE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU } from '../cpu.ts';
import { onCpu, startEndpoint } from '../endpoint.ts';
import { metricRows } from '../report.ts';
import type { Measurement } from '../rounds.ts';
import type { Aim } from '../row.ts';

/** By where the answering side runs. */
const PORTS = { far: 7001, near: 7000 };

interface Answer {
  transactions: number;
  /** Nanoseconds. */
  mean: number;
  /** The lower quartile. */
  low: number;
  p50: number;
  p99: number;
  perSecond: number;
}

async function ask(bed: Bed, port: number, seconds: number): Promise<Answer> {
  const args = ['ask', bed.lab.address(PEER), String(port), String(seconds)];
  return JSON.parse(await bed.run(SOURCE, onCpu(bed, SENDER_CPU, args))) as Answer;
}

const most = (ratio: number): Aim => ({ at: 'most', ratio });
/** The path alone. */
const ONE_CPU = { local: most(1.08), 'erspan-1500-sender': most(1.15), 'erspan-1500': most(1.35) };

export const LATENCY: Measurement = {
  name: 'latency',
  title: 'TCP request and response',
  async prepare(bed) {
    const far = await startEndpoint(bed, PEER, RECEIVER_CPU, 'serve', 'tcp', PORTS.far);
    try {
      const near = await startEndpoint(bed, PEER, SENDER_CPU, 'serve', 'tcp', PORTS.near);
      return async () => void (await Promise.all([far(), near()]));
    } catch (error) {
      await far();
      throw error;
    }
  },
  async run(bed, seconds) {
    const far = await ask(bed, PORTS.far, seconds / 2);
    const near = await ask(bed, PORTS.near, seconds / 2);
    return {
      'far-p50': far.p50 / 1000,
      'far-mean': far.mean / 1000,
      'near-low': near.low / 1000,
      'near-p50': near.p50 / 1000,
      'near-mean': near.mean / 1000,
    };
  },
  leastArrived: 0.99,
  rows: (samples) => [
    // Most of it is the wake-up of the other CPU, which wanders by more than a copy takes.
    ...metricRows(samples, 'latency/two-cpus-p50', 'us', (s) => s.values['far-p50']!),
    ...metricRows(samples, 'latency/two-cpus-mean', 'us', (s) => s.values['far-mean']!),
    // What nothing else disturbs. The other two wander with the load of the machine.
    ...metricRows(samples, 'latency/one-cpu-low', 'us', (s) => s.values['near-low']!, ONE_CPU),
    ...metricRows(samples, 'latency/one-cpu-p50', 'us', (s) => s.values['near-p50']!),
    ...metricRows(samples, 'latency/one-cpu-mean', 'us', (s) => s.values['near-mean']!),
  ],
};
