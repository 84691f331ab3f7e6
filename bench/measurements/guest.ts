/**
 * A QEMU guest as the source, behind a tap that QEMU itself reads and writes (no vhost-net), as fast
 * as it sends and at a tenth of that. It runs by emulation, so its rate says nothing about a guest
 * with KVM: what counts is whether all that reached the tap was delivered and copied.
 */
import { Bed, PEER, SOURCE, SOURCE_NODE } from '../bed.ts';
import { RECEIVER_CPU } from '../cpu.ts';
import { startEndpoint } from '../endpoint.ts';
import { type Sample, whileMirrored } from '../rounds.ts';
import { comparedRow, type Row, row } from '../row.ts';
import { ERSPAN_1500, LOCAL, MIRRED, NONE, type Variant } from '../variants.ts';

const WAYS: readonly Variant[] = [NONE, LOCAL, MIRRED, ERSPAN_1500];
/** The port of discard, and any number for the stream of `probe`. */
const [PORT, STREAM] = [9, 1];
/** Packets of one run, in the same order as the microseconds between two of them. */
const RUNS = [
  { packets: 5000, intervalUs: 0 },
  { packets: 500, intervalUs: 4000 },
] as const;
const TIMEOUT_MS = 300_000;

/** Sends from the guest. Returns packets a second, by the clock of the guest. */
async function send(bed: Bed, packets: number, intervalUs: number): Promise<number> {
  const argv = ['probe', 'send', bed.lab.address(PEER), PORT, STREAM, 0, packets, intervalUs, 18];
  const { stderr } = await bed.lab.exec(SOURCE, ['sh', '-c', `time ${argv.join(' ')}`], { timeoutMs: TIMEOUT_MS });
  const [, minutes, seconds] = /real\s+(\d+)m\s*([\d.]+)s/.exec(stderr) ?? [];
  if (seconds === undefined) {
    throw new Error(`the guest did not tell its time: ${stderr}`);
  }
  return packets / (60 * Number(minutes) + Number(seconds));
}

/** What the tap has of the guest: the node received what the guest sent. */
async function offered(bed: Bed) {
  const { received, sent } = await bed.device(SOURCE_NODE, bed.lab.vm(SOURCE).device);
  return { received: sent, sent: received };
}

async function sample(bed: Bed, way: Variant, { packets, intervalUs }: (typeof RUNS)[number]): Promise<Sample> {
  const work = async () => {
    const before = await bed.nic(PEER);
    const rate = await send(bed, packets, intervalUs);
    await bed.quiet(PEER, 'eth0');
    const after = await bed.nic(PEER);
    return { rate: rate / 1000, delivered: after.received.packets - before.received.packets };
  };
  return whileMirrored(bed, way, work, offered);
}

export async function measureGuest(
  labName: string,
  signal: AbortSignal,
  rounds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const found = new Map<string, { fast: Sample; slow: Sample }[]>(WAYS.map(({ name }) => [name, []]));
  const work = async (bed: Bed) => {
    // Without a socket there, the guest would get answers.
    const finish = await startEndpoint(bed, PEER, RECEIVER_CPU, 'sink', 'udp', PORT);
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      for (const way of WAYS.map((_, i) => WAYS[(i + round) % WAYS.length]!)) {
        const fast = await sample(bed, way, RUNS[0]);
        found.get(way.name)!.push({ fast, slow: await sample(bed, way, RUNS[1]) });
      }
    }
    await finish();
  };
  await Bed.with(labName, signal, work, [SOURCE]);
  const rates = (name: string) => found.get(name)!.map(({ fast }) => fast.values.rate!);
  return [...found].flatMap(([name, samples]) => {
    const share = (what: string, pick: (one: Sample) => number) =>
      row(
        `guest/${what}/${name}`,
        'of what reached the tap',
        samples.map(({ fast, slow }) => (pick(fast) + pick(slow)) / (fast.offered.packets + slow.offered.packets)),
      );
    const delivered = share('delivered', ({ values }) => values.delivered!);
    return name === 'none'
      ? [row(`guest/sent/${name}`, 'kpps', rates(name)), delivered]
      : [
          comparedRow(`guest/sent/${name}`, 'kpps', rates(name), rates('none')),
          delivered,
          share('copied', ({ arrived }) => arrived.packets),
        ];
  });
}
