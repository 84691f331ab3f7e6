/**
 * CPUs number the copies of one delivery in lanes of their own, where the receiver knows lanes. It
 * takes a number that is too far ahead for one of a sender that has started again.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { TerminationReport } from '@mirrorplane/contract';
import type { ErspanDeliveryEntry } from '../../src/datapath/datapath.ts';
import type { MapName } from '../../src/datapath/kernel/install.ts';
import { LAYOUT, u32Key } from '../../src/datapath/kernel/layout.ts';
import { BpfMap, closeFd, getPinned } from '../../src/datapath/kernel/libbpf.ts';
import { CPUS as ALL_CPUS, runOn } from './support/cpus.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  capturesOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useWorld,
} from './support/world.ts';

const world = await useWorld({ underlayMtu: 1600 });
const frame = scapy({ frames: true }).frames.get('ipv4-udp')!;

const CPUS = ALL_CPUS.slice(0, 2);

/** Lends a pinned map of the data plane. */
function withMap(name: MapName, use: (map: BpfMap) => void): void {
  const map = new BpfMap(name, getPinned(join(world.bpffs, 'maps', name))!);
  try {
    use(map);
  } finally {
    closeFd(map.fd);
  }
}

async function apply({ id = 'E', ...more }: Partial<ErspanDeliveryEntry>): Promise<void> {
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(world.devices.vm.ifindex, id).filter(({ direction }) => direction === 'outbound'),
      deliveries: [erspanOver(world, { id, mtu: 1600, address: OTHER_ADDRESS, ...more })],
      mirrorDevice: world.devices.und.ifindex,
    }),
  );
}

/** The guest sends a frame on each of these CPUs. Returns lane and number of the copies, in their order. */
async function numbersOn(cpus: readonly number[]): Promise<[lane: number, number: number][]> {
  let outers: Buffer[] = [];
  try {
    await sniffing(['undp'], async ([wire]) => {
      for (const cpu of cpus) {
        runOn([cpu]);
        world.guest.send(frame);
      }
      outers = await wire.expect(cpus.length);
    });
    return outers.map((outer) => [outer.readUInt32BE(38) >>> 28, outer.readUInt32BE(38) & 0xfffffff]);
  } finally {
    runOn(ALL_CPUS);
  }
}

test('copies are numbered in one lane, then in one for each CPU, then in one again, and no number is left out', async (t) => {
  if (CPUS.length < 2) {
    return t.skip('needs two CPUs');
  }
  const [one, other] = CPUS as [number, number];
  const sent = [one, other, other, one, one, other];
  await apply({});
  assert.deepEqual(
    await numbersOn(sent),
    [0, 1, 2, 3, 4, 5].map((number) => [0, number]),
  );
  await apply({ lanes: true });
  const next = new Map([[0, 6]]);
  const take = (cpu: number) => {
    const number = next.get(cpu % 16) ?? 0;
    next.set(cpu % 16, number + 1);
    return [cpu % 16, number];
  };
  assert.deepEqual(await numbersOn(sent), sent.map(take));
  assert.deepEqual(await numbersOn(sent), sent.map(take));
  await apply({});
  assert.deepEqual(
    await numbersOn(sent),
    sent.map(() => take(0)),
  );
});

test('a delivery that gets a slot that was used before begins with 0 in each lane', async () => {
  withMap('delivery_sequences', (map) => {
    const used = Buffer.alloc(8, 1);
    for (let slot = 0; slot < 16; slot++) {
      for (const cpu of CPUS) {
        map.update(u32Key((cpu % 16) * 4096 + slot), used);
      }
    }
  });
  await apply({ id: 'new', lanes: true });
  assert.deepEqual(
    await numbersOn(CPUS),
    CPUS.map((cpu) => [cpu % 16, 0]),
  );
});

/** Copies of the other node with these numbers. */
function copiesOf(sequences: readonly number[]): Buffer[] {
  const { sourceMac, destinationMac } = world.nextHop;
  const common = {
    inner: frame,
    session: SESSION,
    source: OTHER_ADDRESS,
    address: OWN_ADDRESS,
    sourceMac: destinationMac,
    destinationMac: sourceMac,
  };
  return scapy({ erspan: sequences.map((sequence) => ({ ...common, sequence })) }).erspan;
}

/** Sends copies of the other node, one right after the other. Waits until `received` have come. */
async function receive(packets: readonly Buffer[], received: number): Promise<TerminationReport> {
  for (const packet of packets) {
    world.wire.send(packet);
  }
  let report: TerminationReport | undefined;
  await until('the copies have come', async () => {
    [report] = (await world.datapath.counters()).terminations;
    return report?.received.packets === received;
  });
  return report!;
}

/** As if the last copy had come so many ticks before. Its lane expects `expected`. */
function letBeSilent(expected: number, ticks: number): void {
  withMap('termination_sequences', (map) => {
    const { next, seen } = LAYOUT.lane_state.fields;
    const value = Buffer.alloc(LAYOUT.sequence_state.size);
    const key = map.keys(4).find((each) => map.lookup(each, value) && value.readUInt32LE(next) === expected)!;
    map.lookup(key, value);
    value.writeUInt32LE((value.readUInt32LE(seen) - ticks) >>> 0, seen);
    map.update(key, value);
  });
}

test('a lane may be ahead by more numbers the longer it was silent', async () => {
  await world.datapath.apply(
    stateOf({
      deliveries: [localTo(world.devices.dst.ifindex)],
      terminations: [erspanFrom('L')],
      mirrorDevice: world.devices.und.ifindex,
    }),
  );
  // A lane may be so far ahead after 763 ticks, which are 0.7 to 7 seconds.
  const far = 2 ** 24 + 100_000_000;
  const [first, second, third] = copiesOf([10, 11 + far, 12 + far + far]) as [Buffer, Buffer, Buffer];
  await receive([first], 1);
  letBeSilent(11, 800);
  // The next comes at once: this is no time in which a sender can give so many numbers.
  const { missing, late } = await receive([second, third], 3);
  assert.deepEqual(
    [missing?.packets, late?.packets],
    [far, 0],
    'one of two was taken for a sender that has started again',
  );
});
