/**
 * The program `terminate` alone, by BPF_PROG_RUN, on ERSPAN that Scapy wrapped and on damaged one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BpfMap, closeFd, getPinned, LAYOUT } from '@mirrorplane/agent/testing';
import { COPY_REFUSALS, type CopyRefusal } from '@mirrorplane/contract';
import { type ErspanRequest, scapy } from '../../agent/test/kernel/support/scapy.ts';
import {
  assertSumsClose,
  countOf,
  edgeTo,
  erspanFrom,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useWorld,
} from '../../agent/test/kernel/support/world.ts';
import { Program, VERDICT } from './support/prog-run.ts';

const EDGE_SESSION = 1023;
const OUTER = 50;

const world = await useWorld();
let frames: Map<string, Buffer>;
let program: Program;
let runs = 0;

before(() => {
  frames = scapy({ frames: true }).frames;
  program = new Program(world.bpffs, 'terminate_erspan');
});
after(() => {
  program?.close();
});

function request(inner: Buffer, more: Partial<ErspanRequest> = {}): ErspanRequest {
  const { sourceMac, destinationMac } = world.nextHop;
  return {
    ...{ inner, source: OTHER_ADDRESS, address: OWN_ADDRESS, session: SESSION },
    ...{ sourceMac: destinationMac, destinationMac: sourceMac, ...more },
  };
}

const run = (packet: Buffer) => program.run(packet, { ifindex: world.devices.und.ifindex });

/**
 * Terminates one session to a local device and another one to an edge, under new ids. Returns their
 * counters.
 */
async function terminate(more: Parameters<typeof erspanFrom>[1] = {}) {
  const number = ++runs;
  const { dst, by, und } = world.devices;
  await world.datapath.apply(
    stateOf({
      deliveries: [localTo(dst.ifindex), edgeTo(by.ifindex)],
      terminations: [
        erspanFrom('L', { id: `local-${number}`, ...more }),
        erspanFrom('V', { id: `edge-${number}`, session: EDGE_SESSION }),
      ],
      mirrorDevice: und.ifindex,
    }),
  );
  const unknown = (await world.datapath.counters()).unknownErspan;
  return async () => {
    const report = await world.datapath.counters();
    assertSumsClose(report);
    const find = (kind: string) => report.terminations.find(({ termination }) => termination === `${kind}-${number}`)!;
    return { local: find('local'), edge: find('edge'), unknown: report.unknownErspan - unknown };
  };
}

test('the inner frame comes out of what Scapy wrapped, byte for byte, and is handed to the device', async () => {
  const count = await terminate();
  const inner = [...frames.values()];
  const variants: Partial<ErspanRequest>[] = [
    {},
    { sequence: 0xffffffff, index: 0x7ff, vlan: 4095, cos: 7, en: 3 },
    { t: 1, flags: '' },
  ];
  const packets = scapy({ erspan: variants.flatMap((more) => inner.map((frame) => request(frame, more))) }).erspan;
  packets.forEach((packet, i) => {
    const frame = inner[i % inner.length]!;
    const result = run(packet);
    const name = [...frames.keys()][i % inner.length];
    // The program sends a clone, and drops the original packet.
    assert.equal(result.verdict, VERDICT.shot, name);
    assert.equal(result.packet.toString('hex'), frame.toString('hex'), name);
  });
  const { local, edge, unknown } = await count();
  const all = countOf([...inner, ...inner, ...inner]);
  assert.deepEqual([local.received, local.delivered, edge.received.packets, unknown], [all, all, 0, 0]);
});

test('packets other than ERSPAN II of a known sender pass unchanged', async () => {
  const count = await terminate();
  const inner = frames.get('ipv4-udp')!;
  const foreign = world.nextHop.destinationMac;
  const cases: [string, Partial<ErspanRequest>, number][] = [
    ['unknown sender', { source: '10.98.0.9' }, 1],
    ['type I', { type: 1 }, 0],
    ['type III', { type: 3 }, 0],
    ['version 0', { version: 0 }, 0],
    ['version 2 under the protocol of type II', { version: 2 }, 0],
    ['later fragment', { flags: '', frag: 8 }, 0],
    ['GRE checksum', { gre: { chksum_present: 1 } }, 0],
    ['GRE key', { gre: { key_present: 1 } }, 0],
    ['GRE routing', { gre: { routing_present: 1 } }, 0],
    ['GRE version 1', { gre: { version: 1 } }, 0],
    ['another MAC address', { destinationMac: foreign }, 0],
    ['broadcast', { destinationMac: 'ff:ff:ff:ff:ff:ff' }, 0],
  ];
  const packets = scapy({ erspan: cases.map(([, more]) => request(inner, more)) }).erspan;
  cases.forEach(([name], i) => {
    const result = run(packets[i]!);
    assert.deepEqual([result.verdict, result.packet.equals(packets[i]!), result.mark], [VERDICT.next, true, 0], name);
  });
  for (const [name, frame] of frames) {
    if (name !== 'ipv4-broken') {
      assert.equal(run(frame).verdict, VERDICT.next, name);
    }
  }
  const { local, edge, unknown } = await count();
  assert.deepEqual([local.received.packets, edge.received.packets], [0, 0]);
  assert.equal(
    unknown,
    cases.reduce((sum, [, , counted]) => sum + counted, 0),
  );
});

const SECRET = 0x5a5;

/** Packets of the sender that were refused, by reason. */
async function refused(): Promise<Record<CopyRefusal, number>> {
  const { peers } = await world.datapath.counters();
  const { address: _, ...counts } = peers.find(({ address }) => address === OTHER_ADDRESS) ?? { address: '', ...NONE };
  return counts;
}
const NONE = Object.fromEntries(COPY_REFUSALS.map((reason) => [reason, 0])) as Record<CopyRefusal, number>;

test('copies of a known sender with a wrong proof are refused, and counted by their error', async () => {
  const count = await terminate({ secret: SECRET, leastTtl: 254 });
  const inner = frames.get('ipv4-udp')!;
  const right = { reserved: SECRET };
  const cases: [string, Partial<ErspanRequest>, CopyRefusal][] = [
    ['no secret', { reserved: 0 }, 'wrongSecret'],
    ...Array.from({ length: 11 }, (_, bit): [string, Partial<ErspanRequest>, CopyRefusal] => [
      `bit ${bit} of the secret`,
      { reserved: SECRET ^ (1 << bit) },
      'wrongSecret',
    ]),
    ['two routers on its way', { ...right, ttl: 253 }, 'tooFar'],
    ['the TTL of an earlier agent', { ...right, ttl: 64 }, 'tooFar'],
    ['IP options', { ...right, options: '94040000' }, 'oddHeader'],
    ['a first fragment', { ...right, flags: 'MF' }, 'oddHeader'],
    ['a first fragment with IP options', { ...right, flags: 'MF', options: '94040000' }, 'oddHeader'],
    ['a session of no policy', { session: SESSION + 1 }, 'staleSession'],
    ['session 0', { session: 0 }, 'staleSession'],
    ['the next generation', { index: 1 << 11 }, 'staleSession'],
    ['the last generation', { index: 511 << 11 }, 'staleSession'],
    ['the address of another host', { address: '10.98.0.77' }, 'wrongAddress'],
    ['a broadcast address', { address: '10.98.0.255' }, 'wrongAddress'],
  ];
  const packets = scapy({ erspan: cases.map(([, more]) => request(inner, more)) }).erspan;
  for (const [i, [name, , reason]] of cases.entries()) {
    const before = await refused();
    assert.equal(run(packets[i]!).verdict, VERDICT.shot, name);
    assert.deepEqual(await refused(), { ...before, [reason]: before[reason] + 1 }, name);
  }
  const believed = scapy({ erspan: [right, { ...right, ttl: 254 }].map((more) => request(inner, more)) }).erspan;
  for (const packet of believed) {
    assert.equal(run(packet).packet.toString('hex'), inner.toString('hex'));
  }
  const { local, edge, unknown } = await count();
  assert.deepEqual([local.delivered.packets, edge.received.packets, unknown], [2, 0, 0]);
});

test('copies with an address that no route by the device leads back to are refused', async () => {
  const count = await terminate({ hasWayBack: false });
  const before = await refused();
  const [packet] = scapy({ erspan: [request(frames.get('ipv4-udp')!)] }).erspan as [Buffer];
  assert.equal(run(packet).verdict, VERDICT.shot);
  assert.deepEqual(await refused(), { ...before, wrongDevice: before.wrongDevice + 1 });
  assert.equal((await count()).local.received.packets, 0);
});

test('a secret of a sender that may not know it is not checked', async () => {
  const count = await terminate();
  const inner = frames.get('ipv4-udp')!;
  const packets = scapy({ erspan: [0, 1, 2047].map((reserved) => request(inner, { reserved, ttl: 1 })) }).erspan;
  for (const packet of packets) {
    assert.equal(run(packet).packet.toString('hex'), inner.toString('hex'));
  }
  assert.equal((await count()).local.delivered.packets, packets.length);
});

/** The number in a lane, as it is sent. */
const lane = (lane: number, number: number) => ((lane << 28) | number) >>> 0;
const LAST_IN_LANE = 2 ** 28 - 1;

const RUNS: [what: string, sequences: number[], missing: number, late: number][] = [
  ['numbers that follow each other', [10, 11, 12], 0, 0],
  ['three segments of a super-packet, which carry the first of its numbers', [10, 11, 11, 11, 14], 0, 0],
  ['a super-packet of which a segment is lost', [10, 11, 11, 14], 1, 0],
  ['a segment that comes late', [10, 11, 11, 14, 14, 11], 1, 1],
  ['super-packets of an earlier sender, which take one number', [10, 11, 11, 11, 12, 13, 13], 0, 0],
  ['a gap', [10, 14], 3, 0],
  ['an outage of 210,817 packets', [10, 210_828], 210_817, 0],
  ['an outage of 16,777,216 packets in no time', [10, 11 + 2 ** 24], 2 ** 24, 0],
  ['the wrap of 32 bits', [0xfffffffe, 0xffffffff, 0, 2], 1, 0],
  ['one that comes after all', [10, 12, 11], 1, 1],
  ['duplicates, where nothing is outstanding', [10, 11, 12, 10, 11, 13], 0, 0],
  ['a sender that starts again', [100_000, 100_001, 0, 1, 3], 1, 0],
  ['a sender that starts again late in a lane', [200_000_000, 200_000_001, 0, 1, 3], 1, 0],
  ['gaps in several lanes', [lane(0, 1), lane(1, 100), lane(0, 3), lane(1, 105), lane(15, 7), lane(15, 9)], 6, 0],
  [
    'lanes in any order',
    [lane(3, 50), lane(0, 10), lane(3, 51), lane(15, 7), lane(0, 11), lane(15, 8), lane(15, 9), lane(3, 52)],
    0,
    0,
  ],
  [
    'outages of 65,537 and of 70,000 in two lanes',
    [lane(2, 5), lane(9, 5), lane(9, 65_543), lane(2, 70_006)],
    135_537,
    0,
  ],
  ['the wrap of a lane', [lane(2, LAST_IN_LANE - 1), lane(2, LAST_IN_LANE), lane(3, 0), lane(2, 0), lane(2, 2)], 1, 0],
  [
    'one that comes late, after others of its lane and of another',
    [lane(1, 4), lane(1, 6), lane(2, 0), lane(1, 5)],
    1,
    1,
  ],
  [
    'a duplicate, where only another lane lacks a number',
    [lane(1, 4), lane(1, 6), ...[5, 6, 7, 5].map((n) => lane(2, n))],
    1,
    0,
  ],
  [
    'a sender that starts again in all lanes',
    [lane(0, 9_000), lane(4, 8_000), lane(4, 0), lane(0, 0), lane(4, 1)],
    0,
    0,
  ],
  ['a sender that begins to use lanes', [1000, 1001, lane(1, 0), 1002, lane(1, 1), lane(1, 3)], 1, 0],
  [
    'a sender that ends to use lanes',
    [lane(1, 5), lane(0, 9), lane(1, 6), ...[10, 11, 13].map((n) => lane(0, n))],
    1,
    0,
  ],
  ['32 bits of an earlier sender', [lane(0, LAST_IN_LANE - 1), lane(0, LAST_IN_LANE), lane(1, 0), lane(1, 2)], 1, 0],
];
for (const [what, sequences, missing, late] of RUNS) {
  test(`sequence numbers tell what is missing: ${what}`, async () => {
    const count = await terminate();
    const inner = frames.get('ipv4-udp')!;
    for (const packet of scapy({ erspan: sequences.map((sequence) => request(inner, { sequence })) }).erspan) {
      run(packet);
    }
    const { local } = await count();
    assert.deepEqual([local.missing?.packets, local.late?.packets], [missing, late]);
    assert.equal(local.delivered.packets, sequences.length);
  });
}

/** Makes the last packet of each lane older: by this many ticks of the kernel. */
function age(ticks: number): void {
  const fd = getPinned(join(world.bpffs, 'maps', 'termination_sequences'))!;
  const map = new BpfMap('termination_sequences', fd);
  const { lane_state, sequence_state } = LAYOUT;
  const [key, value] = [Buffer.alloc(4), Buffer.alloc(sequence_state.size)];
  for (let slot = 0; slot < 64; slot++) {
    key.writeUInt32LE(slot);
    map.lookup(key, value);
    for (let at = lane_state.fields.seen; at < value.length; at += lane_state.size) {
      const seen = value.readUInt32LE(at);
      if (seen !== 0) {
        value.writeUInt32LE((seen - ticks) >>> 0 || 1, at);
      }
    }
    map.update(key, value);
  }
  closeFd(fd);
}

/** Ticks after which all numbers of a lane may have passed. */
const LONG = 60_000;

const SILENCES: [what: string, before: number[], after: number[], missing: number][] = [
  ['a sender whose host starts again', [200_000_001], [0, 1, 3], 1],
  ['one that starts again, and whose first copies are lost', [lane(7, 140_000_000)], [lane(7, 60_000)], 0],
  ['an outage of 100 million copies', [lane(3, 5)], [lane(3, 100_000_006)], 100_000_000],
  ['an outage over the end of a lane', [lane(3, LAST_IN_LANE)], [lane(3, 65_536)], 65_536],
  ['a short outage over the end of a lane', [lane(3, LAST_IN_LANE - 1)], [lane(3, 9)], 10],
];
for (const [what, sequences, later, missing] of SILENCES) {
  test(`sequence numbers tell what is missing after a long silence: ${what}`, async () => {
    const count = await terminate();
    const inner = frames.get('ipv4-udp')!;
    const send = (numbers: number[]) => {
      for (const packet of scapy({ erspan: numbers.map((sequence) => request(inner, { sequence })) }).erspan) {
        run(packet);
      }
    };
    send(sequences);
    age(LONG);
    send(later);
    const { local } = await count();
    assert.deepEqual([local.missing?.packets, local.late?.packets], [missing, 0]);
  });
}

test('an outage that is longer than its time allows is a sender that has started again', async () => {
  const count = await terminate();
  const inner = frames.get('ipv4-udp')!;
  const numbers = [lane(3, 5), lane(3, 100_000_006), lane(3, 100_000_008)];
  for (const packet of scapy({ erspan: numbers.map((sequence) => request(inner, { sequence })) }).erspan) {
    run(packet);
  }
  assert.equal((await count()).local.missing?.packets, 1);
});

test('a packet cut at any length is never delivered', async () => {
  const count = await terminate();
  const [packet] = scapy({ erspan: [request(frames.get('ipv4-udp')!)] }).erspan as [Buffer];
  let malformed = 0;
  for (let length = 0; length < packet.length; length++) {
    const result = program.try(packet.subarray(0, length), { ifindex: world.devices.und.ifindex });
    if (typeof result === 'number') {
      assert.ok(length < 34, `${length} bytes are not taken`);
      continue;
    }
    assert.equal(result.verdict, length < OUTER ? VERDICT.next : VERDICT.shot, `${length} bytes`);
    if (length >= OUTER) {
      malformed++;
    }
  }
  const { local } = await count();
  assert.equal(local.dropped.malformed?.packets, malformed);
  assert.equal(local.delivered.packets, 0);
});

/** A generator of numbers below 2^32, with the same numbers in each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

function ipChecksumIsRight(packet: Buffer): boolean {
  let sum = 0;
  for (let i = 14; i < 34; i += 2) {
    sum += packet.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum === 0xffff;
}

/** Whether a packet must be delivered. Written independently, from the Internet-Drafts. */
function isForUs(packet: Buffer): 'local' | 'edge' | undefined {
  if (packet.length < OUTER + 14) {
    return undefined;
  }
  const mac = world.devices.und.mac.replaceAll(':', '');
  if (packet.toString('hex', 0, 6) !== mac || packet.readUInt16BE(12) !== 0x0800) {
    return undefined;
  }
  if (packet[14] !== 0x45 || packet[23] !== 47 || !ipChecksumIsRight(packet)) {
    return undefined;
  }
  const length = packet.readUInt16BE(16);
  if (length + 14 > packet.length || length < OUTER) {
    return undefined;
  }
  if (packet.readUInt16BE(20) & 0x3fff) {
    return undefined; // the highest bits: reserved, do not fragment
  }
  if (packet.readUInt32BE(26) !== 0x0a620002 || packet.readUInt32BE(30) !== 0x0a620001) {
    return undefined;
  }
  if ((packet.readUInt32BE(46) >>> 11) & 0x1ff) {
    return undefined; // another generation
  }
  if (packet.readUInt32BE(46) >>> 31) {
    return undefined; // a probe, and no test expects it
  }
  if (packet.readUInt32BE(34) !== 0x100088be || packet[42]! >> 4 !== 1) {
    return undefined;
  }
  const session = packet.readUInt16BE(44) & 0x3ff;
  return session === SESSION ? 'local' : session === EDGE_SESSION ? 'edge' : undefined;
}

/** Number of tried packets. `make fuzz` sets a million. */
const MUTATED = Number(process.env.FUZZ_PACKETS ?? 20_000);

test(`${MUTATED} mutated packets: exactly those of a known sender and session are delivered`, async () => {
  const count = await terminate();
  const random = seeded(20_260_101);
  const inner = ['ipv4-udp', 'arp-request', 'qinq-ipv4', 'unknown-tiny', 'ipv4-broken'].map(
    (name) => frames.get(name)!,
  );
  const bases = scapy({
    erspan: inner.flatMap((frame) => [request(frame), request(frame, { session: EDGE_SESSION })]),
  }).erspan;
  let delivered = 0;
  let refused = 0; // by BPF_PROG_RUN: turned into IPv6 that is too short
  for (let i = 0; i < MUTATED; i++) {
    let packet = Buffer.from(bases[random() % bases.length]!);
    for (let changes = random() % 3; changes > 0; changes--) {
      // Mostly in the headers, because only they are checked.
      const at = random() % (random() % 4 ? Math.min(64, packet.length) : packet.length);
      if (random() % 2) {
        packet[at]! ^= 1 << (random() % 8);
      } else {
        packet[at] = random() & 0xff;
      }
    }
    if (random() % 3 === 0) {
      fixChecksum(packet);
    }
    if (random() % 8 === 0) {
      packet = packet.subarray(0, 34 + (random() % (packet.length - 34)));
    }
    if (random() % 16 === 0) {
      packet = Buffer.concat([packet, Buffer.alloc(1 + (random() % 20), random() & 0xff)]);
    }
    const result = program.try(packet, { ifindex: world.devices.und.ifindex });
    if (typeof result === 'number') {
      refused++;
      continue;
    }
    const target = isForUs(packet);
    const what = `packet ${i}: ${packet.toString('hex')}`;
    if (!target) {
      assert.ok(result.verdict === VERDICT.next || result.verdict === VERDICT.shot, what);
      if (result.verdict === VERDICT.next) {
        assert.ok(result.packet.equals(packet), what);
      }
      continue;
    }
    delivered++;
    const expected = packet.subarray(OUTER, 14 + packet.readUInt16BE(16));
    assert.equal(result.verdict, VERDICT.shot, what);
    // The tag that an edge pushes is metadata, which BPF_PROG_RUN does not show.
    if (!isTagged(expected) || target === 'local') {
      assert.equal(result.packet.toString('hex'), expected.toString('hex'), what);
    }
  }
  assert.ok(delivered > MUTATED / 10, `${delivered} delivered`);
  assert.ok(refused < MUTATED / 200, `${refused} refused`);
  const { local, edge } = await count();
  assert.equal(local.delivered.packets + edge.delivered.packets, delivered);
});

function isTagged(frame: Buffer): boolean {
  return [0x8100, 0x88a8].includes(frame.readUInt16BE(12));
}

function fixChecksum(packet: Buffer): void {
  packet.writeUInt16BE(0, 24);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) {
    sum += packet.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  packet.writeUInt16BE(~sum & 0xffff, 24);
}
