/** Copies into a device of the same node. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  difference,
  localTo,
  stateOf,
  useWorld,
} from './support/world.ts';

const world = await useWorld();
let frames: Buffer[];

before(() => {
  const built = scapy({ frames: true }).frames;
  // A bridge does not forward the spanning tree protocol, so the original does not arrive at the
  // other end.
  built.delete('stp');
  frames = [...built.values()];
});

const apply = (more = {}) => {
  const { vm, dst } = world.devices;
  return world.datapath.apply(
    stateOf({ captures: capturesOf(vm.ifindex, 'L', more), deliveries: [localTo(dst.ifindex)] }),
  );
};

for (const [direction, from, to] of [
  ['outbound', 'guest', 'farp'],
  ['inbound', 'far', 'vmp'],
] as const) {
  test(`copies every kind of ${direction} frame once and unchanged, and leaves the original as it is`, async () => {
    await apply();
    const start = countsOf(await world.datapath.counters(), direction);
    await sniffing([to, 'dstp', 'byp', 'undp'], async ([originals, copies, bystander, outside]) => {
      for (const frame of frames) {
        world[from].send(frame);
      }
      assertSameFrames(await originals.expect(frames.length), frames, 'originals');
      assertSameFrames(await copies.expect(frames.length), frames, 'copies');
      assert.deepEqual([bystander.frames(), outside.frames()], [[], []]);
    });
    const report = await world.datapath.counters();
    const change = difference(start, countsOf(report, direction));
    assert.deepEqual(change.matched, countOf(frames));
    assert.deepEqual(change.copied, countOf(frames));
    assertSumsClose(report);
  });
}

test('copies frames that the node itself sends with a VLAN tag inside the frame', async () => {
  await apply();
  await sniffing(['vmp', 'dstp'], async ([originals, copies]) => {
    for (const frame of frames) {
      world.host.send(frame);
    }
    assertSameFrames(await originals.expect(frames.length), frames, 'originals');
    assertSameFrames(await copies.expect(frames.length), frames, 'copies');
  });
});

test('copies exactly 100 of 100 packets', async () => {
  await apply();
  const start = countsOf(await world.datapath.counters(), 'outbound');
  const numbered = Array.from({ length: 100 }, (_, i) => {
    const frame = Buffer.from(frames[0]!);
    frame.writeUInt32BE(i, frame.length - 4);
    return frame;
  });
  await sniffing(['dstp'], async ([copies]) => {
    for (const frame of numbered) {
      world.guest.send(frame);
    }
    assertSameFrames(await copies.expect(100), numbered, 'copies');
  });
  const report = await world.datapath.counters();
  assert.deepEqual(difference(start, countsOf(report, 'outbound')).copied, countOf(numbered));
});

test('a captured direction alone is copied', async () => {
  const { vm, dst } = world.devices;
  const captures = capturesOf(vm.ifindex, 'L').filter(({ direction }) => direction === 'inbound');
  await world.datapath.apply(stateOf({ captures, deliveries: [localTo(dst.ifindex)] }));
  const inbound = Buffer.concat([frames[0]!, Buffer.from('inbound')]);
  await sniffing(['dstp', 'farp', 'vmp'], async ([copies, sent, received]) => {
    world.guest.send(frames[0]!);
    await sent.expect(1);
    world.far.send(inbound);
    await received.expect(1);
    assertSameFrames(await copies.expect(1), [inbound], 'copies');
  });
});

test('drops copies that are too large for the destination as tooBigForDestination, and allows for tags', async () => {
  const { vm, dst } = world.devices;
  const captures = capturesOf(vm.ifindex, 'L');
  await world.datapath.apply(stateOf({ captures, deliveries: [localTo(dst.ifindex, { mtu: 900 })] }));
  const start = countsOf(await world.datapath.counters(), 'outbound');
  const [small, large] = [918, 919].map((size) =>
    Buffer.concat([frames[0]!, Buffer.alloc(size - frames[0]!.length, 1)]),
  );
  await sniffing(['dstp', 'farp'], async ([copies, originals]) => {
    world.guest.send(large!);
    world.guest.send(small!);
    assertSameFrames(await originals.expect(2), [small!, large!], 'originals');
    assertSameFrames(await copies.expect(1), [small!], 'copies');
  });
  const report = await world.datapath.counters();
  const counts = countsOf(report, 'outbound');
  const before = start.dropped.tooBigForDestination?.packets ?? 0;
  assert.equal(counts.dropped.tooBigForDestination!.packets - before, 1);
  assert.deepEqual(difference(start, counts).copied, { packets: 1, bytes: 918 });
  assertSumsClose(report);
});

test('a sender with a small buffer does not wait for queued copies: a clone holds none of its memory', async () => {
  await apply();
  // So slow that almost no copy leaves while 200 originals are sent.
  run('tc', 'qdisc', 'add', 'dev', 'dst', 'root', ...'tbf rate 10kbit burst 2k limit 10mb'.split(' '));
  try {
    const frame = Buffer.concat([frames[0]!, Buffer.alloc(1000 - frames[0]!.length)]).toString('hex');
    const send = `import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
s.bind(("vmp", 0))
for _ in range(200): s.send(bytes.fromhex("${frame}"))`;
    run('python3', '-c', send);
    const [queue] = JSON.parse(run('tc', '-s', '-json', 'qdisc', 'show', 'dev', 'dst')) as { qlen: number }[];
    assert.ok(queue!.qlen > 150, `all originals are sent, and ${queue!.qlen} of 200 copies still wait`);
  } finally {
    run('tc', 'qdisc', 'del', 'dev', 'dst', 'root');
  }
});
