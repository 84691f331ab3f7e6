/** Copies in ERSPAN, read by Scapy and tshark. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { type Sniffer, sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  difference,
  erspanOver,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  SOURCE_SLOT,
  stateOf,
  useWorld,
} from './support/world.ts';

/** Ethernet, IPv4, GRE with sequence, ERSPAN II. */
const OUTER = 14 + 20 + 8 + 8;

const world = await useWorld({ underlayMtu: 1600 });
let frames: Map<string, Buffer>;

before(() => {
  frames = scapy({ frames: true }).frames;
  frames.delete('stp'); // kept back by the bridge; sent from the node itself below
});

const apply = (more = {}, delivery = {}) =>
  world.datapath.apply(
    stateOf({
      captures: capturesOf(world.devices.vm.ifindex, 'E', more),
      deliveries: [erspanOver(world, { mtu: 1600, ...delivery })],
    }),
  );

const FIELDS = {
  destinationMac: 'eth.dst',
  sourceMac: 'eth.src',
  type: 'eth.type',
  version: 'ip.version',
  source: 'ip.src',
  address: 'ip.dst',
  dontFragment: 'ip.flags.df',
  moreFragments: 'ip.flags.mf',
  offset: 'ip.frag_offset',
  ttl: 'ip.ttl',
  length: 'ip.len',
  checksum: 'ip.checksum.status',
  flags: 'gre.flags_and_version',
  protocol: 'gre.proto',
  sequence: 'gre.sequence_number',
  erspan: 'erspan.version',
  vlan: 'erspan.vlan',
  cos: 'erspan.cos',
  encap: 'erspan.encap',
  truncated: 'erspan.truncated',
  session: 'erspan.spanid',
  index: 'erspan.index',
} as const;
type Decoded = Record<keyof typeof FIELDS, string>;

/** What tshark makes of the outer headers, ordered by sequence number. */
function decode(sniffer: Sniffer): Decoded[] {
  const rows = sniffer.decode(Object.values(FIELDS), 'first', ['-o', 'ip.check_checksum:TRUE']);
  const names = Object.keys(FIELDS) as (keyof Decoded)[];
  return rows
    .map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]!])) as Decoded)
    .sort((a, b) => Number(a.sequence) - Number(b.sequence));
}

const sequenceOf = (outer: Buffer) => outer.readUInt32BE(14 + 20 + 4);
const bySequence = (outers: Buffer[]) => [...outers].sort((a, b) => sequenceOf(a) - sequenceOf(b));

/** VLAN ID, class of service and En that the outermost tag of a frame gives. */
function tagOf(frame: Buffer) {
  const tagged = [0x8100, 0x88a8].includes(frame.readUInt16BE(12));
  const tci = tagged ? frame.readUInt16BE(14) : 0;
  return { vlan: String(tci & 0xfff), cos: String(tci >> 13), encap: tagged ? '3' : '0' };
}

for (const [direction, from, to] of [
  ['outbound', 'guest', 'farp'],
  ['inbound', 'far', 'vmp'],
  ['inbound', 'host', 'vmp'],
] as const) {
  test(`wraps every kind of ${direction} frame from the ${from} into ERSPAN II, and leaves the original as it is`, async () => {
    await world.datapath.apply(stateOf({}));
    await apply({ source: `${from}-${direction}` });
    const sent = [...frames.values()];
    const start = countsOf(await world.datapath.counters(), direction, `${from}-${direction}`);
    const firstSent = (await world.datapath.counters()).deliveries.find(({ delivery }) => delivery === 'E')!.sent;
    await sniffing([to, 'undp', 'byp'], async ([originals, outer, bystander]) => {
      for (const frame of sent) {
        world[from].send(frame);
      }
      assertSameFrames(await originals.expect(sent.length), sent, 'originals');
      const outers = bySequence(await outer.expect(sent.length));
      assertSameFrames(
        outers.map((packet) => packet.subarray(OUTER)),
        sent,
        'inner frames',
      );
      const decoded = decode(outer);
      decoded.forEach((fields, i) => {
        const inner = outers[i]!.subarray(OUTER);
        const index = (SOURCE_SLOT << 1) | (direction === 'outbound' ? 1 : 0);
        const { checksum, dontFragment, moreFragments, truncated, ...rest } = fields;
        assert.deepEqual(
          { ...rest, erspan: Number(rest.erspan), protocol: Number(rest.protocol), flags: Number(rest.flags) },
          {
            ...world.nextHop,
            type: '0x0800',
            version: '4',
            source: OWN_ADDRESS,
            address: OTHER_ADDRESS,
            offset: '0',
            ttl: '255',
            length: String(inner.length + OUTER - 14),
            flags: 0x1000,
            protocol: 0x88be,
            sequence: String(sequenceOf(outers[0]!) + i),
            erspan: 1,
            ...tagOf(inner),
            session: String(SESSION),
            index: String(index),
          },
        );
        assert.deepEqual([checksum, dontFragment, moreFragments, truncated].map(truth), ['1', '1', '0', '0']);
        assert.ok(Number(fields.length) <= 1600);
      });
      assert.deepEqual(bystander.frames(), []);
      const report = await world.datapath.counters();
      const change = difference(start, countsOf(report, direction, `${from}-${direction}`));
      assert.deepEqual(change.matched, countOf(sent));
      assert.deepEqual(change.copied, countOf(sent));
      const lastSent = report.deliveries.find(({ delivery }) => delivery === 'E')!.sent;
      assert.deepEqual(
        { packets: lastSent.packets - firstSent.packets, bytes: lastSent.bytes - firstSent.bytes },
        countOf(outers),
      );
      assertSumsClose(report);
    });
  });
}

/** tshark writes booleans as 0 and 1, or as False and True, depending on its version. */
function truth(text: string): string {
  return text === 'True' ? '1' : text === 'False' ? '0' : text;
}

test('sends byte for byte what Scapy builds from the same fields, with sequence numbers from 0', async () => {
  await world.datapath.apply(stateOf({}));
  const captures = capturesOf(world.devices.vm.ifindex, 'golden', { source: 'golden', sourceSlot: 1023 });
  await world.datapath.apply(
    stateOf({ captures, deliveries: [erspanOver(world, { id: 'golden', mtu: 1600, session: 1023 })] }),
  );
  const sent = ['ipv4-udp', 'ipv6-udp', 'arp-request', 'lldp', 'vlan-ipv4', 'qinq-arp', 'mpls'].map(
    (name) => frames.get(name)!,
  );
  const expected = scapy({
    erspan: sent.map((inner, sequence) => {
      const { vlan, cos, encap } = tagOf(inner);
      return {
        ...{ inner, sequence, session: 1023, index: (1023 << 1) | 1, source: OWN_ADDRESS, address: OTHER_ADDRESS },
        ...{ ...world.nextHop, vlan: Number(vlan), cos: Number(cos), en: Number(encap) },
      };
    }),
  }).erspan;
  await sniffing(['undp'], async ([outer]) => {
    for (const frame of sent) {
      world.guest.send(frame);
    }
    assertSameFrames(await outer.expect(sent.length), expected, 'outer packets');
  });
});

test('truncates what does not fit, sets T, counts it, and never fragments', async () => {
  await apply({}, { mtu: 1500 });
  const fits = 1500 - (OUTER - 14); // bytes of an inner frame, tags included
  const sent = [
    'ipv4-udp-full',
    'ipv6-udp-full',
    'mpls-full',
    'unknown-full',
    'vlan-full',
    'arp-request',
    'ipv4-udp',
  ].map((name) => frames.get(name)!);
  const brim = Buffer.concat([frames.get('unknown')!, Buffer.alloc(fits)]).subarray(0, fits);
  const over = Buffer.concat([brim, Buffer.from([1])]);
  sent.push(brim, over);
  const start = countsOf(await world.datapath.counters(), 'outbound');
  await sniffing(['undp', 'farp'], async ([outer, originals]) => {
    for (const frame of sent) {
      world.guest.send(frame);
    }
    assertSameFrames(await originals.expect(sent.length), sent, 'originals');
    const outers = bySequence(await outer.expect(sent.length));
    assertSameFrames(
      outers.map((packet) => packet.subarray(OUTER)),
      sent.map((frame) => frame.subarray(0, fits)),
      'inner frames',
    );
    decode(outer).forEach((fields, i) => {
      const cut = sent[i]!.length > fits;
      assert.equal(truth(fields.truncated), cut ? '1' : '0');
      assert.ok(Number(fields.length) <= 1500);
      assert.equal(truth(fields.dontFragment), '1');
    });
  });
  const report = await world.datapath.counters();
  const cut = sent.filter((frame) => frame.length > fits);
  assert.equal(cut.length, 6);
  const change = difference(start, countsOf(report, 'outbound'));
  assert.deepEqual(change.truncated, countOf(cut));
  assert.deepEqual(change.copied, countOf(sent));
  assertSumsClose(report);
});

test('drops a frame of three VLAN tags as vlanUnsupported', async () => {
  await apply();
  const tagged = frames.get('qinq-ipv4')!;
  const frame = Buffer.concat([tagged.subarray(0, 12), Buffer.from('88a80123', 'hex'), tagged.subarray(12)]);
  const start = countsOf(await world.datapath.counters(), 'outbound').dropped.vlanUnsupported?.packets ?? 0;
  await sniffing(['farp', 'undp'], async ([originals, outer]) => {
    world.guest.send(frame);
    assertSameFrames(await originals.expect(1), [frame], 'originals');
    assert.deepEqual(outer.frames(), []);
  });
  const report = await world.datapath.counters();
  assert.equal(countsOf(report, 'outbound').dropped.vlanUnsupported!.packets - start, 1);
  assertSumsClose(report);
});

test('keeps copies of every kind until the next hop has answered, and follows its address from then on', async () => {
  const captures = capturesOf(world.devices.vm.ifindex, 'E', { source: 'unresolved' });
  await world.datapath.apply(stateOf({ captures, deliveries: [erspanOver(world, { mtu: 1600 })] }));
  const sent = [...frames.values()];
  const send = () => {
    for (const frame of sent) {
      world.guest.send(frame);
    }
  };
  const known = world.nextHop.destinationMac;
  const other = '02:00:00:00:00:98';
  run('ip', 'neigh', 'del', OTHER_ADDRESS, 'dev', 'und');
  try {
    await sniffing(['undp'], async ([outer]) => {
      send();
      const [question] = await outer.expect(1);
      assert.equal(question!.readUInt16BE(12), 0x0806, 'an ARP request');
      assert.deepEqual(copiesTo(outer, ''), []);
      answer(known);
      await until('copies that were kept', () => copiesTo(outer, known).length >= sent.length);
      answer(other);
      send();
      await until('copies to the other address', () => copiesTo(outer, other).length >= sent.length);
      assertSameFrames(copiesTo(outer, known), sent, 'copies that were kept');
      assertSameFrames(copiesTo(outer, other), sent, 'copies to the other address');
      assertSameFrames(copiesTo(outer, ''), [...sent, ...sent], 'all copies');
    });
  } finally {
    answer(known);
  }
  const report = await world.datapath.counters();
  const counts = countsOf(report, 'outbound', 'unresolved');
  assert.deepEqual([counts.dropped, counts.copied.packets], [{}, 2 * sent.length]);
  assertSumsClose(report);
});

/** The other end of the underlay has this link-layer address. */
function answer(mac: string): void {
  run('ip', 'neigh', 'replace', OTHER_ADDRESS, 'lladdr', mac, 'dev', 'und', 'nud', 'permanent');
}

/** What is inside of the ERSPAN to an Ethernet address; to any where it is empty. */
function copiesTo(outer: Sniffer, mac: string): Buffer[] {
  return outer
    .frames()
    .filter((packet) => packet.readUInt16BE(12) === 0x0800 && packet[23] === 47)
    .filter((packet) => packet.toString('hex', 0, 6).startsWith(mac.replaceAll(':', '')))
    .map((packet) => packet.subarray(OUTER));
}

test('drops as destinationDown while the underlay device is known to be gone', async () => {
  const captures = capturesOf(world.devices.vm.ifindex, 'E', { source: 'gone' });
  await world.datapath.apply(stateOf({ captures, deliveries: [erspanOver(world, { ifindex: 0 })] }));
  world.guest.send(frames.get('ipv4-udp')!);
  const report = await world.datapath.counters();
  const counts = countsOf(report, 'outbound', 'gone');
  assert.deepEqual(counts.dropped, { destinationDown: countOf([frames.get('ipv4-udp')!]) });
  assertSumsClose(report);
});

test('drops as destinationDown when the underlay device vanishes before anybody says so', async () => {
  run('ip', 'link', 'add', 'late', 'type', 'veth', 'peer', 'name', 'latep');
  run('ip', 'link', 'set', 'late', 'up');
  const ifindex = (JSON.parse(run('ip', '-json', 'link', 'show', 'late')) as { ifindex: number }[])[0]!.ifindex;
  const captures = capturesOf(world.devices.vm.ifindex, 'E', { source: 'late' });
  await world.datapath.apply(stateOf({ captures, deliveries: [erspanOver(world, { ifindex })] }));
  run('ip', 'link', 'del', 'late');
  for (const name of ['ipv4-udp', 'arp-request']) {
    world.guest.send(frames.get(name)!);
  }
  const report = await world.datapath.counters();
  const counts = countsOf(report, 'outbound', 'late');
  assert.equal(counts.dropped.destinationDown?.packets, 2, JSON.stringify(counts));
  assert.equal(counts.copied.packets, 0);
  assertSumsClose(report);
});

test("the mark of an original does not decide on its copy's route", async () => {
  await apply();
  // Another way to the same address, for packets of that mark.
  run('ip', 'neigh', 'replace', '10.98.0.9', 'lladdr', '02:00:00:00:00:99', 'dev', 'und', 'nud', 'permanent');
  run('ip', 'route', 'add', OTHER_ADDRESS, 'via', '10.98.0.9', 'dev', 'und', 'table', '99');
  run('ip', 'rule', 'add', 'fwmark', '0x99', 'table', '99');
  world.host.mark(0x99);
  try {
    await sniffing(['undp'], async ([outer]) => {
      world.host.send(frames.get('ipv4-udp')!);
      const [packet] = await outer.expect(1);
      assert.equal(packet!.toString('hex', 0, 6), world.nextHop.destinationMac.replaceAll(':', ''));
    });
  } finally {
    world.host.mark(0);
    run('ip', 'rule', 'del', 'fwmark', '0x99', 'table', '99');
  }
});
