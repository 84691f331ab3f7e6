/** Incoming ERSPAN: delivered, passed on untouched, or refused. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { TerminationReport } from '@mirrorplane/contract';
import type { DeliveryEntry } from '../../src/datapath/datapath.ts';
import { run, segmentInSoftware } from './support/namespace.ts';
import type { SuperPacket } from './support/raw-socket.ts';
import { type ErspanRequest, scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  edgeTo,
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
let frames: Map<string, Buffer>;
let runs = 0;
let superPackets: Map<string, Buffer>;

const PAYLOAD = Buffer.from(Array.from({ length: 30_000 }, (_, i) => (i * 13 + (i >> 8)) & 0xff));
/** Name, segmentation, IPv6, VLAN ID. */
const SUPER: [string, SuperPacket, boolean, number | undefined][] = [
  ['IPv4', { kind: 'tcp4', segment: 1448, transport: 34 }, false, undefined],
  ['IPv6', { kind: 'tcp6', segment: 1428, transport: 54 }, true, undefined],
  ['VLAN-tagged', { kind: 'tcp4', segment: 1448, transport: 38 }, false, 77],
];

before(() => {
  const tcp = SUPER.map(([, , six, vlan]) => ({ payload: PAYLOAD, six, ...(vlan !== undefined && { vlan }) }));
  const built = scapy({ frames: true, tcp });
  frames = built.frames;
  superPackets = new Map(SUPER.map(([name], i) => [name, built.tcp[i]!]));
  segmentInSoftware('dst', 'far', 'vm');
});

/** A packet of the other node to this one, as Scapy builds it. */
function request(inner: Buffer, more: Partial<ErspanRequest> = {}): ErspanRequest {
  const { sourceMac, destinationMac } = world.nextHop; // as this node sees them
  return {
    ...{ inner, source: OTHER_ADDRESS, address: OWN_ADDRESS, session: SESSION },
    ...{ sourceMac: destinationMac, destinationMac: sourceMac, ...more },
  };
}

/**
 * Terminates at the underlay device under a new id, so that counters begin at 0. Returns the id.
 */
async function terminate(delivery: DeliveryEntry): Promise<string> {
  const id = `T-${++runs}`;
  await world.datapath.apply(
    stateOf({
      deliveries: [delivery],
      terminations: [erspanFrom(delivery.id, { id })],
      mirrorDevice: world.devices.und.ifindex,
    }),
  );
  return id;
}

async function reportOf(id: string): Promise<TerminationReport> {
  const report = await world.datapath.counters();
  assertSumsClose(report);
  return report.terminations.find(({ termination }) => termination === id)!;
}

const withTag = (frame: Buffer, tag: string) =>
  Buffer.concat([frame.subarray(0, 12), Buffer.from(tag, 'hex'), frame.subarray(12)]);

test('delivers every kind of frame from ERSPAN to one local device only, unchanged', async () => {
  const inner = [...frames.values()];
  const packets = scapy({ erspan: inner.map((frame, sequence) => request(frame, { sequence })) }).erspan;
  const id = await terminate(localTo(world.devices.dst.ifindex));
  await sniffing(['dstp', 'byp', 'farp'], async ([copies, bystander, other]) => {
    for (const packet of packets) {
      world.wire.send(packet);
    }
    assertSameFrames(await copies.expect(inner.length), inner, 'copies');
    assert.deepEqual([bystander.frames(), other.frames()], [[], []]);
  });
  const { received, delivered, dropped } = await reportOf(id);
  assert.deepEqual([received, delivered, dropped], [countOf(inner), countOf(inner), {}]);
});

test('delivers out of an edge device with the VLAN tag pushed, over a tag that is there already', async () => {
  const inner = [...frames.values()].filter(({ length }) => length <= 1514);
  const packets = scapy({ erspan: inner.map((frame) => request(frame)) }).erspan;
  const id = await terminate(edgeTo(world.devices.dst.ifindex, { vlanId: 3210 }));
  await sniffing(['dstp', 'byp'], async ([copies, bystander]) => {
    for (const packet of packets) {
      world.wire.send(packet);
    }
    const tagged = inner.map((frame) => withTag(frame, '81000c8a'));
    assertSameFrames(await copies.expect(inner.length), tagged, 'copies');
    assert.deepEqual(bystander.frames(), []);
  });
  assert.deepEqual((await reportOf(id)).delivered, countOf(inner));
});

test('leaves ERSPAN of an unknown sender to the node, and counts it', async () => {
  const inner = frames.get('ipv4-udp')!;
  const known = Buffer.concat([inner, Buffer.from('last')]);
  const packets = scapy({
    erspan: [
      request(inner, { source: '10.98.0.3' }),
      request(inner, { type: 1 }),
      request(inner, { type: 3 }),
      request(known),
    ],
  }).erspan;
  const id = await terminate(localTo(world.devices.dst.ifindex));
  const before = (await world.datapath.counters()).unknownErspan;
  await sniffing(['dstp'], async ([copies]) => {
    for (const packet of packets) {
      world.wire.send(packet);
    }
    assertSameFrames(await copies.expect(1), [known], 'copies');
  });
  assert.equal((await world.datapath.counters()).unknownErspan - before, 1);
  assert.equal((await reportOf(id)).received.packets, 1);
});

/** Copies of the other node that this node refuses. */
async function refused() {
  const { peers } = await world.datapath.counters();
  const { staleSession = 0, wrongAddress = 0 } = peers.find(({ address }) => address === OTHER_ADDRESS) ?? {};
  return { staleSession, wrongAddress };
}

test('a copy with the number of another policy is not delivered, and the stack does not quote it', async () => {
  const inner = frames.get('ipv4-udp')!;
  const own = Buffer.concat([inner, Buffer.from('own')]);
  const [stale, other, unknown, mine] = scapy({
    erspan: [
      request(inner, { index: 1 << 11 }),
      request(inner, { session: SESSION + 1 }),
      request(inner, { source: '10.98.0.9' }),
      request(own),
    ],
  }).erspan as [Buffer, Buffer, Buffer, Buffer];
  run('ip', 'neighbour', 'add', '10.98.0.9', 'lladdr', '02:00:00:00:98:09', 'dev', 'und', 'nud', 'permanent');
  await terminate(localTo(world.devices.dst.ifindex));
  const before = await refused();
  await sniffing(['dstp', 'undp'], async ([copies, wire]) => {
    for (const packet of [stale, other, unknown, mine]) {
      world.wire.send(packet);
    }
    assertSameFrames(await copies.expect(1), [own], 'copies');
    // The stack answers the unknown sender, so it would have answered the two packets before. ICMP
    // type 3, code 2.
    const answers = () => wire.frames().filter((frame) => frame[23] === 1 && frame.readUInt16BE(34) === 0x0302);
    await until('the answer to the stranger', () => answers().length > 0);
    assert.deepEqual(
      answers().map((frame) => frame.subarray(30, 34).join('.')),
      ['10.98.0.9'],
    );
  });
  assert.deepEqual(await refused(), { ...before, staleSession: before.staleSession + 2 });
});

test('a copy for another address of this node is not delivered here, and a copy for another host is forwarded', async () => {
  const inner = frames.get('ipv4-udp')!;
  run('ip', 'address', 'add', '10.98.77.1/32', 'dev', 'und');
  run('ip', 'route', 'add', '10.97.0.5/32', 'dev', 'far');
  run('ip', 'neighbour', 'add', '10.97.0.5', 'lladdr', '02:00:00:00:97:05', 'dev', 'far', 'nud', 'permanent');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const [here, there] = scapy({
    erspan: [request(inner, { address: '10.98.77.1' }), request(inner, { address: '10.97.0.5' })],
  }).erspan as [Buffer, Buffer];
  await terminate(localTo(world.devices.dst.ifindex));
  const before = await refused();
  await sniffing(['dstp', 'farp'], async ([copies, onward]) => {
    for (const packet of [here, there]) {
      world.wire.send(packet);
    }
    const [passed] = await onward.expect(1);
    // Unchanged except for link-layer addresses, time to live and the IP checksum.
    assert.equal(passed!.subarray(26).toString('hex'), there.subarray(26).toString('hex'));
    assert.equal(passed![22], there[22]! - 1);
    assert.deepEqual(copies.frames(), []);
  });
  assert.deepEqual(await refused(), { ...before, wrongAddress: before.wrongAddress + 1 });
  run('ip', 'address', 'del', '10.98.77.1/32', 'dev', 'und');
  run('ip', 'route', 'del', '10.97.0.5/32', 'dev', 'far');
});

test('does not touch packets other than ERSPAN: the node answers ARP on its mirror device', async () => {
  await terminate(localTo(world.devices.dst.ifindex));
  const request = Buffer.from(frames.get('arp-request')!);
  Buffer.from([10, 98, 0, 2]).copy(request, 28);
  Buffer.from([10, 98, 0, 1]).copy(request, 38);
  await sniffing(['undp', 'dstp'], async ([wire, copies]) => {
    world.wire.send(request);
    const [answer] = await wire.expect(1);
    assert.equal(answer!.readUInt16BE(20), 2);
    assert.deepEqual(copies.frames(), []);
  });
});

test('a packet with a wrong IP length is malformed, or its padding is removed', async () => {
  const inner = frames.get('ipv4-udp')!;
  const outer = scapy({ erspan: [request(inner), request(inner, { len: 40 + 36 })] }).erspan;
  const [whole, short] = outer as [Buffer, Buffer];
  const cut = whole.subarray(0, whole.length - 10);
  const id = await terminate(localTo(world.devices.dst.ifindex));
  await sniffing(['dstp'], async ([copies]) => {
    world.wire.send(cut);
    world.wire.send(short);
    world.wire.send(Buffer.concat([whole, Buffer.from('padding')]));
    const seen = await copies.expect(2);
    assertSameFrames(seen, [inner.subarray(0, 40), inner], 'copies');
  });
  const { received, dropped } = await reportOf(id);
  assert.equal(received.packets, 3);
  assert.equal(dropped.malformed?.packets, 1);
});

test('a packet with a wrong IP checksum is malformed', async () => {
  const [packet] = scapy({ erspan: [request(frames.get('ipv4-udp')!, { chksum: 0x1234 })] }).erspan;
  const id = await terminate(localTo(world.devices.dst.ifindex));
  world.wire.send(packet!);
  const { received, dropped } = await reportOf(id);
  assert.equal(received.packets, 1);
  assert.equal(dropped.malformed?.packets, 1);
});

test('a priority tag on the outer frame is no part of the copy, and another VLAN is not for this device', async () => {
  const inner = frames.get('ipv4-udp')!;
  const other = frames.get('ipv6-udp')!;
  const [first, second] = scapy({ erspan: [request(inner), request(other)] }).erspan as [Buffer, Buffer];
  const id = await terminate(localTo(world.devices.dst.ifindex));
  await sniffing(['dstp'], async ([copies]) => {
    world.wire.send(withTag(second, '81000064'));
    world.wire.send(withTag(first, '8100e000'));
    assertSameFrames(await copies.expect(1), [inner], 'copies');
  });
  assert.equal((await reportOf(id)).received.packets, 1);
});

test('drops copies that the destination does not take, and copies without a device', async () => {
  const inner = frames.get('ipv4-udp-full')!;
  const [packet] = scapy({ erspan: [request(inner)] }).erspan;
  for (const [delivery, reason] of [
    [localTo(world.devices.dst.ifindex, { mtu: 1400 }), 'tooBigForDestination'],
    [edgeTo(world.devices.dst.ifindex, { mtu: 1400 }), 'tooBigForDestination'],
    [localTo(0), 'destinationDown'],
    [localTo(99_999), 'destinationDown'],
  ] as const) {
    const id = await terminate(delivery);
    world.wire.send(packet!);
    assert.deepEqual((await reportOf(id)).dropped, { [reason]: countOf([inner]) });
  }
});

test('a delivered copy is not copied again where the destination is a source itself', async () => {
  const inner = frames.get('ipv4-udp')!;
  const [packet] = scapy({ erspan: [request(inner)] }).erspan;
  const { dst, by, und } = world.devices;
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(dst.ifindex, 'B', { policy: 'q', source: 'dst' }),
      deliveries: [localTo(dst.ifindex), localTo(by.ifindex, { id: 'B' })],
      terminations: [erspanFrom('L', { id: 'guard' })],
      mirrorDevice: und.ifindex,
    }),
  );
  await sniffing(['dstp', 'byp'], async ([copies, again]) => {
    world.wire.send(packet!);
    assertSameFrames(await copies.expect(1), [inner], 'copies');
    assert.deepEqual(again.frames(), []);
  });
  const counts = countsOf(await world.datapath.counters(), 'inbound', 'dst');
  assert.deepEqual(counts.skipped, { isCopy: countOf([inner]) });
  assert.equal(counts.matched.packets, 0);
});

/** This node sends ERSPAN out of `und`, and terminates it itself where it arrives, at `undp`. */
async function loop(delivery: DeliveryEntry, mtu: number): Promise<string> {
  const id = `loop-${++runs}`;
  await world.datapath.apply(stateOf({}));
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(world.devices.vm.ifindex, `E-${id}`, { source: id }),
      deliveries: [erspanOver(world, { id: `E-${id}`, mtu }), delivery],
      terminations: [erspanFrom(delivery.id, { id, node: 'self', address: OWN_ADDRESS, ownAddress: OTHER_ADDRESS })],
      mirrorDevice: JSON.parse(run('ip', '-json', 'link', 'show', 'undp'))[0].ifindex,
    }),
  );
  return id;
}

test('every kind of frame goes through encapsulation and termination unchanged', async () => {
  const id = await loop(localTo(world.devices.dst.ifindex), 1600);
  const sent = [...frames.values()];
  await sniffing(['dstp', 'byp'], async ([copies, bystander]) => {
    for (const frame of sent) {
      world.guest.send(frame);
    }
    assertSameFrames(await copies.expect(sent.length), sent, 'copies');
    assert.deepEqual(bystander.frames(), []);
  });
  const { received, delivered, dropped } = await reportOf(id);
  assert.deepEqual([received, delivered, dropped], [countOf(sent), countOf(sent), {}]);
});

for (const mtu of [1500, 1600]) {
  for (const [name, gso, six, vlan] of SUPER) {
    for (const kind of ['local', 'edge'] as const) {
      test(`${name}: a super-packet that crosses a virtual underlay of MTU ${mtu} whole is delivered (${kind}) as segments or counted as lost`, async () => {
        const packet = superPackets.get(name)!;
        const { ifindex } = world.devices.dst;
        const id = await loop(kind === 'local' ? localTo(ifindex) : edgeTo(ifindex), mtu);
        await sniffing(['dstp', 'farp'], async ([copies, originals]) => {
          world.guest.send(packet, gso);
          const segments = await originals.expect(Math.ceil(PAYLOAD.length / gso.segment));
          const { received, delivered, dropped } = await reportOf(id);
          if (vlan !== undefined) {
            // The kernel cannot segment a tagged packet that came out of a tunnel: lost, but not in
            // silence.
            assert.equal(dropped.decapFailed?.packets, received.packets);
            return;
          }
          const seen = await copies.expect(delivered.packets);
          const inner =
            kind === 'local' ? seen : seen.map((frame) => Buffer.concat([frame.subarray(0, 12), frame.subarray(16)]));
          assert.deepEqual([received, delivered], [countOf(inner), countOf(inner)]);
          if (mtu === 1600) {
            assertSameFrames(inner, segments, 'segments');
          } else {
            assert.ok(inner.every(({ length }) => length <= 1514 - 50));
          }
          const status = copies.decode(['ip.checksum.status', 'tcp.checksum.status', 'tcp.len'], 'last', [
            ...['-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE'],
          ]);
          for (const [ip, tcp] of status) {
            assert.deepEqual([ip, tcp], [six ? '' : '1', '1']);
          }
          assert.equal(
            status.reduce((sum, row) => sum + Number(row[2]), 0),
            PAYLOAD.length,
          );
        });
      });
    }
  }
}

test('a super-packet is dropped as tooBigForDestination if its segments are too large for the destination', async () => {
  const [packet] = scapy({ tcp: [{ payload: Buffer.alloc(10_000, 1) }] }).tcp as [Buffer];
  const id = await loop(localTo(world.devices.dst.ifindex, { mtu: 1400 }), 1600);
  await sniffing(['farp'], async ([originals]) => {
    world.guest.send(packet, { kind: 'tcp4', segment: 1448, transport: 34 });
    const segments = await originals.expect(7);
    const { dropped } = await reportOf(id);
    assert.deepEqual(dropped, { tooBigForDestination: countOf(segments) });
  });
});
