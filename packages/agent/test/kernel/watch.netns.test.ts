/**
 * A look sees packets where they are, what became of their copies, and what it has lost itself;
 * policies' books stay as they are.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { CaptureCounts } from '@mirrorplane/contract';
import type { DatapathState, LookCounts, LookEntry, LookPacket } from '../../src/datapath/datapath.ts';
import { LAYOUT, sumPerCpu, u32Key } from '../../src/datapath/kernel/layout.ts';
import { BpfMap, closeFd, getPinned, possibleCpus } from '../../src/datapath/kernel/libbpf.ts';
import { processFolder } from './support/folder.ts';
import { attachForeign, foreignObject } from './support/foreign.ts';
import { BY_CLSACT, places, programsAt } from './support/hook.ts';
import { lookAt, monotonic, tally, Watcher } from './support/looks.ts';
import { link, newDatapath, run } from './support/namespace.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, localTo, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
const { vm, far, dst } = world.devices;
const GUEST = link('vmp').address.replaceAll(':', '');
const OTHER = link('farp').address.replaceAll(':', '');
const ALL = 'ffffffffffff';
let runs = 0;

run('nft', 'add table bridge t');
beforeEach(() => run('nft', 'flush', 'table', 'bridge', 't'));

/** A frame with a number, of `length` bytes. */
function frame(to: string, from: string, number: number, length = 74): Buffer {
  const rest = Buffer.alloc(length - 14, number & 0xff);
  rest.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(`${to}${from}88b5`, 'hex'), rest]);
}

const numberOf = ({ bytes }: LookPacket) => bytes.readUInt32BE(14);
const placesOf = (packets: readonly LookPacket[]) => tally(packets.map(({ place }) => place));

function repeat(count: number, act: (i: number) => void): void {
  for (let i = 0; i < count; i++) {
    act(i);
  }
}

/** A state without policies and with looks. */
async function look(more: Parameters<typeof lookAt>[1] = {}, state: Partial<DatapathState> = {}): Promise<Look> {
  const id = `look-${++runs}`;
  const { unseen } = await world.datapath.apply(stateOf({ ...state, looks: [lookAt(world, { ...more, id })] }));
  assert.deepEqual(unseen, []);
  return watched(id);
}

/** One look, and what it has seen. */
interface Look {
  id: string;
  counts(): LookCounts;
  /** Waits until it has seen so many, and returns what was written of them since the last call. */
  expect(seen: number): Promise<LookPacket[]>;
}

function watched(id: string): Look {
  const watcher = new Watcher(world.datapath);
  const own = (packets: LookPacket[]) => packets.filter(({ look: of }) => of === id);
  return { id, counts: () => watcher.counts, expect: async (seen) => own(await watcher.expect(seen, id)) };
}

test('without a look nothing of it hangs anywhere, and with one it does, until it is gone', async () => {
  await world.datapath.apply(stateOf({}));
  const before = places(world.bpffs);
  const watcher = await look();
  const programs = Object.keys(places(world.bpffs)).filter((place) => !(place in before));
  assert.deepEqual(programs.map((place) => place.replace(/-\d+-/, '-')).sort(), [
    'egress-watch_egress',
    'egress-watch_egress',
    'ingress-watch_ingress',
    'ingress-watch_ingress',
  ]);
  world.guest.send(frame(OTHER, GUEST, 1));
  assert.equal((await watcher.expect(1)).length, 1);
  const { detached } = await world.datapath.apply(stateOf({}));
  assert.equal(detached, 4);
  assert.deepEqual(places(world.bpffs), before);
});

test('what a rule of the bridge drops has arrived and was not delivered, and the same packet has the same id', async () => {
  const watcher = await look();
  world.guest.send(frame(OTHER, GUEST, 7));
  world.far.send(frame(GUEST, OTHER, 7)); // the bridge knows both then
  await watcher.expect(3);
  run('nft', 'add chain bridge t drops { type filter hook forward priority 0; }');
  run('nft', 'add rule bridge t drops oifname "vm" ether type 0x88b5 @ll,112,32 < 110 counter drop');
  const sniffer = await Sniffer.start('vmp');
  repeat(20, (i) => world.far.send(frame(GUEST, OTHER, 100 + i)));
  const packets = await watcher.expect(3 + 30);
  const inGuest = (await sniffer.expect(10)).map((found) => found.readUInt32BE(14));
  sniffer.close();
  const at = (place: string) => packets.filter((packet) => packet.place === place);
  assert.deepEqual(placesOf(packets), { arrived: 20, delivered: 10 });
  assert.match(run('nft', 'list', 'chain', 'bridge', 't', 'drops'), /counter packets 10 /);
  assert.deepEqual(at('delivered').map(numberOf), inGuest);
  assert.deepEqual(
    at('arrived').map(numberOf),
    Array.from({ length: 20 }, (_, i) => 100 + i),
  );
  const ids = new Map(at('arrived').map((packet) => [packet.packet, numberOf(packet)]));
  assert.equal(ids.size, 20, 'each packet has its own id');
  assert.deepEqual(
    at('delivered').map(({ packet }) => ids.get(packet)),
    inGuest,
  );
  assert.deepEqual(
    packets
      .map(({ ifindex, hook, place }) => [ifindex, hook, place].join())
      .filter((one, i, all) => all.indexOf(one) === i)
      .sort(),
    [`${far.ifindex},ingress,arrived`, `${vm.ifindex},egress,delivered`].sort(),
  );
  const times = packets.map(({ at: time }) => Math.abs(time / 1000 - Date.now()));
  assert.ok(Math.max(...times) < 30_000, `the times are those of the node: ${times}`);
});

test('what the guest sends is seen at its device alone, and what is for others is not seen', async () => {
  const watcher = await look();
  world.guest.send(frame(OTHER, GUEST, 1));
  world.guest.send(frame(ALL, GUEST, 2));
  world.far.send(frame('020000000bff', OTHER, 3)); // flooded: seen where it is delivered
  world.far.send(frame(ALL, OTHER, 4));
  const packets = await watcher.expect(5);
  assert.deepEqual(packets.map((packet) => `${numberOf(packet)} ${packet.place}`).sort(), [
    '1 sent',
    '2 sent',
    '3 delivered',
    '4 arrived',
    '4 delivered',
  ]);
});

test('a look with words, a length and fates writes just that', async () => {
  const words = 'vlan 5';
  const looks = [
    lookAt(world, { id: 'asked', words, length: 20, fates: ['noCapture'] }),
    lookAt(world, { id: 'other', words, fates: ['copied', 'dropped:overBudget'] }),
  ];
  await world.datapath.apply(stateOf({ looks }));
  const watcher = watched('asked');
  const tagged = Buffer.concat([
    frame(OTHER, GUEST, 1).subarray(0, 12),
    Buffer.from('8100a005', 'hex'),
    frame(OTHER, GUEST, 1).subarray(12),
  ]);
  world.guest.send(frame(OTHER, GUEST, 2));
  world.guest.send(tagged);
  const [packet, ...others] = await watcher.expect(1);
  const { counts } = await world.datapath.readLooks(1);
  assert.deepEqual([others, counts.get('other')?.seen], [[], 0]);
  assert.equal(packet!.bytes.toString('hex'), tagged.subarray(0, 24).toString('hex'));
  assert.deepEqual([packet!.length, packet!.vlan], [78, { protocol: 0x8100, tci: 0xa005 }]);
});

/** What the counts of a capture have in the words of fates. */
function fatesOf({ copied, sampledOut, dropped, skipped }: CaptureCounts): Record<string, number> {
  const all = {
    copied: copied.packets,
    sampledOut: sampledOut.packets,
    ...Object.fromEntries(Object.entries(dropped).map(([reason, { packets }]) => [`dropped:${reason}`, packets])),
    ...Object.fromEntries(Object.entries(skipped).map(([reason, { packets }]) => [`skipped:${reason}`, packets])),
  };
  return Object.fromEntries(Object.entries(all).filter(([, packets]) => packets > 0));
}

for (const [what, fates, change, send] of [
  ['copied', ['copied'], {}, frame(OTHER, GUEST, 1)],
  ['sampled out', ['copied', 'sampledOut'], { threshold: 2 ** 31 }, frame(OTHER, GUEST, 1)],
  ['over the budget', ['copied', 'dropped:overBudget'], { maxRate: 1000 }, frame(OTHER, GUEST, 1, 1500)],
  [
    'too big for the destination',
    ['dropped:tooBigForDestination'],
    { mtu: 1000, direct: true },
    frame(OTHER, GUEST, 1, 1500),
  ],
  ['too big after the helper device', ['dropped:tooBigForDestination'], { mtu: 1000 }, frame(OTHER, GUEST, 1, 1500)],
  ['for a device that is gone', ['dropped:destinationDown'], { ifindex: 0 }, frame(OTHER, GUEST, 1)],
  [
    'of the VLAN of the policy',
    ['skipped:sameVlan'],
    { skipVlanId: 5 },
    Buffer.concat([Buffer.from(`${OTHER}${GUEST}81000005`, 'hex'), frame(OTHER, GUEST, 1).subarray(12)]),
  ],
] as const) {
  test(`what became of the copy agrees with the counters: ${what}`, async () => {
    const {
      threshold = 2 ** 32,
      maxRate,
      mtu = 1500,
      direct = false,
      ifindex = dst.ifindex,
      skipVlanId = 0,
    } = change as Record<string, never>;
    const source = `s-${++runs}`;
    const captures = capturesOf(vm.ifindex, source, { source, threshold, skipVlanId, mtu: direct ? mtu : 1500 });
    const deliveries = [{ ...localTo(ifindex, { id: source, mtu }), ...(maxRate !== undefined && { maxRate }) }];
    const watcher = await look({}, { captures, deliveries });
    repeat(200, () => world.guest.send(send));
    const packets = await watcher.expect(200);
    const counts = countsOf(await world.datapath.counters(), 'outbound', source);
    const seen = tally(packets.map(({ fate }) => fate));
    assert.deepEqual(seen, fatesOf(counts));
    assert.deepEqual(Object.keys(seen).sort(), fates);
    assert.deepEqual(placesOf(packets), { sent: 200 });
  });
}

test('what is counted where it arrives says so where it is delivered, and a copy is told as one where it goes', async () => {
  const source = `s-${++runs}`;
  const bridge = link('lan').ifindex;
  const captures = capturesOf(vm.ifindex, source, { source, arrivalBridge: bridge });
  const base = lookAt(world);
  const watcher = await look(
    { hooks: [...base.hooks, { ifindex: dst.ifindex, hook: 'egress', place: 'delivered' }] },
    {
      captures,
      deliveries: [localTo(dst.ifindex, { id: source })],
      arrivalPorts: (base.ports ?? []).map((port) => ({ ...port, uplink: false })),
      arrivals: [...(base.guests ?? [])],
    },
  );
  repeat(10, (i) => world.far.send(frame(GUEST, OTHER, i)));
  repeat(5, (i) => world.far.send(frame(ALL, OTHER, 100 + i)));
  repeat(3, (i) => world.guest.send(frame(OTHER, GUEST, 200 + i)));
  const packets = await watcher.expect(15 * 3 + 3 * 2);
  assert.deepEqual(
    tally(
      packets.map(({ place, ifindex, fate }) => `${place} ${ifindex === dst.ifindex ? 'copy' : 'original'} ${fate}`),
    ),
    {
      'arrived original copied': 10,
      'arrived original noCapture': 5, // it is captured where it is delivered
      'delivered copy skipped:isCopy': 18,
      'delivered original countedOnArrival': 10,
      'delivered original copied': 5,
      'sent original copied': 3,
    },
  );
  const report = await world.datapath.counters();
  assert.equal(countsOf(report, 'inbound', source).copied.packets, 15);
  assertSumsClose(report);
});

test('the books of a policy are the same with a look and without', async () => {
  const books = async (looks: LookEntry[]) => {
    const source = `s-${++runs}`;
    const captures = capturesOf(vm.ifindex, source, { source });
    await world.datapath.apply(stateOf({ captures, deliveries: [localTo(dst.ifindex, { id: source })], looks }));
    const sniffer = await Sniffer.start('dstp');
    repeat(100, (i) => world.guest.send(frame(OTHER, GUEST, i)));
    repeat(50, (i) => world.far.send(frame(GUEST, OTHER, i)));
    const copies = (await sniffer.expect(150)).map((copy) => copy.toString('hex')).sort();
    sniffer.close();
    const report = await world.datapath.counters();
    assertSumsClose(report);
    const sent = report.deliveries.find(({ delivery }) => delivery === source)!.sent;
    return { copies, sent, in: countsOf(report, 'inbound', source), out: countsOf(report, 'outbound', source) };
  };
  const without = await books([]);
  assert.deepEqual(await books([lookAt(world, { id: `look-${++runs}` })]), without);
  assert.equal(without.copies.length, 150);
});

test('a look takes no more than its rate, and what is over it is counted', async () => {
  const watcher = await look({ packetRate: 200, byteRate: 1e9 });
  const began = monotonic();
  repeat(3000, (i) => world.guest.send(frame(OTHER, GUEST, i)));
  const packets = await watcher.expect(3000);
  const most = 200 * (0.25 + (monotonic() - began) / 1000) + 1;
  const { seen, written, overRate, ringFull } = watcher.counts();
  assert.deepEqual([seen, written + overRate, ringFull, packets.length], [3000, 3000, 0, written]);
  assert.ok(written >= 50 && written <= most, `${written} of at most ${most}`);
});

test('a look takes no more bytes than its rate', async () => {
  const watcher = await look({ byteRate: 100_000 });
  const began = monotonic();
  repeat(500, (i) => world.guest.send(frame(OTHER, GUEST, i, 1000)));
  const packets = await watcher.expect(500);
  const bytes = packets.reduce((sum, packet) => sum + packet.bytes.length + LAYOUT.look_record.fields.bytes, 0);
  const most = 100_000 * (0.25 + (monotonic() - began) / 1000);
  assert.equal(watcher.counts().overRate + packets.length, 500);
  assert.ok(bytes > 20_000 && bytes <= most, `${bytes} of at most ${most}`);
});

test('what nobody reads fills the ring, is counted, and takes no memory', async () => {
  const watcher = await look();
  repeat(1500, (i) => world.guest.send(frame(OTHER, GUEST, i, 1200)));
  const packets = await watcher.expect(1500);
  const { seen, written, overRate, ringFull } = watcher.counts();
  assert.deepEqual([seen, overRate, written + ringFull, packets.length], [1500, 0, 1500, written]);
  assert.ok(written > 700 && written < 900, `${written} of 1 MiB`);
  world.guest.send(frame(OTHER, GUEST, 7));
  assert.equal((await watcher.expect(1501)).length, 1, 'it goes on when there is room again');
});

test('four looks see the same packet, each for itself, and a fifth is refused', async () => {
  const looks = Array.from({ length: 4 }, (_, i) => lookAt(world, { id: `four-${i}`, words: i === 3 ? 'tcp' : '' }));
  await world.datapath.apply(stateOf({ looks }));
  world.guest.send(frame(OTHER, GUEST, 1));
  await watched('four-0').expect(1);
  const { counts } = await world.datapath.readLooks(10);
  assert.deepEqual(
    [...counts.values()].map(({ written }) => written),
    [1, 1, 1, 0],
  );
  const fifth = [...looks, lookAt(world, { id: 'five' })];
  await assert.rejects(world.datapath.apply(stateOf({ looks: fifth })), /there are 5 looks; a node has 4 at most/);
});

test('a look follows its guest to another device', async () => {
  const watcher = await look();
  world.guest.send(frame(OTHER, GUEST, 1));
  await watcher.expect(1);
  const moved = lookAt(world, {
    id: watcher.id,
    hooks: [{ ifindex: far.ifindex, hook: 'ingress', place: 'sent' }],
    ports: [],
  });
  await world.datapath.apply(stateOf({ looks: [moved] }));
  world.guest.send(frame(OTHER, GUEST, 2));
  world.far.send(frame(GUEST, OTHER, 3));
  const packets = await watcher.expect(2);
  assert.deepEqual(
    packets.map((packet) => [numberOf(packet), packet.ifindex]),
    [[3, far.ifindex]],
  );
});

/**
 * With clsact the filter that is the first of its preference stays in front of a look that comes
 * later.
 */
const IN_FRONT = BY_CLSACT ? ['a bpf filter of preference 1 runs before the look; give it a higher preference'] : [];

test('a look hangs behind what captures and before what others attach, or says that it does not', async () => {
  const foreign = attachForeign(foreignObject(), vm.ifindex, 'ingress', 'go_on');
  const source = `s-${++runs}`;
  const state = {
    captures: capturesOf(vm.ifindex, source, { source }),
    deliveries: [localTo(dst.ifindex, { id: source })],
  };
  const late = lookAt(world, { id: `look-${++runs}` });
  // The look comes before what captures, and then behind it.
  for (const first of [{ looks: [late] }, state]) {
    await world.datapath.apply(stateOf(first));
    const { unseen, problems } = await world.datapath.apply(stateOf({ ...state, looks: [late] }));
    assert.deepEqual(problems, []);
    const said = first === state ? IN_FRONT : [];
    assert.deepEqual(
      unseen.map(({ look: id, ifindex, hook, message }) => [id, ifindex, hook, message.split(':')[0]]),
      said.map((message) => [late.id, vm.ifindex, 'ingress', message]),
    );
    const order = programsAt(vm.ifindex, 'ingress');
    assert.equal(order.indexOf(foreign.id), first === state && BY_CLSACT ? 1 : 2);
    const watcher = watched(late.id);
    world.guest.send(frame(OTHER, GUEST, 1));
    assert.deepEqual(
      (await watcher.expect(1)).map(({ fate }) => fate),
      ['copied'],
    );
    await world.datapath.apply(stateOf(state));
  }
  foreign.close();
});

test('a look ends by itself when its agent is killed, and the next agent leaves nothing of it', async () => {
  await world.datapath.apply(stateOf({}));
  const { bpffs, datapath: next } = newDatapath();
  await next.open(); // what takes long is done before the look begins
  next.close();
  const file = join(processFolder(), 'states.json');
  const endsAt = monotonic() + 600_000;
  const state = stateOf({ looks: [lookAt(world, { id: 'orphan', endsAt })] });
  writeFileSync(file, JSON.stringify([state]));
  const script = join(import.meta.dirname, 'support/applier.ts');
  const agent = spawn(process.execPath, [script, bpffs, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  agent.stdout.on('data', (chunk) => {
    said += chunk;
  });
  await until('the first look', () => said.includes('applied 1') || undefined, { limitMs: 60_000 });
  agent.kill('SIGKILL');
  await until('the agent to be gone', () => agent.signalCode !== null || undefined);
  const [counters, looks] = (['look_counters', 'looks'] as const).map(
    (name) => new BpfMap(name, getPinned(join(bpffs, 'maps', name))!),
  ) as [BpfMap, BpfMap];
  const seen = () => {
    const values = Buffer.alloc(LAYOUT.look_counters.size * possibleCpus());
    counters.lookup(u32Key(0), values);
    return sumPerCpu(values, LAYOUT.look_counters.size)[0]!;
  };
  world.guest.send(frame(OTHER, GUEST, 1));
  await until('the open eye', () => seen() === 1 || undefined);
  // Its end is in the kernel. As if that had come.
  const look = Buffer.alloc(LAYOUT.look.size);
  looks.lookup(u32Key(0), look);
  const { ends } = LAYOUT.look.fields;
  assert.equal(look.readBigUInt64LE(ends), BigInt(Math.round(endsAt * 1e6)));
  look.writeBigUInt64LE(process.hrtime.bigint(), ends);
  looks.update(u32Key(0), look);
  const sniffer = await Sniffer.start('farp');
  world.guest.send(frame(OTHER, GUEST, 2));
  await sniffer.expect(1);
  sniffer.close();
  assert.equal(seen(), 1, 'it sees nothing after its end');
  closeFd(counters.fd);
  closeFd(looks.fd);
  await next.open();
  await next.apply(stateOf({}));
  assert.deepEqual(
    Object.keys(places(bpffs)).filter((place) => place.includes('watch')),
    [],
  );
  assert.ok(readdirSync(bpffs).includes('maps'));
  await next.uninstall();
});
