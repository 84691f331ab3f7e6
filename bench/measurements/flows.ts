/**
 * Two hundred flows at the same time, half of them TCP and half UDP, at a fixed rate: CPU time of
 * both ends and the path, and what was lost. Everything is on one CPU, as in `stream-cpu.ts`.
 */
import { type Bed, PEER, SOURCE } from '../bed.ts';
import { SENDER_CPU, softirqSeconds } from '../cpu.ts';
import { metricRows } from '../report.ts';
import { copiedBytes, type Measurement } from '../rounds.ts';
import { row } from '../row.ts';

/** Flows of each protocol. */
const FLOWS_EACH = 100;
/** iperf3 serves one test at a time, so each protocol has a server of its own. */
const PORTS = { tcp: 5211, udp: 5212 } as const;
/** bit/s of a flow. */
const RATES = { tcp: 10_000_000, udp: 1_000_000 } as const;
/** Bytes of a datagram. Its copy fits into an underlay of 1500 bytes. */
const DATAGRAM = 1200;

/** What is used of iperf3's report. */
interface Report {
  end: {
    sum?: { packets: number; lost_packets: number };
    sum_received?: { bytes: number; seconds: number };
    sum_sent?: { bytes: number; seconds: number };
    cpu_utilization_percent: { host_total: number; remote_total: number };
  };
}

async function flows(bed: Bed, protocol: 'tcp' | 'udp', seconds: number): Promise<Report['end'] & { cpu: number }> {
  const argv = ['iperf3', '--client', bed.lab.address(PEER), '--port', String(PORTS[protocol]), '--json'];
  argv.push('--affinity', `${SENDER_CPU},${SENDER_CPU}`, '--parallel', String(FLOWS_EACH));
  argv.push('--bitrate', String(RATES[protocol]), '--time', String(Math.max(1, Math.round(seconds))));
  argv.push(...(protocol === 'udp' ? ['--udp', '--length', String(DATAGRAM)] : ['--congestion', 'cubic']));
  const began = performance.now();
  const { end } = JSON.parse(await bed.run(SOURCE, argv)) as Report;
  const took = end.sum_sent?.seconds ?? (performance.now() - began) / 1000;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  return { ...end, cpu: ((host_total + remote_total) / 100) * took };
}

export const FLOWS: Measurement = {
  name: 'flows',
  title: `${2 * FLOWS_EACH} flows, TCP and UDP`,
  async prepare(bed) {
    const stops: (() => Promise<void>)[] = [];
    const finish = async () => void (await Promise.all(stops.map((stop) => stop())));
    try {
      for (const port of Object.values(PORTS)) {
        const argv = ['iperf3', '--server', '--port', String(port)];
        const { stop } = await bed.serve(PEER, argv, () => bed.bound(PEER, 'tcp', port));
        stops.push(stop);
      }
      return finish;
    } catch (error) {
      await finish();
      throw error;
    }
  },
  async run(bed, seconds) {
    const softirq = softirqSeconds();
    const [tcp, udp] = await Promise.all([flows(bed, 'tcp', seconds), flows(bed, 'udp', seconds)]);
    const { packets, lost_packets } = udp.sum!;
    return {
      cpu: tcp.cpu + udp.cpu + softirqSeconds() - softirq,
      bytes: tcp.sum_received!.bytes + (packets - lost_packets) * DATAGRAM,
      delivered: 1 - lost_packets / packets,
    };
  },
  leastArrived: 0.9,
  rows: (samples) => [
    ...metricRows(samples, 'flows/total', 'CPU s/GB', ({ values }) => (1e9 * values.cpu!) / values.bytes!),
    ...[...samples].flatMap(([variant, list]) => [
      row(
        `flows/datagrams-delivered/${variant}`,
        'of sent',
        list.map(({ values }) => values.delivered!),
      ),
      ...(variant === 'none'
        ? []
        : [
            // A super-packet may arrive in parts, so packets do not compare.
            row(
              `flows/copied/${variant}`,
              'of bytes',
              list.map((sample) => copiedBytes(sample) / sample.offered.bytes),
            ),
          ]),
    ]),
  ],
};
