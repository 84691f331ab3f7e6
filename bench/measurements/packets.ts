/**
 * 64-byte UDP packets a second that one sending CPU reaches while nothing else has it: the lower
 * quartile of the time of 32 packets, over all of a run. So runs compare on a busy machine too.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bed, PEER, SOURCE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU, softirqSeconds } from '../cpu.ts';
import { type Outgoing, sendFrames, startEndpoint } from '../endpoint.ts';
import { datagram } from '../frames.ts';
import { metricRows, valuesOf } from '../report.ts';
import type { Measurement, Sample, Samples } from '../rounds.ts';
import { comparedRow, type Row, row } from '../row.ts';

export const PORT = 9001;
const configFile = (bed: Bed) => join(bed.folder, 'udp.trafgen');

/** Writes the packet, and starts a socket in PEER that takes it, so that nothing is answered. */
export async function preparePackets(bed: Bed): Promise<() => Promise<void>> {
  const ethernet = `eth(da=${bed.lab.mac(PEER)}, sa=${bed.lab.mac(SOURCE)})`;
  const ip = `ipv4(sa=${bed.lab.address(SOURCE)}, da=${bed.lab.address(PEER)}, ttl=64)`;
  // 14 + 20 + 8 + 18 bytes: 64 on a wire, with the checksum that hardware appends.
  writeFileSync(configFile(bed), `{ ${ethernet}, ${ip}, udp(sp=9000, dp=${PORT}), fill(0x55, 18) }\n`);
  return startEndpoint(bed, PEER, RECEIVER_CPU, 'sink', 'udp', PORT);
}

/**
 * Sends `count` packets from SOURCE to PEER from one CPU, on which the whole path up to PEER's
 * socket runs as well.
 * @param rate packets a second, undefined: no limit.
 */
export async function send(bed: Bed, count: number, rate?: number) {
  const argv = ['trafgen', '--conf', configFile(bed), '--dev', 'eth0', '--cpus', '1', '--num', String(count)];
  argv.push('--no-sock-mem', '--notouch-irq');
  if (rate !== undefined) {
    argv.push('--rate', `${rate}pps`);
  }
  const before = await bed.nic(PEER);
  const softirq = softirqSeconds();
  // bash times what it ran by the kernel's clock of the process, where other shells count ticks.
  const timed = ['bash', '-c', 'TIMEFORMAT="cpu %3U %3S"; time "$@" 2>&1', 'bash', 'taskset', '--cpu-list', SENDER_CPU];
  const out = await bed.run(SOURCE, [...timed, ...argv], 'with stderr');
  const softirqTook = softirqSeconds() - softirq;
  const after = await bed.nic(PEER);
  const sent = Number(/(\d+) packets outgoing/.exec(out)?.[1]);
  const [, whole, micro] = /(\d+) sec, (\d+) usec on CPU/.exec(out) ?? [];
  const [, user, system] = /cpu (\S+) (\S+)/.exec(out) ?? [];
  if (sent !== count || micro === undefined || system === undefined) {
    throw new Error(`trafgen said: ${out}`);
  }
  return {
    sent,
    seconds: Number(whole) + Number(micro) / 1e6,
    delivered: after.received.packets - before.received.packets,
    /** CPU seconds of the sender with all that the kernel did for the traffic. */
    cpu: Number(user) + Number(system) + softirqTook,
  };
}

export const rate = (sample: Sample) => sample.values.rate!;

/**
 * Sends frames of SOURCE as fast as one CPU can.
 * @returns `rate` (kpps that an undisturbed CPU reaches), `sent` and `delivered` (to PEER)
 */
export async function fullSpeed(bed: Bed, frames: readonly Outgoing[], seconds: number) {
  const before = await bed.nic(PEER);
  const { frames: sent, low } = await sendFrames(bed, { host: SOURCE, cpu: SENDER_CPU, frames, seconds });
  const after = await bed.nic(PEER);
  return { rate: 1e6 / low, sent, delivered: after.received.packets - before.received.packets };
}

/** What became of the packets that were sent: delivered, and copied by each way that copies. */
export function fates(samples: Samples, part: string): Row[] {
  return [...samples].flatMap(([variant, list]) => {
    const share = (name: string, pick: (sample: Sample) => number) =>
      row(
        `${part}/${name}/${variant}`,
        'of sent',
        list.map((sample) => pick(sample) / sample.values.sent!),
      );
    const delivered = share('delivered', (sample) => sample.values.delivered!);
    return variant === 'none' ? [delivered] : [delivered, share('copied', (sample) => sample.arrived.packets)];
  });
}

export const PACKETS: Measurement = {
  name: 'packets',
  title: '64-byte UDP packets from one CPU',
  prepare: preparePackets,
  run: (bed, seconds) => fullSpeed(bed, [{ device: 'eth0', frame: datagram(bed.lab, [SOURCE, PEER], PORT) }], seconds),
  // Beyond what the CPU can do, queues overflow: originals and copies are lost alike, with a mirror
  // and without.
  leastArrived: 0.9,
  rows: (samples) => [
    ...metricRows(samples, 'packets/sent', 'kpps', rate, {
      local: { at: 'least', ratio: 0.9 },
      'erspan-1500': { at: 'least', ratio: 0.62 },
      'erspan-1500-sender': { at: 'least', ratio: 0.78 },
    }),
    comparedRow(
      'packets/sent/local/vs-mirred',
      'kpps',
      valuesOf(samples, 'local', rate),
      valuesOf(samples, 'mirred', rate),
      {
        at: 'least',
        ratio: 1,
      },
    ),
    ...fates(samples, 'packets'),
  ],
};
