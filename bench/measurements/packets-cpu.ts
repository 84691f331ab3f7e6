/** CPU time of 64-byte UDP packets at a fixed rate. */
import { busySeconds } from '../cpu.ts';
import type { Measurement } from '../rounds.ts';
import { cpuRows } from './cpu-rows.ts';
import { preparePackets, send } from './packets.ts';

/**
 * Offered packets a second: each variant keeps up, and a run copies enough for the clock of
 * /proc/stat (10 ms).
 */
export const FIXED_PACKET_RATE = 200_000;

export const PACKETS_CPU: Measurement = {
  name: 'packets-cpu',
  title: `64-byte UDP at ${FIXED_PACKET_RATE / 1000} kpps`,
  prepare: preparePackets,
  async run(bed, seconds) {
    const count = Math.round(seconds * FIXED_PACKET_RATE);
    const { result, busy } = await busySeconds(() => send(bed, count, FIXED_PACKET_RATE));
    return { busy, cpu: result.cpu, sent: result.sent };
  },
  leastArrived: 0.99,
  rows: (samples) =>
    cpuRows(samples, 'packets-cpu', {
      unit: 'million packets',
      sent: (sample) => sample.values.sent! / 1e6,
      copied: (sample) => sample.arrived.packets / 1e6,
    }),
};
