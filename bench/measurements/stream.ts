/** One TCP stream at full speed: sender and receiver on separate CPUs, and both on one CPU. */
import { type Bed, PEER, SOURCE, SOURCE_NODE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU, softirqSeconds } from '../cpu.ts';
import { onCpu, startEndpoint } from '../endpoint.ts';
import { metricRows, valuesOf } from '../report.ts';
import { copiedBytes, type Measurement, type Sample, type Samples } from '../rounds.ts';
import { type Aim, comparedRow, type Row } from '../row.ts';
import type { Amount } from './cpu-rows.ts';

/** The default port of iperf3. */
const PORT = 5201;

/**
 * What is used of iperf3's report. The percentages are of one CPU, from the process's own CPU
 * clock.
 */
interface Report {
  end: {
    sum_sent: { seconds: number };
    sum_received: { bytes: number; bits_per_second: number };
    cpu_utilization_percent: { host_total: number; remote_total: number };
  };
}

interface Streamed {
  /** Bytes that the receiver got. */
  bytes: number;
  /** Bit/s. */
  bitRate: number;
  /** CPU seconds of sender and receiver with all that the kernel did for the traffic. */
  cpu: number;
}

/** Starts the receiver of streams in PEER; returns what ends it. */
export async function startReceiver(bed: Bed): Promise<() => Promise<void>> {
  const { stop } = await bed.serve(PEER, ['iperf3', '--server'], () => bed.bound(PEER, 'tcp', PORT));
  return stop;
}

/** How a stream is sent. */
export interface StreamOptions {
  /** Seconds. */
  seconds: number;
  /** bit/s. Default: no limit. */
  rate?: number;
  /** Where the receiver runs; the sender is on SENDER_CPU. */
  receiverCpu: string;
}

/** One TCP stream from SOURCE to PEER. */
export async function stream(bed: Bed, { seconds, rate, receiverCpu }: StreamOptions): Promise<Streamed> {
  const argv = ['iperf3', '--client', bed.lab.address(PEER), '--json', '--affinity', `${SENDER_CPU},${receiverCpu}`];
  // Machines differ in their default, and one that paces itself makes ratios meaningless.
  argv.push('--congestion', 'cubic');
  // On one CPU a write is one super-packet: the receiver takes each before the next is written, and
  // runs agree to a few percent. With larger writes queues grow, or the kernel's softirq threads
  // wake, by chance, and CPU time varies threefold. Over two CPUs large writes keep both sides from
  // sleeping, and waking, between packets.
  argv.push('--length', receiverCpu === SENDER_CPU ? '60K' : '1M');
  // iperf3 only accepts whole seconds. A shorter run gets the number of bytes that 12 Gbit/s would
  // send in this time.
  if (Number.isInteger(seconds)) {
    argv.push('--time', String(seconds));
  } else {
    argv.push('--bytes', String(Math.round((seconds * (rate ?? 12e9)) / 8)));
  }
  if (rate !== undefined) {
    argv.push('--bitrate', String(rate));
  }
  const softirq = softirqSeconds();
  const { end } = JSON.parse(await bed.run(SOURCE, argv)) as Report;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  return {
    bytes: end.sum_received.bytes,
    bitRate: end.sum_received.bits_per_second,
    cpu: ((host_total + remote_total) / 100) * end.sum_sent.seconds + softirqSeconds() - softirq,
  };
}

/**
 * Makes the node process the packets of each VM on one CPU, as a hypervisor does with one thread
 * for a NIC. Otherwise a veth packet is processed on the CPU that sent it. One part of a stream is
 * sent from the sender's CPU, and the part that acknowledgements release from the receiver's CPU.
 * The two parts overtake each other, TCP takes this for loss, and the rate may fall to a third by
 * chance.
 */
export async function startSteeredReceiver(bed: Bed): Promise<() => Promise<void>> {
  const steer = async (on: boolean) => {
    for (const [vm, cpu] of [
      [SOURCE, SENDER_CPU],
      [PEER, RECEIVER_CPU],
    ] as const) {
      await bed.setReceiveCpu(SOURCE_NODE, bed.lab.vm(vm).device, on ? Number(cpu) : undefined);
    }
  };
  const stop = await startReceiver(bed);
  await steer(true);
  return async () => {
    await stop();
    await steer(false);
  };
}

const ONE_CPU: Record<string, Aim> = {
  local: { at: 'least', ratio: 0.96 },
  'erspan-1500': { at: 'least', ratio: 0.85 },
  'erspan-1500-sender': { at: 'least', ratio: 0.93 },
};

/** A stream's traffic in gigabytes, for CPU time. */
export const BYTES: Amount = {
  unit: 'GB',
  sent: (sample) => sample.values.bytes! / 1e9,
  copied: (sample) => copiedBytes(sample) / 1e9,
};

function rateRows(samples: Samples, name: string, aims: Record<string, Aim> = {}): Row[] {
  const pick = (sample: Sample) => sample.values.gigabits!;
  const local = valuesOf(samples, 'local', pick);
  return [
    ...metricRows(samples, name, 'Gbit/s', pick, aims),
    comparedRow(`${name}/local/vs-mirred`, 'Gbit/s', local, valuesOf(samples, 'mirred', pick)),
  ];
}

export const STREAM: Measurement = {
  name: 'stream',
  title: 'one TCP stream, two CPUs',
  prepare: startSteeredReceiver,
  async run(bed, seconds) {
    return { gigabits: (await stream(bed, { seconds, receiverCpu: RECEIVER_CPU })).bitRate / 1e9 };
  },
  leastArrived: 0.99,
  rows: (samples) => rateRows(samples, 'stream/throughput'),
};

/** What `endpoint give` reports. */
interface Given {
  blockBytes: number;
  blocks: number;
  /** Nanoseconds of a block: its lower quartile. */
  low: number;
}

const BLOCKS_PORT = 7002;

/**
 * Everything on one CPU, which is always busy: the rate is the inverse of the cost of a packet. Each
 * block waits for its answer, so that all blocks are the same work, and the lower quartile of their
 * times is that of an undisturbed CPU.
 */
export const STREAM_ONE_CPU: Measurement = {
  name: 'stream-one-cpu',
  title: 'one TCP stream, one CPU',
  prepare: (bed) => startEndpoint(bed, PEER, SENDER_CPU, 'take', 'tcp', BLOCKS_PORT),
  async run(bed, seconds) {
    const args = ['give', bed.lab.address(PEER), String(BLOCKS_PORT), String(seconds)];
    const given = JSON.parse(await bed.run(SOURCE, onCpu(bed, SENDER_CPU, args))) as Given;
    return { gigabits: (8 * given.blockBytes) / given.low };
  },
  leastArrived: 0.99,
  rows: (samples) => rateRows(samples, 'stream-one-cpu/throughput', ONE_CPU),
};
