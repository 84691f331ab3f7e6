/**
 * A look shows frames as tcpdump does: which of them words ask for, with their tags, and
 * super-packets as one.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { LookPacket } from '../../src/datapath/datapath.ts';
import { processFolder } from './support/folder.ts';
import { lookAt, Watcher } from './support/looks.ts';
import { run } from './support/namespace.ts';
import type { SuperPacket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { parsePcap } from './support/sniffer.ts';
import { stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
let frames: Map<string, Buffer>;
let names: Map<string, string>;
let superPackets: Buffer[];
let runs = 0;

before(() => {
  const [payload, little] = [Buffer.alloc(40_000, 3), Buffer.alloc(9, 4)];
  const built = scapy({
    frames: true,
    tcp: [{ payload }, { payload, six: true }, { payload, vlan: 77 }],
    segments: [{ payload: little }, { payload: little, six: true }, { payload: little, vlan: 77 }],
  });
  superPackets = built.tcp;
  const tcp = ['tcp4', 'tcp6', 'vlan-tcp4'].map((name, i) => [name, built.segments[i]!] as const);
  frames = new Map([...built.frames, ...tcp]);
  names = new Map([...frames].map(([name, frame]) => [frame.toString('hex'), name]));
});

const isTagged = (name: string) => /^(vlan|qinq)/.test(name);
const named = (list: readonly Buffer[]) => list.map((bytes) => names.get(bytes.toString('hex'))!).sort();

/** A capture file, in the byte order of this machine. */
function pcapOf(list: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt32LE(0x00040002, 4);
  head.writeUInt32LE(70_000, 16);
  head.writeUInt32LE(1, 20); // LINKTYPE_ETHERNET
  const records = list.flatMap((bytes) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return [record, bytes];
  });
  return Buffer.concat([head, ...records]);
}

/** Frames that tcpdump picks out of these. */
function byTcpdump(list: readonly Buffer[], expression: string): Buffer[] {
  const [all, picked] = ['all.pcap', 'picked.pcap'].map((name) => join(processFolder(), name)) as [string, string];
  writeFileSync(all, pcapOf(list));
  run('tcpdump', '-Z', 'root', '-r', all, '-w', picked, expression);
  return parsePcap(picked);
}

/** What a look with these words sees of all frames. */
async function byLook(words: string): Promise<LookPacket[]> {
  const [all, asked] = [`all-${++runs}`, `asked-${runs}`];
  const looks = [lookAt(world, { id: asked, words }), lookAt(world, { id: all })];
  await world.datapath.apply(stateOf({ looks }));
  for (const frame of frames.values()) {
    world.guest.send(frame);
  }
  const packets = await new Watcher(world.datapath).expect(frames.size, all);
  return packets.filter(({ look }) => look === asked);
}

/**
 * Words, and what tcpdump is asked where a tag is in front: it looks behind tags only where it is
 * told to.
 */
const WORDS: [words: string, tagged?: string][] = [
  ['tcp'],
  ['udp'],
  ['icmp'],
  ['icmp6'],
  ['arp'],
  ['ip'],
  ['ip6'],
  ['host 10.0.0.1'],
  ['src host 10.0.0.1'],
  ['dst host 10.0.0.1'],
  ['host 10.0.0.9'],
  ['dst host 239.1.2.3'],
  ['net 10.0.0.0/8'],
  ['net 10.0.0.254/31'],
  ['dst net 224.0.0.0/4'],
  ['host fd00::2'],
  ['src host fd00::2'],
  ['net fd00::/16'],
  ['port 4001'],
  ['src port 4001'],
  ['udp port 4000'],
  ['tcp port 4000'],
  ['tcp dst port 5001'],
  ['port 2'],
  ['not tcp'],
  ['not udp and not arp'],
  ['tcp or udp and host fd00::1'],
  ['tcp or (udp and host fd00::1)'],
  ['not (host 10.0.0.1 or ip6)'],
  ['ip and not net 10.0.0.0/30'],
];

for (const [words] of WORDS) {
  // A frame that ends too early is none for tcpdump, also where it is not what is asked for.
  const judged = ([name]: [string, Buffer]) => !words.includes('not') || name !== 'ipv4-broken';
  test(`"${words}" asks for the frames that tcpdump picks, and behind a tag for the same`, async () => {
    const seen = await byLook(words);
    const untagged = [...frames].filter((one) => judged(one) && !isTagged(one[0])).map(([, frame]) => frame);
    const found = named(seen.map(({ bytes }) => bytes));
    const bad = found.includes('ipv4-broken');
    assert.equal(bad, words === 'ip' || words.includes('not'), 'the frame that ends too early');
    assert.deepEqual(
      found.filter((name) => !isTagged(name) && judged([name, Buffer.of()])),
      named(byTcpdump(untagged, words)),
    );
    // Without its tags each frame is one that tcpdump looks into. A byte behind it tells it from
    // others.
    const tagged = [...frames].filter(([name]) => isTagged(name));
    const bare = new Map(
      tagged.map(([name, frame], i) => [Buffer.concat([untag(frame), Buffer.of(i)]).toString('hex'), name]),
    );
    const picked = byTcpdump(
      [...bare.keys()].map((hex) => Buffer.from(hex, 'hex')),
      words,
    );
    assert.deepEqual(found.filter(isTagged), picked.map((frame) => bare.get(frame.toString('hex'))!).sort());
    assert.ok(seen.length < frames.size, 'not all of them');
  });
}

function untag(frame: Buffer): Buffer {
  return [0x8100, 0x88a8].includes(frame.readUInt16BE(12))
    ? untag(Buffer.concat([frame.subarray(0, 12), frame.subarray(16)]))
    : frame;
}

for (const words of [
  'vlan',
  'vlan 33',
  'vlan 0',
  'vlan 200',
  'vlan 44',
  'vlan and arp',
  'vlan 33 and udp port 4000',
  'not vlan',
]) {
  test(`"${words}" asks for the tagged frames that tcpdump picks`, async () => {
    const seen = await byLook(words);
    // tcpdump looks behind one tag for each "vlan"; we look behind both.
    const expression = words === 'vlan and arp' ? 'vlan and (arp or (vlan and arp))' : words;
    assert.deepEqual(named(seen.map(({ bytes }) => bytes)), named(byTcpdump([...frames.values()], expression)));
  });
}

test('every frame is shown as it was on the wire, with its length and its outermost tag', async () => {
  const seen = await byLook('');
  assert.deepEqual(named(seen.map(({ bytes }) => bytes)), [...frames.keys()].sort());
  for (const { bytes, length, vlan, packets, gsoSize } of seen) {
    const protocol = bytes.readUInt16BE(12);
    const tagged = [0x8100, 0x88a8].includes(protocol);
    assert.deepEqual([length, packets, gsoSize], [bytes.length, 1, 0]);
    assert.deepEqual(vlan, tagged ? { protocol, tci: bytes.readUInt16BE(14) } : undefined);
  }
});

const SUPER: [string, SuperPacket][] = [
  ['IPv4', { kind: 'tcp4', segment: 1448, transport: 34 }],
  ['IPv6', { kind: 'tcp6', segment: 1428, transport: 54 }],
  ['VLAN-tagged', { kind: 'tcp4', segment: 1448, transport: 38 }],
];
for (const [i, [what, gso]] of SUPER.entries()) {
  test(`a super-packet is one packet with its whole length and the size of its segments: ${what}`, async () => {
    const id = `super-${i}`;
    await world.datapath.apply(stateOf({ looks: [lookAt(world, { id, length: 128, words: 'tcp port 5001' })] }));
    world.guest.send(superPackets[i]!, gso);
    const [packet, ...others] = await new Watcher(world.datapath).expect(1, id);
    assert.deepEqual(others, []);
    const { length, gsoSize, packets, bytes } = packet!;
    assert.deepEqual(
      [length, gsoSize, packets],
      [superPackets[i]!.length, gso.segment, Math.ceil(40_000 / gso.segment)],
    );
    // All but the checksum, which is the kernel's to fill in.
    const checksum = gso.transport + 16;
    assert.equal(bytes.subarray(0, checksum).toString('hex'), superPackets[i]!.subarray(0, checksum).toString('hex'));
    assert.equal(bytes.length, what === 'VLAN-tagged' ? 132 : 128);
  });
}
