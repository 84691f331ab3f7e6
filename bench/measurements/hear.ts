/**
 * What it costs that looks hear drops: a node drops all that a VM sends, at full speed, without a
 * look, with a look at another VM, and with a look at this one.
 */
import { compileWords, LOOK_LIMITS } from '@mirrorplane/contract';
import { type Bed, LOCAL_DESTINATION, SOURCE, SOURCE_NODE } from '../bed.ts';
import { enableStats } from '../bpf-stats.ts';
import { NOTHING } from '../node-datapath.ts';
import { comparedRow, type Row, row } from '../row.ts';
import { preparePackets, send } from './packets.ts';

/** Packets that a run sends for each second asked for. */
const PACKETS_PER_SECOND = 400_000;
const RULES = `table bridge mirrorplanebench {
  chain c { type filter hook forward priority 0; ether type ip udp dport 9001 counter drop; }
}`;

/** Whom the look is at. */
const CASES = { none: undefined, elsewhere: LOCAL_DESTINATION, watched: SOURCE } as const;
type Case = keyof typeof CASES;

async function look(bed: Bed, vm: string | undefined): Promise<void> {
  if (vm === undefined) {
    await bed.source.apply(NOTHING);
    return;
  }
  const ifindex = await bed.ifindex(SOURCE_NODE, bed.lab.vm(vm).device);
  const { packetRate, byteRate, headerBytes } = LOOK_LIMITS;
  const hooks = [{ ifindex, hook: 'ingress', place: 'sent' }] as const;
  const endsAt = Number(process.hrtime.bigint()) / 1e6 + LOOK_LIMITS.ageMs;
  const words = compileWords('');
  const entry = { id: 'bench', endsAt, words, length: headerBytes, packetRate, byteRate, hooks };
  await bed.source.apply({ ...NOTHING, looks: [entry] });
}

/** Nanoseconds and runs of all programs that hear drops, those of others too, by their ids. */
async function hearers(bed: Bed): Promise<Map<number, { nanoseconds: number; runs: number }>> {
  const text = await bed.run(SOURCE_NODE, ['bpftool', '--json', 'prog', 'show']);
  const shown = JSON.parse(text) as { id: number; name?: string; run_time_ns?: number; run_cnt?: number }[];
  const own = shown.filter(({ name }) => name === 'hear_drop');
  return new Map(own.map((one) => [one.id, { nanoseconds: one.run_time_ns ?? 0, runs: one.run_cnt ?? 0 }]));
}

/** Nanoseconds of a run while so many packets are dropped. */
async function runTime(bed: Bed, packets: number): Promise<number> {
  const disable = enableStats();
  try {
    const before = await hearers(bed);
    await send(bed, packets);
    const grown = [...(await hearers(bed))].map(([id, { nanoseconds, runs }]) => {
      const old = before.get(id) ?? { nanoseconds: 0, runs: 0 };
      return { nanoseconds: nanoseconds - old.nanoseconds, runs: runs - old.runs };
    });
    const own = grown.reduce((most, one) => (one.runs > most.runs ? one : most), { nanoseconds: 0, runs: 0 });
    return own.nanoseconds / own.runs;
  } finally {
    disable();
  }
}

export async function measureHear(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const packets = Math.round(seconds * PACKETS_PER_SECOND);
  const rates: Record<Case, number[]> = { none: [], elsewhere: [], watched: [] };
  const times: Record<Case, number[]> = { none: [], elsewhere: [], watched: [] };
  const finish = await preparePackets(bed);
  try {
    await bed.run(SOURCE_NODE, ['nft', RULES]);
    for (let round = 1; round <= rounds; round++) {
      onRound(round);
      const names = Object.keys(CASES) as Case[];
      for (const name of round % 2 === 0 ? names.reverse() : names) {
        await look(bed, CASES[name]);
        const { sent, seconds: took } = await send(bed, packets);
        rates[name].push(sent / took / 1000);
        if (name !== 'none') {
          times[name].push(await runTime(bed, packets));
        }
      }
    }
  } finally {
    await look(bed, undefined);
    await bed.run(SOURCE_NODE, ['nft', 'delete table bridge mirrorplanebench']).catch(() => undefined);
    await finish();
  }
  return [
    row('hear/dropped/none', 'kpps', rates.none),
    ...(['elsewhere', 'watched'] as const).flatMap((name) => [
      comparedRow(`hear/dropped/${name}`, 'kpps', rates[name], rates.none),
      row(`hear/run/${name}`, 'ns/run', times[name]),
    ]),
  ];
}
