/** Probes: seen at the destination alone, counted apart, and in no policy's books. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { CounterReport, ProbeCounts, ProbeSize } from '@mirrorplane/contract';
import { sendFrames } from '../../src/netlink/packet-socket.ts';
import { link, run } from './support/namespace.ts';
import { type Sniffer, sniffing } from './support/sniffer.ts';
import { capturesOf, edgeTo, erspanFrom, erspanOver, localTo, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
const { vm, dst, und } = world.devices;

let last = 0;
/** Names that no other probe of this file has. */
const newName = () => {
  last++;
  const tail = last.toString(16).padStart(6, '0');
  return `024d50${tail}024d50${tail}`;
};

const EXPERIMENTAL = (frame: Buffer) => frame.readUInt16BE(12) === 0x88b5;
const isProbe = (name: string) => (frame: Buffer) => frame.subarray(0, 12).toString('hex') === name;

/** Makes a probe at the capture of the VM, and returns what became of it on this node. */
async function probe(size: ProbeSize, more: { name?: string; mtu?: number } = {}): Promise<ProbeCounts> {
  const { name = newName(), mtu = 1500 } = more;
  await world.datapath.expectProbes([name]);
  await world.datapath.makeProbe({ name, ifindex: vm.ifindex, hook: 'ingress', size, mtu });
  return (await world.datapath.readProbes()).get(name)!;
}

/** The books: everything that is counted for policies. */
async function books(): Promise<Omit<CounterReport, 'epoch'>> {
  const { epoch: _, ...counts } = await world.datapath.counters();
  return counts;
}

const packetsOf = ({ made, copied, truncated, sent, received, delivered }: ProbeCounts) =>
  [made, copied, truncated, sent, received, delivered].map(({ packets }) => packets);

/** Runs `work` with somebody at each place, and asserts that all but `at` see nothing. */
async function seenOnlyAt(at: string, work: (place: Sniffer) => Promise<void>): Promise<void> {
  const others = ['vmp', 'farp', 'byp', 'dstp', 'undp'].filter((device) => device !== at);
  await sniffing([at, ...others], async ([place, ...rest]) => {
    await work(place!);
    for (const [i, sniffer] of rest.entries()) {
      assert.deepEqual(
        sniffer.frames().map((frame) => frame.toString('hex').slice(0, 60)),
        [],
        others[i],
      );
    }
  });
}

const captures = (delivery: string) => capturesOf(vm.ifindex, delivery, { mtu: 1500 });

test('a local destination gets a probe of 64 bytes and one of the MTU, the source gets nothing, and no books change', async () => {
  await world.datapath.apply(stateOf({ captures: captures('L'), deliveries: [localTo(dst.ifindex)] }));
  const before = await books();
  await seenOnlyAt('dstp', async (destination) => {
    assert.deepEqual(packetsOf(await probe('small')), [1, 1, 0, 1, 0, 0]);
    assert.deepEqual(packetsOf(await probe('full')), [1, 1, 0, 1, 0, 0]);
    const frames = await destination.expect(2);
    assert.deepEqual(
      frames.map(({ length }) => length),
      [64, 1514],
    );
    assert.ok(frames.every(EXPERIMENTAL));
  });
  assert.deepEqual(await books(), before);
});

test('a local destination gets a super-packet of 64 KiB, whose segments fit', async () => {
  await seenOnlyAt('dstp', async (destination) => {
    const name = newName();
    const counts = await probe('super', { name });
    assert.equal(counts.made.packets, Math.ceil((65_535 - 40) / 1460));
    assert.deepEqual(counts.sent.packets, counts.made.packets);
    const frames = await destination.expect(1);
    assert.ok(frames.every(isProbe(name)));
    assert.equal(
      frames.reduce((sum, { length }) => sum + length - 54, 0),
      65_495,
    );
  });
});

test('percent and maximum rate do not apply to a probe', async () => {
  const none = captures('L').map((capture) => ({ ...capture, threshold: 0 }));
  await world.datapath.apply(
    stateOf({ captures: none, deliveries: [{ ...localTo(dst.ifindex), maxRate: 1 }], maxRate: 1 }),
  );
  assert.deepEqual(packetsOf(await probe('full')), [1, 1, 0, 1, 0, 0]);
});

test('a probe is made once, and a frame that is no probe goes nowhere', async () => {
  await world.datapath.apply(stateOf({ captures: captures('L'), deliveries: [localTo(dst.ifindex)] }));
  const name = newName();
  await probe('small', { name });
  const frame = Buffer.alloc(64);
  Buffer.from(name, 'hex').copy(frame);
  frame.writeUInt16BE(0x88b5, 12);
  await sniffing(['dstp'], async ([destination]) => {
    sendFrames(link('mirror0').ifindex, [frame], { taken: true });
    frame.writeUInt8(0xff, 5);
    sendFrames(link('mirror0').ifindex, [frame], { taken: true });
    await probe('small');
    assert.equal((await destination!.expect(1)).length, 1);
  });
});

test('a probe for a destination that is down, too small, or gone says so', async () => {
  const say = async (more: object) => {
    await world.datapath.apply(
      stateOf({ captures: captures('L'), deliveries: [{ ...localTo(dst.ifindex), ...more }] }),
    );
    return [(await probe('small')).dropped, (await probe('full')).dropped, (await probe('super')).dropped].map(
      (dropped) => Object.keys(dropped),
    );
  };
  run('ip', 'link', 'set', 'dst', 'down');
  assert.deepEqual(await say({}), [['destinationDown'], ['destinationDown'], ['destinationDown']]);
  run('ip', 'link', 'set', 'dst', 'up');
  assert.deepEqual(await say({ mtu: 1400 }), [[], ['tooBigForDestination'], []]);
  assert.deepEqual(await say({ ifindex: 0 }), [['destinationDown'], ['destinationDown'], ['destinationDown']]);
  await world.datapath.apply(stateOf({}));
  assert.deepEqual(Object.keys((await probe('small')).dropped), ['noDelivery']);
});

test('an edge destination gets probes with the VLAN ID of the policy', async () => {
  await world.datapath.apply(stateOf({ captures: captures('V'), deliveries: [edgeTo(dst.ifindex)] }));
  const before = await books();
  await seenOnlyAt('dstp', async (destination) => {
    const counts = await probe('full');
    assert.deepEqual(packetsOf(counts), [1, 1, 0, 1, 0, 0]);
    assert.equal(counts.sent.bytes, 1518);
    const [frame] = await destination.expect(1);
    assert.equal(frame!.readUInt16BE(12), 0x8100);
    assert.equal(frame!.readUInt16BE(14), 100);
    assert.equal(frame!.readUInt16BE(16), 0x88b5);
  });
  assert.deepEqual(await books(), before);
});

test('probes leave in ERSPAN: the small one whole, that of the MTU cut, the super-packet in more segments', async () => {
  await world.datapath.apply(stateOf({ captures: captures('E'), deliveries: [erspanOver(world)] }));
  const before = await books();
  await seenOnlyAt('undp', async (wire) => {
    assert.deepEqual(packetsOf(await probe('small')), [1, 1, 0, 1, 0, 0]);
    assert.deepEqual(packetsOf(await probe('full')), [1, 1, 1, 1, 0, 0]);
    const counts = await probe('super');
    assert.equal(counts.made.packets, 45);
    assert.equal(counts.sent.packets, Math.ceil(65_495 / 1410));
    const frames = await wire.expect(3);
    assert.deepEqual(
      frames.slice(0, 2).map(({ length }) => length),
      [64 + 50, 1514],
    );
    assert.ok(
      frames.every((frame) => frame[12] === 8 && frame.readUInt32BE(46) >>> 31 === 1),
      'the flag of probes',
    );
  });
  assert.deepEqual(await books(), before);
});

test('probes from another node reach the destination, and are counted apart', async () => {
  const deliveries = [erspanOver(world), localTo(dst.ifindex)];
  await world.datapath.apply(stateOf({ captures: captures('E'), deliveries }));
  const names = [newName(), newName(), newName()];
  const frames: Buffer[] = [];
  await sniffing(['undp'], async ([wire]) => {
    for (const [i, size] of (['small', 'full', 'super'] as const).entries()) {
      await probe(size, { name: names[i]! });
    }
    frames.push(...(await wire!.expect(3)));
  });
  const terminations = [erspanFrom('L')];
  await world.datapath.apply(stateOf({ deliveries, terminations, mirrorDevice: und.ifindex }));
  const [small] = frames.map((frame) => {
    const turned = Buffer.from(frame);
    Buffer.from(world.nextHop.sourceMac.replaceAll(':', ''), 'hex').copy(turned);
    frame.copy(turned, 26, 30, 34);
    frame.copy(turned, 30, 26, 30);
    return turned;
  });
  const before = await books();
  await seenOnlyAt('dstp', async (destination) => {
    world.wire.send(small!); // nobody expects it
    await world.datapath.expectProbes([names[0]!]);
    world.wire.send(small!);
    const [got] = await destination.expect(1);
    assert.equal(got!.length, 64);
    assert.ok(isProbe(names[0]!)(got!));
    const counts = (await world.datapath.readProbes()).get(names[0]!)!;
    assert.deepEqual(packetsOf(counts), [0, 0, 0, 0, 1, 1]);
  });
  assert.deepEqual(await books(), before);
  await world.datapath.apply(
    stateOf({
      deliveries: [erspanOver(world), localTo(dst.ifindex, { mtu: 40 })],
      terminations,
      mirrorDevice: und.ifindex,
    }),
  );
  world.wire.send(small!);
  await until('the refusal', async () => {
    const counts = (await world.datapath.readProbes()).get(names[0]!)!;
    return counts.refused.tooBigForDestination?.packets === 1 && counts.received.packets === 2;
  });
});
