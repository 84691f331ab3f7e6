/**
 * Loss at rate: packets offered against copies received, for every way to mirror. Loss is the
 * result, not a failure.
 */
import type { Bed } from '../bed.ts';
import { CAPTURE_GRE, NFT_DUP, OPEN_VSWITCH } from '../rivals.ts';
import { whileMirrored } from '../rounds.ts';
import { type Row, row } from '../row.ts';
import { ERSPAN_1500, LOCAL, MIRRED, NONE, type Variant } from '../variants.ts';
import { preparePackets, send } from './packets.ts';

const WAYS: readonly Variant[] = [NONE, LOCAL, MIRRED, NFT_DUP, ERSPAN_1500, CAPTURE_GRE, OPEN_VSWITCH];
/**
 * Offered packets a second. The last is what one CPU hardly reaches: `reached` tells how far it
 * came.
 */
const RATES = [50_000, 200_000, 800_000];

export async function measureRates(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const found = new Map<string, number[]>();
  const add = (name: string, value: number) => found.set(name, [...(found.get(name) ?? []), value]);
  const finish = await preparePackets(bed);
  try {
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      const rotated = WAYS.map((_, i) => WAYS[(i + round) % WAYS.length]!);
      for (const way of rotated) {
        for (const rate of RATES) {
          const at = `rates/${rate / 1000}kpps/${way.name}`;
          const { values, offered, arrived } = await whileMirrored(bed, way, async () => {
            const { sent, delivered, seconds: took } = await send(bed, Math.round(seconds * rate), rate);
            return { sent, delivered, took };
          });
          add(`${at}/reached`, values.sent! / values.took! / 1000);
          add(`${at}/originals`, (100 * values.delivered!) / values.sent!);
          if (way.destination) {
            add(`${at}/copies`, (100 * arrived.packets) / offered.packets);
          }
        }
      }
    }
  } finally {
    await finish();
  }
  return [...found]
    .sort()
    .map(([name, values]) => row(name, name.endsWith('/reached') ? 'kpps sent' : '% of sent', values));
}
