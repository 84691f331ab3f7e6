/**
 * Mirrorplane beside other mirrors, with 64-byte packets: what a sending CPU reaches, what all CPUs
 * spend, and how much of it was copied. Fast by losing copies is not fast.
 */
import { type Bed, PEER, SOURCE } from '../bed.ts';
import { SENDER_CPU } from '../cpu.ts';
import { sendFrames } from '../endpoint.ts';
import { datagram } from '../frames.ts';
import { metricRows, valuesOf } from '../report.ts';
import { CAPTURE_GRE, CAPTURE_LOCAL, NFT_DUP, OPEN_VSWITCH, OPEN_VSWITCH_LOCAL } from '../rivals.ts';
import type { Measurement, Sample, Samples } from '../rounds.ts';
import { comparedRow, type Row } from '../row.ts';
import { ERSPAN_1500, ERSPAN_SENDER, LOCAL, MIRRED, NONE, type Variant } from '../variants.ts';
import { fates, fullSpeed, PORT, preparePackets, rate } from './packets.ts';

export const WAYS: readonly Variant[] = [
  NONE,
  LOCAL,
  MIRRED,
  NFT_DUP,
  CAPTURE_LOCAL,
  OPEN_VSWITCH_LOCAL,
  ERSPAN_SENDER,
  ERSPAN_1500,
  CAPTURE_GRE,
  OPEN_VSWITCH,
];
/** A rate that every way but Open vSwitch carries, packets a second. */
const PACED = 40_000;

const frame = (bed: Bed) => [{ device: 'eth0', frame: datagram(bed.lab, [SOURCE, PEER], PORT) }];

/** Our way against another one of the same kind. */
function against(samples: Samples, name: string, unit: string, pick: (sample: Sample) => number): Row[] {
  const pairs = [
    ['local', 'mirred'],
    ['local', 'nft-dup'],
    ['local', 'libpcap-local'],
    ['local', 'ovs-userspace-local'],
    ['erspan-1500', 'libpcap-gre'],
    ['erspan-1500', 'ovs-userspace'],
  ] as const;
  return pairs.map(([ours, other]) =>
    comparedRow(`${name}/${ours}/vs-${other}`, unit, valuesOf(samples, ours, pick), valuesOf(samples, other, pick)),
  );
}

/**
 * As fast as a CPU sends. Where user space copies on another CPU, the sender does not pay for it, and
 * what was not copied shows the price.
 */
export const PEERS: Measurement = {
  name: 'peers',
  title: 'other mirrors: 64-byte packets from one CPU',
  variants: WAYS,
  prepare: preparePackets,
  run: (bed, seconds) => fullSpeed(bed, frame(bed), seconds),
  leastArrived: 0.9,
  rows: (samples) => [
    ...metricRows(samples, 'peers/sent', 'kpps', rate),
    ...against(samples, 'peers/sent', 'kpps', rate),
    ...fates(samples, 'peers'),
  ],
};

/**
 * CPU seconds of everything that a million delivered packets need, at a rate that all CPUs have time
 * for. What is sent and lost counts as spent in vain.
 */
export const PEERS_CPU: Measurement = {
  name: 'peers-cpu',
  title: `other mirrors: CPU time at ${PACED / 1000} kpps`,
  variants: WAYS,
  prepare: preparePackets,
  async run(bed, seconds) {
    const before = await bed.nic(PEER);
    const burst = { host: SOURCE, cpu: SENDER_CPU, frames: frame(bed), seconds, rate: PACED };
    const { frames: sent, low } = await sendFrames(bed, burst);
    const after = await bed.nic(PEER);
    return {
      // Of the calls, and not of the process: a paced sender waits busily. At this rate the kernel
      // delivers within the call.
      cpu: (low * sent) / 1e9,
      sent,
      delivered: after.received.packets - before.received.packets,
    };
  },
  leastArrived: 0.99,
  rows(samples) {
    const total = (sample: Sample) => (1e6 * (sample.values.cpu! + sample.processes)) / sample.values.delivered!;
    const unit = 'CPU s/million delivered';
    return [
      ...metricRows(samples, 'peers-cpu/total', unit, total),
      ...against(samples, 'peers-cpu/total', unit, total),
      ...fates(samples, 'peers-cpu'),
    ];
  },
};
