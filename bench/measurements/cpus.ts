/**
 * What two CPUs that copy at the same time cost each other: time of a packet on both, against on
 * one alone. Each runs `capture_ingress` on 64-byte packets by BPF_PROG_RUN, with the same maps.
 */
import type { DatapathState } from '@mirrorplane/agent/testing';
import { type Bed, DESTINATION_NODE, REMOTE_DESTINATION, SOURCE, SOURCE_NODE } from '../bed.ts';
import type { NodeDatapath } from '../node-datapath.ts';
import { NOTHING } from '../node-datapath.ts';
import { runTogether, type Worker } from '../prog-runner.ts';
import { comparedRow, type Row, row } from '../row.ts';
import { lowerQuartile } from '../statistics.ts';
import { ERSPAN_SENDER, erspanState, LOCAL, SAMPLED_OUT, unplugged, type Variant } from '../variants.ts';
import { DATAGRAM } from './runs.ts';

/** Slices of each kind in a round. */
const SLICES = 60;
const AIM = { at: 'least', ratio: 0.95 } as const;
/** Bytes a second that no CPU reaches here: a limit that refuses nothing. */
const HIGH = 4e9;

/** A variant, and where its two CPUs find their programs. */
interface Case {
  name: string;
  start(bed: Bed): Promise<void>;
  stop(bed: Bed): Promise<void>;
  workers(bed: Bed): Promise<Worker[]>;
  aim?: typeof AIM;
}

async function worker(bed: Bed, cpu: number, node: string, at: NodeDatapath, vm: string): Promise<Worker> {
  const ifindex = await bed.ifindex(node, bed.lab.vm(vm).device);
  return { cpu, node, bpffs: at.bpffs, program: 'capture_ingress', ifindex };
}

/** Both CPUs run the same programs, with the same maps. */
function sameMaps({ name, start, stop }: Pick<Variant, 'name' | 'start' | 'stop'>, aim?: typeof AIM): Case {
  const workers = (bed: Bed) => Promise.all([0, 1].map((cpu) => worker(bed, cpu, SOURCE_NODE, bed.source, SOURCE)));
  return { name, start, stop, workers, ...(aim && { aim }) };
}

/** ERSPAN, with more in the state. */
function erspanWith(name: string, more: Partial<DatapathState>): Pick<Variant, 'name' | 'start' | 'stop'> {
  return {
    ...ERSPAN_SENDER,
    name,
    async start(bed) {
      await ERSPAN_SENDER.start(bed);
      await bed.source.apply({ ...(await erspanState(bed, 1500)), ...more });
    },
  };
}

/** Each CPU is a node of its own: nothing of ours is shared, and what is left is the kernel's. */
const APART: Case = {
  name: 'erspan-two-nodes',
  async start(bed) {
    await unplugged(bed, [SOURCE_NODE, DESTINATION_NODE]).start();
    await bed.source.apply({ ...(await erspanState(bed, 1500)), protect: true });
    await bed.destination.apply({ ...(await erspanState(bed, 1500, true)), protect: true });
  },
  async stop(bed) {
    await bed.source.apply(NOTHING);
    await bed.destination.apply(NOTHING);
    await unplugged(bed, [SOURCE_NODE, DESTINATION_NODE]).stop();
  },
  workers: (bed) =>
    Promise.all([
      worker(bed, 0, SOURCE_NODE, bed.source, SOURCE),
      worker(bed, 1, DESTINATION_NODE, bed.destination, REMOTE_DESTINATION),
    ]),
};

const CASES: readonly Case[] = [
  sameMaps(SAMPLED_OUT),
  sameMaps(LOCAL, AIM),
  APART,
  sameMaps(erspanWith('erspan', { protect: true }), AIM),
  sameMaps(erspanWith('erspan-limited', { protect: true, maxRate: HIGH }), AIM),
];

/** @throws Error as `runTogether` */
export async function measureCpus(
  bed: Bed,
  rounds: number,
  _seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const found = new Map(CASES.map(({ name }) => [name, { alone: [] as number[], together: [] as number[] }]));
  for (let round = 1; round <= rounds; round++) {
    onRound(round);
    for (const { name, start, stop, workers } of CASES) {
      await start(bed);
      const slices = await runTogether(bed, DATAGRAM, await workers(bed), SLICES);
      await stop(bed);
      found.get(name)!.alone.push(meanOf(slices.alone));
      found.get(name)!.together.push(meanOf(slices.together));
    }
  }
  return CASES.flatMap(({ name, aim }) => {
    const { alone, together } = found.get(name)!;
    return [
      row(`cpus/alone/${name}`, 'ns/packet', alone),
      comparedRow(`cpus/together/${name}`, 'packets/us', together.map(perMicrosecond), alone.map(perMicrosecond), aim),
    ];
  });
}

/** Of two CPUs for values of both, of twice one CPU for those of one. */
const perMicrosecond = (nanoseconds: number) => 2000 / nanoseconds;

/** The mean over the workers of what an undisturbed packet takes. */
function meanOf(workers: readonly number[][]): number {
  return workers.reduce((sum, values) => sum + lowerQuartile(values), 0) / workers.length;
}
