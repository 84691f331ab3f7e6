/**
 * Hearing drops: super-packets and what becomes of them, copies, what is too much, and that it is
 * there only while somebody looks.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import {
  causesOf,
  countedByQdisc,
  countedByRules,
  frame,
  hear,
  newPeriod,
  numberOf,
  useListeners,
} from './support/drops.ts';
import { processFolder } from './support/folder.ts';
import { HOOK } from './support/hook-choice.ts';
import { lookAt, monotonic, tally, Watcher } from './support/looks.ts';
import { bpffsFolder, link, newDatapath, run } from './support/namespace.ts';
import type { SuperPacket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { TapGuest } from './support/tap-guest.ts';
import { capturesOf, countsOf, edgeTo, localTo, OTHER_ADDRESS, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
const { vm, far, by } = world.devices;
const GUEST = link('vmp').address.replaceAll(':', '');
const OTHER = link('farp').address.replaceAll(':', '');
useListeners();

run('nft', 'add table bridge t');
run('nft', 'add chain bridge t c { type filter hook forward priority 0; }');
afterEach(() => run('nft', 'flush chain bridge t c'));

const PAYLOAD = Buffer.from(Array.from({ length: 14_480 }, (_, i) => (i * 31 + (i >> 8) * 7) & 0xff));
const SUPER: SuperPacket = { kind: 'tcp4', segment: 1448, transport: 34 };
const [SUPER_FRAME] = scapy({ tcp: [{ payload: PAYLOAD }] }).tcp as [Buffer];

const repeat = (count: number, act: (i: number) => void) => Array.from({ length: count }, (_, i) => i).forEach(act);

test('a super-packet that a rule drops is one drop of as many packets as it would have been', async () => {
  const look = await hear(world);
  run('nft', 'add rule bridge t c ip protocol tcp counter drop');
  world.guest.send(SUPER_FRAME, SUPER);
  const [seen] = await look.packets(1);
  const [drop] = await look.drops(1);
  assert.equal(countedByRules(), 1);
  assert.deepEqual(
    [drop!.packet, drop!.join, drop!.packets, drop!.gsoSize, drop!.length],
    [seen!.packet, 'packet', 10, 1448, SUPER_FRAME.length],
  );
});

test('segments of a super-packet that a queue drops are told with their sequence numbers', async (t) => {
  t.after(() => run('sh', '-c', 'tc qdisc del dev far root; ethtool -K far tso on gso on'));
  run('ethtool', '-K', 'far', 'tso', 'off', 'gso', 'off');
  // A bucket that no super-packet fits into cuts it (tbf_segment, net/sched/sch_tbf.c).
  run('tc', 'qdisc', 'add', 'dev', 'far', 'root', 'tbf', 'rate', '8kbit', 'burst', '2000', 'limit', '4000');
  const look = await hear(world);
  world.guest.send(SUPER_FRAME, SUPER);
  const [seen] = await look.packets(1);
  await until('the drops', () => countedByQdisc('far') > 0);
  const counted = countedByQdisc('far');
  // The other host is in the namespace of the node here, and drops what has come there.
  const drops = (await look.drops(counted)).filter(({ ifindex }) => ifindex !== link('farp').ifindex);
  assert.deepEqual(causesOf(drops), { [`queue ${far.ifindex}`]: counted });
  assert.deepEqual(tally(drops.map(({ join, packets }) => `${join} ${packets}`)), { 'flow 1': counted });
  const sequenceOf = ({ bytes }: { bytes: Buffer }) => bytes.readUInt32BE(SUPER.transport + 4);
  const at = drops.map((drop) => sequenceOf(drop) - sequenceOf(seen!));
  assert.ok(
    at.every((offset) => offset >= 0 && offset < PAYLOAD.length && offset % 1448 === 0),
    `${at}`,
  );
  assert.equal(new Set(at).size, counted);
});

test('a tagged frame that is dropped has its tag, and is the packet that was seen', async () => {
  const look = await hear(world);
  run('nft', 'add rule bridge t c ether type 8021q counter drop');
  const plain = frame(OTHER, GUEST, 5);
  world.guest.send(Buffer.concat([plain.subarray(0, 12), Buffer.from('8100a04d', 'hex'), plain.subarray(12)]));
  const [seen] = await look.packets(1);
  const [drop] = await look.drops(1);
  assert.deepEqual([drop!.packet, drop!.vlan, drop!.length], [seen!.packet, { protocol: 0x8100, tci: 0xa04d }, 94]);
  assert.deepEqual(drop!.bytes, seen!.bytes);
});

/** A UDP datagram over IPv4 without a checksum of UDP. */
function datagram(to: string, source: string, target: string, number: number): Buffer {
  const ip = Buffer.alloc(20);
  ip.writeUInt16BE(0x4500);
  ip.writeUInt16BE(20 + 8 + 40, 2);
  ip.writeUInt16BE(number, 4);
  ip.writeUInt16BE(0x4011, 8);
  ip.set(
    [source, target].flatMap((address) => address.split('.').map(Number)),
    12,
  );
  const sum = Array.from({ length: 10 }, (_, i) => ip.readUInt16BE(2 * i)).reduce((all, word) => all + word, 0);
  ip.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
  const udp = Buffer.from(`03e803e900300000${'00'.repeat(40)}`, 'hex');
  return Buffer.concat([Buffer.from(`${to}${GUEST}0800`, 'hex'), ip, udp]);
}

test('a packet that the node has routed, with other addresses of Ethernet, is the one that was seen', async (t) => {
  t.after(() => run('sh', '-c', 'tc qdisc del dev und root; ip addr flush dev lan; sysctl -qw net.ipv4.ip_forward=0'));
  run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  run('ip', 'addr', 'add', '10.97.0.1/24', 'dev', 'lan');
  run('tc', 'qdisc', 'add', 'dev', 'und', 'root', 'tbf', 'rate', '8kbit', 'burst', '2000', 'limit', '2000');
  const look = await hear(world);
  const router = link('lan').address.replaceAll(':', '');
  repeat(60, (i) => world.guest.send(datagram(router, '10.97.0.2', OTHER_ADDRESS, 100 + i)));
  const seen = new Set((await look.packets(60)).map(({ packet }) => packet));
  const counted = countedByQdisc('und');
  const drops = await look.drops(counted);
  assert.ok(counted > 10);
  assert.deepEqual(causesOf(drops), { [`queue ${world.devices.und.ifindex}`]: counted });
  assert.ok(drops.every(({ packet, join: by }) => by === 'packet' && seen.has(packet)));
  assert.equal(new Set(drops.map(({ packet }) => packet)).size, counted);
});

test('copies that are dropped are not told: by a tap that is full, by a queue of an edge', async (t) => {
  const sensor = await TapGuest.start('ids');
  t.after(() => sensor.remove());
  t.after(() => run('tc', 'qdisc', 'del', 'dev', 'by', 'root'));
  run('ip', 'link', 'set', 'ids', 'txqueuelen', '10');
  run('tc', 'qdisc', 'add', 'dev', 'by', 'root', 'tbf', 'rate', '8kbit', 'burst', '2000', 'limit', '2000');
  for (const [source, delivery, dropped] of [
    [
      'to-tap',
      localTo(sensor.ifindex, { id: 'to-tap' }),
      () => {
        const [shown] = JSON.parse(run('ip', '-s', '-json', 'link', 'show', 'ids')) as [
          { stats64: { tx: { dropped: number } } },
        ];
        return shown.stats64.tx.dropped;
      },
    ],
    ['to-edge', edgeTo(by.ifindex, { id: 'to-edge' }), () => countedByQdisc('by')],
  ] as const) {
    const captures = capturesOf(vm.ifindex, source, { source });
    const look = await hear(world, { captures, deliveries: [delivery] });
    repeat(100, (i) => world.guest.send(frame(OTHER, GUEST, 1000 + i, 300)));
    assert.ok((await until('drops of copies', dropped)) > 20);
    assert.equal(countsOf(await world.datapath.counters(), 'outbound', source).matched.packets, 100);
    run('nft', 'add rule bridge t c ether type 0x88b5 counter drop');
    world.guest.send(frame(OTHER, GUEST, 2000));
    const drops = await look.drops(1);
    assert.deepEqual([drops.map(numberOf), look.counts().dropsHeard], [[2000], 1]);
    run('nft', 'flush chain bridge t c');
  }
});

test('what comes too fast is counted, and told plus lost is what nft has counted', async () => {
  const look = await hear(world);
  run('nft', 'add rule bridge t c ether type 0x88b5 counter drop');
  repeat(4000, (i) => world.guest.send(frame(OTHER, GUEST, 10_000 + i)));
  const drops = await look.drops(4000);
  const { dropsHeard, dropsLost, written } = look.counts();
  assert.deepEqual([countedByRules(), dropsHeard, drops.length + dropsLost], [4000, 4000, 4000]);
  assert.ok(dropsLost > 0 && drops.length > 300, `${written} written, ${drops.length} told`);
});

test('drops of packets that a look does not ask for are not told, and those of two looks to both', async () => {
  run('nft', 'add rule bridge t c counter drop');
  await newPeriod(); // the test before has used up what may be told in one
  const words = ['', 'tcp', 'arp'];
  const looks = words.map((text, i) => lookAt(world, { id: `words-${i}`, words: text }));
  await world.datapath.apply(stateOf({ looks }));
  world.guest.send(SUPER_FRAME, SUPER);
  world.guest.send(frame(OTHER, GUEST, 77));
  const drops = await new Watcher(world.datapath).expectDrops(2, 'words-0');
  assert.deepEqual(tally(drops.map(({ look }) => look)), { 'words-0': 2, 'words-1': 1 });
  assert.equal(countedByRules(), 2);
});

test('what a look before has counted is not that of the next in its place', async () => {
  run('nft', 'add rule bridge t c ether type 0x88b5 counter drop');
  const first = await hear(world);
  repeat(3, (i) => world.guest.send(frame(OTHER, GUEST, 300 + i)));
  assert.equal((await first.drops(3)).length, 3);
  const second = await hear(world);
  world.guest.send(frame(OTHER, GUEST, 310));
  assert.deepEqual((await second.drops(1)).map(numberOf), [310]);
  assert.equal(second.counts().dropsHeard, 1);
});

/** Ids of programs at the tracepoint that a process holds. */
function heardBy(pid: number | 'self'): string[] {
  const folder = `/proc/${pid}/fdinfo`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      const text = readFileSync(join(folder, fd), 'utf8');
      return /tp_name:\s*kfree_skb/.test(text) ? [/prog_id:\s*(\d+)/.exec(text)![1]!] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
}

function isLoaded(id: string): boolean {
  try {
    execFileSync('bpftool', ['prog', 'show', 'id', id], { stdio: 'ignore', env: { PATH: '/usr/sbin:/usr/bin' } });
    return true;
  } catch {
    return false;
  }
}

test('the program is there while there is a look, and only then', async () => {
  await world.datapath.apply(stateOf({}));
  assert.deepEqual(heardBy('self'), []);
  await hear(world);
  const [id] = heardBy('self');
  assert.ok(id !== undefined && isLoaded(id));
  await world.datapath.apply(stateOf({}));
  assert.deepEqual(heardBy('self'), []);
  await until('the end of the program', () => !isLoaded(id));
});

test('nothing of it is left when its agent is killed', async (t) => {
  const { bpffs, datapath: next } = newDatapath();
  await next.open(); // what takes long is done before the look begins
  next.close();
  const file = join(processFolder(), 'states.json');
  writeFileSync(
    file,
    JSON.stringify([stateOf({ looks: [lookAt(world, { id: 'orphan', endsAt: monotonic() + 60_000 })] })]),
  );
  const script = join(import.meta.dirname, 'support/applier.ts');
  const agent = spawn(process.execPath, [script, bpffs, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => void agent.kill('SIGKILL'));
  agent.stdout.resume();
  const loaded = () => {
    const ids = heardBy(agent.pid!);
    return ids.length > 0 ? ids : undefined;
  };
  const [id] = await until('the program', loaded, { limitMs: 60_000 });
  assert.ok(isLoaded(id!));
  agent.kill('SIGKILL');
  await until('the end of the program', () => !isLoaded(id!));
  await next.open();
  await next.uninstall();
});

test('a look goes on where drops cannot be heard, and says why', async () => {
  const missing = join(processFolder(), 'nothing.bpf.o');
  const deaf = createKernelDatapath({ hook: HOOK, bpffs: bpffsFolder(), hearing: missing });
  await world.datapath.apply(stateOf({}));
  await deaf.open();
  try {
    const { unseen, unheard } = await deaf.apply(stateOf({ looks: [lookAt(world, { id: 'deaf' })] }));
    assert.deepEqual(unseen, []);
    assert.match(unheard!, /^drops of this kernel are not heard, .*: cannot read the BPF object/);
    world.guest.send(frame(OTHER, GUEST, 1));
    assert.equal((await new Watcher(deaf).expect(1, 'deaf')).length, 1);
  } finally {
    await deaf.uninstall();
  }
});
