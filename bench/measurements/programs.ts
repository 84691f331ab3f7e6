/** Nanoseconds of each run of each program, by kind of mirror and of traffic. */
import type { Bed } from '../bed.ts';
import { enableStats, type RunTime, runTimes } from '../bpf-stats.ts';
import { RECEIVER_CPU } from '../cpu.ts';
import { whileMirrored } from '../rounds.ts';
import { type Row, row } from '../row.ts';
import { ERSPAN_1500, ERSPAN_1600, LOCAL, SAMPLED_OUT, type Variant } from '../variants.ts';
import { preparePackets, send } from './packets.ts';
import { FIXED_PACKET_RATE } from './packets-cpu.ts';
import { startReceiver, stream } from './stream.ts';
import { FIXED_BIT_RATE } from './stream-cpu.ts';

const WITH_PROGRAMS: readonly Variant[] = [SAMPLED_OUT, LOCAL, ERSPAN_1500, ERSPAN_1600];
/** Statistics converge within many thousand packets; longer runs say the same. */
const MOST_SECONDS = 1;
/** A program that ran less often in a round says nothing: a few stray packets. */
const LEAST_RUNS = 100;

/** Programs of both nodes together: no program runs on both in these variants. */
async function bothNodes(bed: Bed): Promise<Map<string, RunTime>> {
  const sum = await runTimes(bed.source.bpffs);
  for (const [name, time] of await runTimes(bed.destination.bpffs)) {
    const here = sum.get(name) ?? { nanoseconds: 0, runs: 0 };
    sum.set(name, { nanoseconds: here.nanoseconds + time.nanoseconds, runs: here.runs + time.runs });
  }
  return sum;
}

export async function measurePrograms(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const length = Math.min(seconds, MOST_SECONDS);
  const loads = [
    { name: 'udp-64', run: () => send(bed, Math.round(length * FIXED_PACKET_RATE), FIXED_PACKET_RATE) },
    { name: 'stream', run: () => stream(bed, { seconds: length, rate: FIXED_BIT_RATE, receiverCpu: RECEIVER_CPU }) },
  ];
  const found = new Map<string, number[]>();
  const finish = [await preparePackets(bed)];
  const disable = enableStats();
  try {
    finish.push(await startReceiver(bed));
    for (let round = 1; round <= rounds; round++) {
      onRound(round);
      for (const variant of WITH_PROGRAMS) {
        for (const load of loads) {
          await whileMirrored(bed, variant, async () => {
            const before = await bothNodes(bed);
            await load.run();
            for (const [program, time] of await bothNodes(bed)) {
              const runs = time.runs - before.get(program)!.runs;
              if (runs < LEAST_RUNS) {
                continue;
              }
              const name = `programs/${program}/${load.name}/${variant.name}`;
              const each = (time.nanoseconds - before.get(program)!.nanoseconds) / runs;
              found.set(name, [...(found.get(name) ?? []), each]);
            }
            return {};
          });
        }
      }
    }
  } finally {
    disable();
    for (const end of finish) {
      await end();
    }
  }
  return [...found].sort().map(([name, values]) => row(name, 'ns/run', values));
}
