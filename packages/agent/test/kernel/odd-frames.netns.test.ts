/** Frames of random shape in ERSPAN, with a seed to repeat them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { link, run, segmentInSoftware } from './support/namespace.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  countOf,
  countsOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  stateOf,
  useWorld,
} from './support/world.ts';

/**
 * Bytes of outer IPv4, GRE and ERSPAN II. A frame with its Ethernet header has this much less than
 * the underlay's MTU.
 */
const OUTER = 20 + 8 + 8;
const COUNT = Number(process.env.ODD_FRAMES ?? 600);
const SEED = Number(process.env.ODD_SEED ?? 20);
/** Number of frames that fit in a queue of the kernel without loss. */
const BATCH = 200;

const world = await useWorld({ underlayMtu: 1600 });
let runs = 0;

before(() => {
  // The other ends of these devices see packets as they would be on a wire, with all checksums.
  segmentInSoftware('far', 'dst');
});

/** Frames that Scapy makes at random. */
function oddFrames(seed: number, count: number, longest = 1514): Buffer[] {
  const script = join(import.meta.dirname, 'support', 'odd-frames.py');
  const text = execFileSync('/usr/bin/python3', [script, ...[seed, count, longest].map(String)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const lines = text.trimEnd().split('\n');
  return lines.map((line) => Buffer.from(line, 'hex'));
}

/**
 * Copies of `vm` leave in ERSPAN by `und`, and are terminated where they arrive, at `undp`. Returns
 * the name of all.
 */
async function loop(mtu: number): Promise<string> {
  const id = `odd-${++runs}`;
  await world.datapath.apply(stateOf({}));
  await world.datapath.apply(
    stateOf({
      captures: capturesOf(world.devices.vm.ifindex, id, { source: id }),
      deliveries: [erspanOver(world, { id, mtu }), localTo(world.devices.dst.ifindex)],
      terminations: [erspanFrom('L', { id, node: 'self', address: OWN_ADDRESS, ownAddress: OTHER_ADDRESS })],
      mirrorDevice: link('undp').ifindex,
    }),
  );
  return id;
}

/** Pseudo-random numbers from 0 to 1, always the same for one seed (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const MARKER = Buffer.from(`020000000b02020000000a019999${'a5'.repeat(46)}`, 'hex');

/** The frames of `some` that are not in `others`, where each counts once. */
function without(some: readonly Buffer[], others: readonly Buffer[]): string[] {
  const left = new Map<string, number>();
  for (const frame of others) {
    left.set(frame.toString('hex'), (left.get(frame.toString('hex')) ?? 0) + 1);
  }
  return some
    .map((frame) => frame.toString('hex'))
    .filter((frame) => {
      const count = left.get(frame) ?? 0;
      left.set(frame, count - 1);
      return count <= 0;
    });
}

/**
 * Every frame that arrives at the other host arrives at the destination, up to the length that the
 * underlay has room for. The kernel drops a few odd frames before any program sees them, for
 * example frames that end after a VLAN tag. The bridge drops a few others.
 */
async function expectCopies(id: string, mtu: number, sent: readonly Buffer[], send: (frame: Buffer) => void) {
  await sniffing(['farp', 'dstp'], async ([originals, copies]) => {
    const marks = (frames: readonly Buffer[]) => frames.filter((frame) => frame.equals(MARKER)).length;
    for (let end = 0; end < sent.length; ) {
      for (const frame of sent.slice(end, end + BATCH)) {
        send(frame);
      }
      world.guest.send(MARKER);
      end += BATCH;
      const batches = Math.ceil(Math.min(end, sent.length) / BATCH);
      await until('the marker', () => [originals, copies].every((at) => marks(at.frames()) === batches));
    }
    const seen = originals.frames();
    const got = copies.frames();
    const limit = mtu - OUTER;
    const cut = (frames: readonly Buffer[]) => frames.map((frame) => frame.subarray(0, limit));
    assert.ok(got.length > sent.length * 0.97, `${got.length} of ${sent.length} frames are there`);
    assert.deepEqual(without(cut(seen), got), [], 'originals without a copy');
    assert.ok(without(got, cut(seen)).length < sent.length * 0.03);
    const report = await world.datapath.counters();
    assertSumsClose(report);
    const { matched, copied, truncated, dropped } = countsOf(report, 'outbound', id);
    assert.deepEqual([matched, dropped], [copied, {}]);
    assert.equal(copied.packets, got.length);
    assert.equal(truncated.packets, countOf(seen.filter(({ length }) => length > limit)).packets);
    const end = report.terminations.find(({ termination }) => termination === id)!;
    assert.deepEqual([end.received, end.delivered, end.dropped], [countOf(got), countOf(got), {}]);
  });
}

for (const mtu of [1500, 1549, 1550, 1600]) {
  test(`${COUNT} odd frames of seed ${SEED} come through an underlay of MTU ${mtu}, cut where it is too small`, async () => {
    const id = await loop(mtu);
    await expectCopies(id, mtu, oddFrames(SEED + mtu, COUNT), (frame) => world.guest.send(frame));
  });
}

for (const mtu of [1500, 1600]) {
  test(`odd frames with a checksum left to the kernel, at any place, pass an underlay of MTU ${mtu}`, async () => {
    const id = await loop(mtu);
    const random = chance(SEED + mtu);
    const frames = oddFrames(SEED + 2 * mtu, COUNT).filter((frame) => frame.length > 80);
    await expectCopies(id, mtu, frames, (frame) => {
      const start = 62 + Math.floor(random() * (frame.length - 64)); // behind the headers of the network layer
      const room = frame.length - 2 - start;
      world.guest.sendUnfinished(
        frame,
        start,
        start + Math.floor(random() * Math.min(room, random() < 0.5 ? 20 : room)),
      );
    });
  });
}

test('a frame is cut right before, in and behind a checksum that is left to the kernel', async () => {
  const id = await loop(1500);
  const limit = 1500 - OUTER;
  const frames = Array.from({ length: 24 }, (_, i) => {
    const content = Buffer.from(Array.from({ length: 1500 }, (_byte, at) => (at * 7 + i) & 0xff));
    return Buffer.concat([Buffer.from('020000000b02020000000a019999', 'hex'), content]);
  });
  let next = 0;
  await expectCopies(id, 1500, frames, (frame) => {
    const field = limit - 3 + (next % 6);
    world.guest.sendUnfinished(frame, next++ < 12 ? field : 201, field);
  });
});

/** Sends datagrams through a VXLAN tunnel of the guest. `check` examines the result. */
async function throughTunnel(send: string, check: () => Promise<void>): Promise<void> {
  run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'vmp');
  run('ip', 'neigh', 'add', '10.77.0.2', 'lladdr', '02:00:00:00:0b:02', 'dev', 'vmp');
  const tunnel = 'id 9 local 10.77.0.1 remote 10.77.0.2 dstport 4789 noudpcsum'.split(' ');
  run('ip', 'link', 'add', 'vx', 'mtu', '1450', 'up', 'type', 'vxlan', ...tunnel);
  try {
    run('ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'vx');
    run('ip', 'neigh', 'add', '10.78.0.2', 'lladdr', '02:00:00:00:0c:03', 'dev', 'vx');
    run('python3', '-c', `import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n${send}`);
    await check();
  } finally {
    run('ip', 'link', 'del', 'vx');
    run('ip', 'addr', 'flush', 'dev', 'vmp');
  }
}

for (const [what, send, mtu, length] of [
  ['full frames', 'for i in range(20): s.sendto(bytes([i]) * 1422, ("10.78.0.2", 9))', 1500, 1514],
  ['super-packets', 's.setsockopt(17, 103, 1000)\ns.sendto(bytes(range(200)) * 100, ("10.78.0.2", 9))', 1500, 1092],
  ['super-packets', 's.setsockopt(17, 103, 1400)\ns.sendto(bytes(range(200)) * 140, ("10.78.0.2", 9))', 1500, 1492],
] as const) {
  test(`${what} of ${length} bytes that are in a tunnel already go like others`, async () => {
    const id = await loop(mtu);
    await sniffing(['farp', 'dstp'], async ([originals, copies]) => {
      await throughTunnel(send, async () => {
        const seen = await originals.expect(20);
        assert.ok(seen.every((frame) => frame.length === length));
        const kept = seen.map((frame) => frame.subarray(0, mtu - OUTER));
        assertSameFrames(await copies.expect(20), kept, 'copies');
        const report = await world.datapath.counters();
        assertSumsClose(report);
        const { copied, truncated, dropped } = countsOf(report, 'outbound', id);
        const cut = length > mtu - OUTER ? countOf(seen) : countOf([]);
        assert.deepEqual([copied, truncated, dropped], [countOf(seen), cut, {}]);
      });
    });
  });
}
