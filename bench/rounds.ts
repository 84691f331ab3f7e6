/** Alternating runs of all variants. Each run is checked for copies that really arrived. */
import { type Bed, type DeviceCount, type DeviceCounts, LOCAL_DESTINATION, SOURCE } from './bed.ts';
import { processSeconds } from './cpu.ts';
import type { Row } from './row.ts';
import type { Totals, Variant } from './variants.ts';

/** A process that has copied nothing for so long has lost what has not arrived. */
const PROCESS_REST_MS = 700;

/** One thing that is measured, for every variant. */
export interface Measurement {
  name: string;
  title: string;
  /** Starts everything that all runs need. Returns the function that ends it. */
  prepare(bed: Bed): Promise<() => Promise<void>>;
  /** One run of `seconds`. Numbers by name; those named in `rows` must be there. */
  run(bed: Bed, seconds: number): Promise<Record<string, number>>;
  /**
   * The smallest share of the source's packets and bytes that must reach the destination. Otherwise
   * a run does not count.
   */
  leastArrived: number;
  /** Ways to mirror that are compared. The first is no mirror. Default: VARIANTS. */
  variants?: readonly Variant[];
  /** Packets of the sources so far. Default: those of SOURCE's NIC. */
  offered?(bed: Bed): Promise<DeviceCounts>;
  /** The reported rows of all runs. */
  rows(samples: Samples): Row[];
}

/** The result of one run. */
export interface Sample {
  values: Record<string, number>;
  /** Sent and received by the source's NIC. */
  offered: DeviceCount;
  /** Received by the destination's device. Super-packets arrive whole, so packets compare. */
  arrived: DeviceCount;
  /** Counters of the mirror, if it has any. */
  counted: Totals | undefined;
  /** CPU seconds that processes of the mirror took, 0 if it has none. */
  processes: number;
}

/** By variant name, one sample a round: element i of all variants is of round i. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

/**
 * Runs every variant once in each round. The order rotates, and every second round is reversed. So
 * a drift of the machine, or the caches that a variant leaves, affects all variants equally.
 */
export async function runRounds(
  bed: Bed,
  measurement: Measurement,
  variants: readonly Variant[],
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Samples> {
  const samples = new Map<string, Sample[]>(variants.map((variant) => [variant.name, []]));
  const finish = await measurement.prepare(bed);
  try {
    // One short run that is not counted: neighbours are resolved, code and caches are warm.
    await measurement.run(bed, Math.min(seconds, 0.5));
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      const rotated = variants.map((_, i) => variants[(i + round) % variants.length]!);
      for (const variant of round % 2 ? rotated.reverse() : rotated) {
        samples.get(variant.name)!.push(await sample(bed, measurement, variant, seconds));
      }
    }
  } finally {
    await finish();
  }
  return samples;
}

/**
 * Repeats a run once if copies were lost, because on a shared machine a run may lack CPU time. A
 * second loss is a failure.
 */
async function sample(bed: Bed, measurement: Measurement, variant: Variant, seconds: number): Promise<Sample> {
  for (let attempt = 1; ; attempt++) {
    const result = await whileMirrored(bed, variant, () => measurement.run(bed, seconds), measurement.offered);
    const problem = problemOf(result, variant, variant.losesCopies ? 0 : measurement.leastArrived);
    if (problem === undefined) {
      return result;
    }
    if (attempt === 2) {
      throw new Error(`${measurement.name}, ${variant.name}: ${problem}, twice`);
    }
  }
}

/** Why a run does not count, or undefined. A variant that copies nothing cannot win. */
function problemOf({ offered, arrived, counted }: Sample, variant: Variant, least: number): string | undefined {
  if (variant.destination === undefined) {
    return arrived.bytes > 0 ? `${arrived.bytes} bytes of copies although nothing is mirrored` : undefined;
  }
  const share = arrived.packets / offered.packets;
  const percent = `${(share * 100).toFixed(1)} % of the source's packets`;
  if (!(share >= least)) {
    return `${percent} arrived as copies`;
  }
  // Slightly more than offered is possible: packets between the two readings.
  if (share > 1.01 && !variant.segments) {
    return `${percent} arrived: copies of something else`;
  }
  if (arrived.bytes < least * offered.bytes) {
    return `copies have ${arrived.bytes} of ${offered.bytes} bytes`;
  }
  if (counted && counted.matched !== counted.copied + counted.dropped) {
    return `the counters do not add up: ${JSON.stringify(counted)}`;
  }
  return undefined;
}

/** Runs `work` while the variant copies, as `counted`. */
export async function whileMirrored(
  bed: Bed,
  variant: Variant,
  work: () => Promise<Record<string, number>>,
  offered?: Measurement['offered'],
): Promise<Sample> {
  await variant.start(bed);
  try {
    return await counted(bed, variant, work, offered);
  } finally {
    if (!bed.signal.aborted) {
      await variant.stop(bed); // after an abort the whole lab goes
    }
  }
}

/**
 * Reads all counters before and after `work`, while a variant copies.
 * @param offered see `Measurement`
 */
export async function counted(
  bed: Bed,
  variant: Variant,
  work: () => Promise<Record<string, number>>,
  offered: Measurement['offered'] = () => bed.nic(SOURCE),
): Promise<Sample> {
  // Without a mirror the same device must stay silent.
  const { host, device } = variant.destination ?? { host: LOCAL_DESTINATION, device: 'eth0' };
  const read = async () => ({
    source: await offered(bed),
    cpu: processSeconds(variant.processes?.() ?? []),
    arrived: (await bed.device(host, device)).received,
    counted: await variant.totals?.(bed),
  });
  const before = await read();
  const values = await work();
  // A process that copies may have to wait for a CPU before it goes on.
  await bed.quiet(host, device, variant.processes === undefined ? 0 : PROCESS_REST_MS);
  const after = await read();
  const sent = difference(after.source.sent, before.source.sent);
  const received = difference(after.source.received, before.source.received);
  return {
    values,
    processes: after.cpu - before.cpu,
    offered: { packets: sent.packets + received.packets, bytes: sent.bytes + received.bytes },
    arrived: difference(after.arrived, before.arrived),
    counted: after.counted && before.counted && minus(after.counted, before.counted),
  };
}

/** Bytes of copied originals: arrived bytes, without the headers of a tunnel. */
export function copiedBytes({ offered, arrived }: Sample): number {
  return Math.min(offered.bytes, arrived.bytes);
}

function difference(a: DeviceCount, b: DeviceCount): DeviceCount {
  return { packets: a.packets - b.packets, bytes: a.bytes - b.bytes };
}

function minus(a: Totals, b: Totals): Totals {
  return {
    matched: a.matched - b.matched,
    copied: a.copied - b.copied,
    copiedBytes: a.copiedBytes - b.copiedBytes,
    dropped: a.dropped - b.dropped,
  };
}
