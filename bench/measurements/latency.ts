/** Requests and responses of one byte over TCP. */
import { type Bed, PEER, SOURCE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU } from '../cpu.ts';
import { endpointProgram, startEndpoint } from '../endpoint.ts';
import { metricRows } from '../report.ts';
import type { Measurement } from '../rounds.ts';
import type { Aim } from '../row.ts';

/** By where the answering side runs. */
const PORTS = { far: 7001, near: 7000 };

interface Answer {
  transactions: number;
  /** Nanoseconds. */
  mean: number;
  p50: number;
  p99: number;
  perSecond: number;
}

async function ask(bed: Bed, port: number, seconds: number): Promise<Answer> {
  const argv = [endpointProgram(bed), 'ask', bed.lab.address(PEER), String(port), String(seconds)];
  return JSON.parse(await bed.run(SOURCE, ['taskset', '--cpu-list', SENDER_CPU, ...argv])) as Answer;
}

const MOST: Aim = { at: 'most', ratio: 1.03 };
const AIMS = { local: MOST, 'erspan-1500': MOST, 'erspan-1600': MOST, 'erspan-1500-sender': MOST };

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
      'near-p50': near.p50 / 1000,
      'near-mean': near.mean / 1000,
    };
  },
  leastArrived: 0.99,
  rows: (samples) => [
    ...metricRows(samples, 'latency/two-cpus-p50', 'us', (s) => s.values['far-p50']!, AIMS),
    ...metricRows(samples, 'latency/two-cpus-mean', 'us', (s) => s.values['far-mean']!, AIMS),
    ...metricRows(samples, 'latency/one-cpu-p50', 'us', (s) => s.values['near-p50']!, AIMS),
    ...metricRows(samples, 'latency/one-cpu-mean', 'us', (s) => s.values['near-mean']!, AIMS),
  ],
};
