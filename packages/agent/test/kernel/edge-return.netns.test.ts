/**
 * Copies that a switch brings back are not copied again, and production frames with the same VLAN
 * ID are mirrored.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DatapathState } from '../../src/datapath/datapath.ts';
import { addVeth, link, run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer, sniffing } from './support/sniffer.ts';
import {
  assertSumsClose,
  capturesOf,
  countsOf,
  edgeTo,
  erspanFrom,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useNetwork,
} from './support/world.ts';

const VLAN = 100;
const OTHERS_VLAN = 200;
const [VM, HOST] = ['020000000e01', '020000000e02'];

let runs = 0;

/**
 * `nic`: a mirrored edge, uplink of the guest's bridge; its copies leave by `rec`. Those of `vm`
 * leave by `out`.
 */
const { datapath, socket } = await useNetwork({
  // Frames of full size come back with a tag.
  devices: { vm: {}, nic: { mtu: 1600 }, out: {}, rec: {} },
  bridge: ['vm', 'nic'],
  sockets: ['vmp', 'nicp', 'outp', 'nic', 'undp'],
});

/**
 * Policy `e` mirrors the edge, policy `x` the guest. Returns the names of the two sources: counters
 * begin at 0.
 */
async function apply(more: Partial<DatapathState> = {}): Promise<{ edge: string; guest: string }> {
  const [edge, guest] = [`edge-${++runs}`, `guest-${runs}`];
  const edgeCaptures = capturesOf(link('nic').ifindex, 'R', { source: edge, policy: 'e', edge: true }).map(
    (capture) => ({
      ...capture,
      hook: capture.direction === 'inbound' ? ('ingress' as const) : ('egress' as const),
    }),
  );
  await datapath.apply(
    stateOf({
      captures: [...edgeCaptures, ...capturesOf(link('vm').ifindex, 'V', { source: guest, policy: 'x' })],
      deliveries: [
        edgeTo(link('rec').ifindex, { id: 'R', policy: 'e', vlanId: 300 }),
        edgeTo(link('out').ifindex, { id: 'V', policy: 'x', vlanId: VLAN }),
      ],
      physicalDevices: ['nic', 'out', 'rec'].map((name) => link(name).ifindex),
      copyVlans: [OTHERS_VLAN],
      ...more,
    }),
  );
  return { edge, guest };
}

function frame(to: string, from: string, number: number): Buffer {
  const numbered = Buffer.alloc(60);
  numbered.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(`${to}${from}88b5`, 'hex'), numbered]);
}

const tagged = (plain: Buffer, vlan = VLAN) => {
  const tag = Buffer.from('81000000', 'hex');
  tag.writeUInt16BE(vlan, 2);
  return Buffer.concat([plain.subarray(0, 12), tag, plain.subarray(12)]);
};

async function counted(source: string, direction: 'inbound' | 'outbound') {
  const report = await datapath.counters();
  assertSumsClose(report);
  const { matched, skipped } = countsOf(report, direction, source);
  return { matched: matched.packets, isCopy: skipped.isCopy?.packets ?? 0 };
}

/** The frames that leave at `out` while `send` runs, as the recorder gets them. */
async function copiesOf(count: number, send: () => void): Promise<Buffer[]> {
  const sniffer = await Sniffer.start('outp');
  try {
    send();
    return await sniffer.expect(count);
  } finally {
    sniffer.close();
  }
}

/** Waits until the edge has counted `count` incoming frames. */
const accounted = (source: string, count: number) =>
  until('all are accounted for', async () => {
    const { matched, isCopy } = await counted(source, 'inbound');
    return matched + isCopy >= count;
  });

test('production frames with the VLAN ID of a policy on another edge are mirrored, in both directions', async () => {
  const { edge } = await apply();
  // Copies with this VLAN ID are under way too.
  const copies = await copiesOf(10, () => {
    for (let i = 0; i < 10; i++) {
      socket('vmp').send(frame(HOST, VM, i));
    }
  });
  assert.deepEqual(copies.length, 10);
  const before = await counted(edge, 'outbound');
  await sniffing(['recp'], async ([mirrored]) => {
    for (let i = 0; i < 50; i++) {
      socket('nicp').send(tagged(frame(VM, HOST, 1000 + i)));
      socket('nic').send(tagged(frame(HOST, VM, 2000 + i)));
    }
    const frames = await mirrored.expect(100);
    const numbers = frames.map((found) => found.readUInt32BE(22)).sort((a, b) => a - b);
    assert.deepEqual(
      numbers,
      [...Array(50).keys()].flatMap((i) => [1000 + i]).concat([...Array(50).keys()].map((i) => 2000 + i)),
    );
  });
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 50, isCopy: 0 });
  assert.deepEqual((await counted(edge, 'outbound')).matched - before.matched, 50);
});

test('copies of every kind of frame that come back are not copied again; the original on its way out is', async () => {
  const { edge } = await apply();
  const built = scapy({ frames: true }).frames;
  built.delete('stp');
  const originals = [...built.values()];
  const copies = await copiesOf(originals.length, () => {
    for (const one of originals) {
      socket('vmp').send(one);
    }
  });
  const before = await counted(edge, 'outbound');
  for (const copy of copies) {
    socket('nicp').send(copy);
  }
  await accounted(edge, copies.length);
  // The same frames, sent by the node itself with that VLAN ID: they do not come from a switch.
  for (const copy of copies) {
    socket('nic').send(copy);
  }
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 0, isCopy: copies.length });
  assert.equal((await counted(edge, 'outbound')).matched - before.matched, copies.length);
});

test('copies come back with checksums that were computed on the way, and as segments of a super-packet', async () => {
  const { edge } = await apply();
  const [big] = scapy({ tcp: [{ payload: Buffer.alloc(10_000, 7) }] }).tcp;
  const udp = scapy({ frames: true }).frames.get('ipv4-udp')!;
  const open = await copiesOf(2, () => {
    socket('vmp').sendUnfinished(udp, 34, 40);
    socket('vmp').send(big!, { kind: 'tcp4', segment: 1400, transport: 34 });
  });
  assert.equal(open.length, 2);
  const headers = big!.length - 10_000;
  const segments = Array.from({ length: Math.ceil(10_000 / 1400) }, (_, i) => {
    const part = Buffer.concat([
      big!.subarray(0, headers),
      big!.subarray(headers + i * 1400, headers + (i + 1) * 1400),
    ]);
    part.writeUInt16BE(part.length - 14, 16);
    part.writeUInt16BE((big!.readUInt16BE(18) + i) & 0xffff, 18);
    part.writeUInt32BE(big!.readUInt32BE(38) + i * 1400, 38);
    return tagged(part);
  });
  const back = [tagged(udp), ...segments];
  for (const one of back) {
    socket('nicp').send(one);
  }
  await accounted(edge, back.length);
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 0, isCopy: back.length });
  // A segment of the same connection that was never sent.
  const next = Buffer.from(segments[0]!);
  next.writeUInt32BE(next.readUInt32BE(42) + 20_000, 42);
  socket('nicp').send(next);
  await accounted(edge, back.length + 1);
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 1, isCopy: back.length });
});

test('copies of another node that leave here are known again too', async () => {
  const { edge } = await apply({
    mirrorDevice: link('und').ifindex,
    terminations: [erspanFrom('V', { policy: 'x' })],
  });
  const [sourceMac, destinationMac] = [link('undp').address, link('und').address];
  const outer = { source: OTHER_ADDRESS, address: OWN_ADDRESS, sourceMac, destinationMac, session: SESSION };
  const packets = scapy({ erspan: [1, 2, 3].map((i) => ({ ...outer, inner: frame(HOST, VM, 5000 + i) })) }).erspan;
  const copies = await copiesOf(3, () => {
    for (const packet of packets) {
      socket('undp').send(packet);
    }
  });
  for (const copy of copies) {
    socket('nicp').send(copy);
  }
  socket('nicp').send(tagged(frame(HOST, VM, 5004)));
  await accounted(edge, 4);
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 1, isCopy: 3 });
});

test('a copy that comes back to a mirrored guest is not copied again, and production with that VLAN ID is', async () => {
  const { guest } = await apply();
  socket('vmp').send(frame('ffffffffffff', VM, 0)); // the bridge learns where it is
  const [copy] = await copiesOf(1, () => socket('vmp').send(frame(VM, '020000000e03', 77)));
  const before = await counted(guest, 'inbound');
  await sniffing(['vmp'], async ([received]) => {
    socket('nicp').send(tagged(frame(VM, HOST, 78)));
    socket('nicp').send(copy!);
    await received.expect(2);
  });
  const { matched, isCopy } = await counted(guest, 'inbound');
  assert.deepEqual([matched - before.matched, isCopy - before.isCopy], [1, 1]);
});

test('a VLAN ID that edges of other nodes push is taken for that of copies', async () => {
  const { edge } = await apply();
  for (let i = 0; i < 10; i++) {
    socket('nicp').send(tagged(frame(HOST, VM, i), OTHERS_VLAN));
  }
  await accounted(edge, 10);
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 0, isCopy: 10 });
});

test('of a VLAN ID that edges of other nodes push on copies of guests, frames with addresses of these guests are taken for copies', async () => {
  const [known, other] = ['020000000f01', '020000000f02'];
  const text = (mac: string) => mac.match(/../g)!.join(':');
  const [ALL, GROUP] = ['ffffffffffff', '01005e000001'];
  for (const [direction, skipped] of [
    ['all', ['from', 'to', 'broadcast', 'multicast']],
    ['inbound', ['to', 'broadcast', 'multicast']],
    ['outbound', ['from']],
  ] as const) {
    const { edge } = await apply({
      copyVlans: [],
      guestCopies: [{ vlanId: OTHERS_VLAN, direction, macs: [text(known)] }],
    });
    const sent: Record<string, Buffer> = {
      from: tagged(frame(other, known, 1), OTHERS_VLAN),
      to: tagged(frame(known, other, 2), OTHERS_VLAN),
      broadcast: tagged(frame(ALL, other, 3), OTHERS_VLAN),
      multicast: tagged(frame(GROUP, other, 4), OTHERS_VLAN),
      others: tagged(frame(other, '020000000f03', 5), OTHERS_VLAN),
      'tag inside': tagged(tagged(frame(other, '020000000f03', 6), 7), OTHERS_VLAN),
      'another VLAN': tagged(frame(other, known, 7), OTHERS_VLAN + 1),
      'priority tag': tagged(frame(other, known, 8), 0),
      untagged: frame(known, other, 9),
    };
    const copied = Object.keys(sent).filter((name) => !(skipped as readonly string[]).includes(name));
    await sniffing(['recp'], async ([mirrored]) => {
      for (const one of Object.values(sent)) {
        socket('nicp').send(one);
      }
      // A copy of a frame that has a tag already is no other frame.
      socket('nicp').send(tagged(tagged(frame(other, known, 10), 7), OTHERS_VLAN));
      const isCopy = skipped.length + (direction === 'inbound' ? 0 : 1);
      await accounted(edge, Object.keys(sent).length + 1);
      assert.deepEqual(await counted(edge, 'inbound'), { matched: Object.keys(sent).length + 1 - isCopy, isCopy });
      const seen = await mirrored.expect(copied.length + (direction === 'inbound' ? 1 : 0));
      // Behind the tag of the policy is the frame as it came.
      const plain = new Set(seen.map((one) => Buffer.concat([one.subarray(0, 12), one.subarray(16)]).toString('hex')));
      for (const [name, one] of Object.entries(sent)) {
        assert.equal(plain.has(one.toString('hex')), copied.includes(name), `${direction}: ${name}`);
      }
    });
    // What the node sends out there is no copy that came back.
    const before = await counted(edge, 'outbound');
    socket('nic').send(sent.from!);
    assert.equal((await counted(edge, 'outbound')).matched - before.matched, 1);
  }
  const { edge } = await apply({ copyVlans: [] });
  socket('nicp').send(tagged(frame(other, known, 1), OTHERS_VLAN));
  await accounted(edge, 1);
  assert.deepEqual(await counted(edge, 'inbound'), { matched: 1, isCopy: 0 }, 'when they are gone');
});

for (const six of [false, true]) {
  test(`datagrams of an ${six ? 'IPv6' : 'IPv4'} super-packet of UDP that come back are not copied again`, async () => {
    const { edge } = await apply();
    const size = 1400;
    const payload = Buffer.alloc(5 * size + 3);
    for (let at = 0; at < payload.length; at += 2) {
      payload.writeUInt8((at / 2) & 0xff, at);
    }
    const [big] = scapy({ udp: [{ payload, six }] }).udp;
    const transport = six ? 54 : 34;
    const headers = transport + 8;
    // The device takes no super-packets: the kernel cuts the copy, behind all programs.
    run('ethtool', '-K', 'out', 'tx-udp-segmentation', 'off');
    let datagrams: Buffer[];
    try {
      datagrams = await copiesOf(6, () => socket('vmp').send(big!, { kind: 'udp', segment: size, transport }));
    } finally {
      run('ethtool', '-K', 'out', 'tx-udp-segmentation', 'on');
    }
    for (const one of datagrams) {
      // A switch fills up what is too short.
      socket('nicp').send(Buffer.concat([one, Buffer.alloc(Math.max(0, 64 - one.length))]));
    }
    await accounted(edge, datagrams.length);
    assert.deepEqual(await counted(edge, 'inbound'), { matched: 0, isCopy: datagrams.length });
    const next = Buffer.from(datagrams[1]!);
    const at = 4 + headers + 4; // in the payload, behind the tag
    next.writeUInt8(next.readUInt8(at) ^ 1, at);
    socket('nicp').send(next);
    await accounted(edge, datagrams.length + 1);
    assert.deepEqual(await counted(edge, 'inbound'), { matched: 1, isCopy: datagrams.length });
  });
}

test('two edges that are mirrored into each other by a switch that floods make no loop', async () => {
  const ends = { nic: `nic-${++runs}`, out: `out-${runs}` };
  const capture = (device: 'nic' | 'out', delivery: string, policy: string) =>
    capturesOf(link(device).ifindex, delivery, { source: ends[device], policy, edge: true })
      .filter(({ direction }) => direction === 'inbound')
      .map((one) => ({ ...one, hook: 'ingress' as const }));
  await datapath.apply(
    stateOf({
      captures: [...capture('nic', 'A', 'a'), ...capture('out', 'B', 'b')],
      deliveries: [
        edgeTo(link('out').ifindex, { id: 'A', policy: 'a', vlanId: 100 }),
        edgeTo(link('nic').ifindex, { id: 'B', policy: 'b', vlanId: 200 }),
      ],
      physicalDevices: ['nic', 'out'].map((name) => link(name).ifindex),
    }),
  );
  run('ip', 'link', 'add', 'switch', 'type', 'bridge', 'mcast_snooping', '0');
  addVeth('port');
  for (const port of ['nicp', 'outp', 'portp']) {
    run('ip', 'link', 'set', port, 'master', 'switch');
  }
  for (const device of ['switch', 'port', 'portp']) {
    run('ip', 'link', 'set', device, 'up');
  }
  const socket = new RawSocket('port');
  try {
    const before = await Promise.all([counted(ends.nic, 'inbound'), counted(ends.out, 'inbound')]);
    assert.deepEqual(before, [
      { matched: 0, isCopy: 0 },
      { matched: 0, isCopy: 0 },
    ]);
    for (let i = 0; i < 10; i++) {
      socket.send(frame('ffffffffffff', '020000000e09', i));
    }
    await until('all have come back', async () => (await counted(ends.nic, 'inbound')).isCopy >= 10);
    await until('all have come back', async () => (await counted(ends.out, 'inbound')).isCopy >= 10);
    assert.deepEqual((await counted(ends.nic, 'inbound')).matched, 10);
    assert.deepEqual((await counted(ends.out, 'inbound')).matched, 10);
  } finally {
    socket.close();
    run('ip', 'link', 'del', 'switch');
    run('ip', 'link', 'del', 'port');
  }
});
