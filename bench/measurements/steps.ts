/**
 * The rate of 64-byte packets at which a node begins to lose originals, and the copies that it lost
 * below it. A guest's packets reach the node on a CPU of its own, as from the thread of a hypervisor,
 * so that a node that is too slow loses packets and does not slow the guest.
 */
import { type Bed, PEER, SOURCE, SOURCE_NODE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU } from '../cpu.ts';
import { sendFrames } from '../endpoint.ts';
import { datagram } from '../frames.ts';
import { counted, type Sample } from '../rounds.ts';
import { comparedRow, type Row, row } from '../row.ts';
import type { Variant } from '../variants.ts';
import { PORT, preparePackets } from './packets.ts';
import { WAYS } from './peers.ts';

/** Offered packets a second, each some 1.4 times the one before. */
const RATES = [10, 20, 40, 60, 85, 120, 170, 240, 340, 480, 680, 960, 1360].map((thousands) => 1000 * thousands);
/** Packets may be between two counters when these are read. */
const ALL = 0.9999;
/** A sender that comes less far than this share of a rate has no faster one. */
const REACHED = 0.9;
const MAX_STEP_SECONDS = 0.3;

/** What one way has come to in a round. */
interface Climb {
  /** Packets a second: the highest rate without a lost original, and all before it. */
  without: number;
  /** Of the copies up to that rate. */
  offered: number;
  copied: number;
  /** Counted by the mirror itself as not copied, up to that rate. */
  dropped: number;
}

async function climb(bed: Bed, way: Variant, seconds: number): Promise<Climb> {
  const result: Climb = { without: 0, offered: 0, copied: 0, dropped: 0 };
  const frames = [{ device: 'eth0', frame: datagram(bed.lab, [SOURCE, PEER], PORT) }];
  for (const rate of RATES) {
    const { values, ...counts } = await counted(bed, way, async () => {
      const before = await bed.nic(PEER);
      const sent = await sendFrames(bed, { host: SOURCE, cpu: SENDER_CPU, frames, seconds, rate });
      await bed.quiet(PEER, 'eth0');
      const after = await bed.nic(PEER);
      return {
        sent: sent.frames,
        reached: sent.frames / sent.seconds,
        delivered: after.received.packets - before.received.packets,
      };
    });
    if (values.delivered! < ALL * values.sent!) {
      break;
    }
    add(result, counts);
    result.without = values.reached!;
    if (values.reached! < REACHED * rate) {
      break;
    }
  }
  return result;
}

function add(climb: Climb, { offered, arrived, counted: own }: Omit<Sample, 'values'>): void {
  climb.offered += offered.packets;
  climb.copied += arrived.packets;
  climb.dropped += own?.dropped ?? 0;
}

export async function measureSteps(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const found = new Map<string, Climb[]>(WAYS.map(({ name }) => [name, []]));
  const finish = await preparePackets(bed);
  const device = bed.lab.vm(SOURCE).device;
  await bed.setReceiveCpu(SOURCE_NODE, device, Number(RECEIVER_CPU));
  try {
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      for (const way of WAYS.map((_, i) => WAYS[(i + round) % WAYS.length]!)) {
        await way.start(bed);
        found.get(way.name)!.push(await climb(bed, way, Math.min(seconds, MAX_STEP_SECONDS)));
        await way.stop(bed);
      }
    }
  } finally {
    await finish();
    await bed.setReceiveCpu(SOURCE_NODE, device, undefined);
  }
  const kpps = (name: string) => found.get(name)!.map(({ without }) => without / 1000);
  return [...found].flatMap(([name, climbs]) => [
    name === 'none'
      ? row(`steps/without-loss/${name}`, 'kpps', kpps(name))
      : comparedRow(`steps/without-loss/${name}`, 'kpps', kpps(name), kpps('none')),
    ...(name === 'none'
      ? []
      : [
          row(
            `steps/copies-lost-below/${name}`,
            'packets a million',
            climbs.map(({ offered, copied }) => (offered === 0 ? 0 : (1e6 * (offered - copied)) / offered)),
          ),
          row(
            `steps/dropped-below/${name}`,
            'packets a million',
            climbs.map(({ offered, dropped }) => (offered === 0 ? 0 : (1e6 * dropped) / offered)),
          ),
        ]),
  ]);
}
