/** The cost of a packet with 1, 100 and 1,000 policies on its node. It should be the same. */
import type { DatapathState } from '@mirrorplane/agent/testing';
import { type Bed, LOCAL_DESTINATION, SOURCE_NODE } from '../bed.ts';
import { whileMirrored } from '../rounds.ts';
import { comparedRow, type Row } from '../row.ts';
import { captureState, LOCAL, localDelivery, type Variant } from '../variants.ts';
import { preparePackets, send } from './packets.ts';

const COUNTS = [1, 100, 1000];
const PACKETS_PER_SECOND = 500_000;

/** Devices that the other policies mirror; their peers send nothing. */
async function addDevices(bed: Bed, count: number): Promise<number[]> {
  const names = Array.from({ length: count }, (_, i) => `idle${i}`);
  const lines = names.map((name) => `ip link add ${name} type veth peer name ${name}p`).join('\n');
  await bed.run(SOURCE_NODE, ['sh', '-c', lines]);
  const links: { ifname: string; ifindex: number }[] = JSON.parse(await bed.run(SOURCE_NODE, ['ip', '-json', 'link']));
  const byName = new Map(links.map(({ ifname, ifindex }) => [ifname, ifindex]));
  return names.map((name) => byName.get(name)!);
}

/** The state of LOCAL, and `devices.length` more policies with a source and a delivery each. */
async function stateWith(bed: Bed, devices: readonly number[]): Promise<DatapathState> {
  const delivery = await localDelivery(bed, SOURCE_NODE, LOCAL_DESTINATION);
  const state = await captureState(bed, delivery);
  const others = devices.map((ifindex, i) => ({
    delivery: { ...delivery, id: `to-${i}`, policy: `policy-${i}` },
    captures: state.captures.map((capture) => ({
      ...capture,
      id: `policy-${i}/${capture.direction}`,
      policy: `policy-${i}`,
      source: `idle${i}`,
      ifindex,
      delivery: `to-${i}`,
    })),
  }));
  return {
    ...state,
    captures: [...state.captures, ...others.flatMap(({ captures }) => captures)],
    deliveries: [...state.deliveries, ...others.map((other) => other.delivery)],
  };
}

export async function measurePolicies(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const devices = await addDevices(bed, Math.max(...COUNTS) - 1);
  const variants = COUNTS.map(
    (count): Variant => ({
      ...LOCAL,
      name: `${count}`,
      async start(at) {
        await at.source.apply(await stateWith(at, devices.slice(0, count - 1)));
      },
    }),
  );
  const found = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  const finish = await preparePackets(bed);
  try {
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      for (const variant of variants.map((_, i) => variants[(i + round) % variants.length]!)) {
        const { values } = await whileMirrored(bed, variant, async () => {
          const { sent, seconds: took } = await send(bed, Math.round(seconds * PACKETS_PER_SECOND));
          return { rate: sent / took / 1000 };
        });
        found.get(variant.name)!.push(values.rate!);
      }
    }
  } finally {
    await finish();
  }
  const baseline = found.get('1')!;
  return [...found].map(([count, values]) =>
    comparedRow(`policies/${count}`, 'kpps', values, baseline, { at: 'least', ratio: 0.95 }),
  );
}
