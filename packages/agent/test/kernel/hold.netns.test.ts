/**
 * Copies for a guest that leaves: what it has not read from its tap goes after it, what it has read
 * does not.
 */

import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, test } from 'node:test';
import type { ApplyResult, DatapathState } from '../../src/datapath/datapath.ts';
import { createKernelDatapath } from '../../src/datapath/kernel/index.ts';
import { HOOK } from './support/hook.ts';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import { TapGuest } from './support/tap-guest.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  erspanFrom,
  erspanOver,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  SOURCE_SLOT,
  stateOf,
  useWorld,
} from './support/world.ts';

/** The node that the guest moves to, and the session of the policy there. */
const NEXT_ADDRESS = '10.98.0.3';
const NEXT_SESSION = 77;
/** Outer Ethernet 14, IPv4 20, GRE 8, ERSPAN 8. */
const OUTER = 50;

const world = await useWorld({ underlayMtu: 1600 });
let guest: TapGuest;
let kinds: Buffer[];

before(() => {
  kinds = [...scapy({ frames: true }).frames.values()];
  run('ip', 'neigh', 'replace', NEXT_ADDRESS, 'lladdr', world.nextHop.destinationMac, 'dev', 'und', 'nud', 'permanent');
});
beforeEach(async () => {
  guest = await TapGuest.start('tap0');
});
afterEach(async () => {
  await world.datapath.apply(stateOf({}));
  await guest.remove();
});

type Phase = 'here' | 'about to leave' | 'left' | 'left, and its tap is gone';

/** A source on this node, and another on a second node, whose copies the guest gets. */
function stateAt(phase: Phase): DatapathState {
  const left = phase.startsWith('left');
  const ifindex = phase === 'left, and its tap is gone' ? 0 : guest.ifindex;
  const handover = { interface: 'ids-1/0', target: 'next', relay: 'N', released: left };
  const delivery = left ? 'N' : 'L';
  return stateOf({
    captures: capturesOf(world.devices.vm.ifindex, delivery),
    deliveries: [
      { id: 'L', policy: 'p', kind: 'local', ifindex, mtu: 1500, ...(phase !== 'here' && { handover }) },
      erspanOver(world, { id: 'N', address: NEXT_ADDRESS, session: NEXT_SESSION, mtu: 1600 }),
    ],
    terminations: [erspanFrom(delivery, { id: 't' })],
    mirrorDevice: world.devices.und.ifindex,
  });
}

const apply = (phase: Phase): Promise<ApplyResult> => world.datapath.apply(stateAt(phase));

/** UDP frames that the source sends, which differ in their numbers. */
function numbered(first: number, count: number): Buffer[] {
  const frame = kinds.find((kind) => kind.length >= 60 && kind.readUInt16BE(12) === 0x0800)!;
  return Array.from({ length: count }, (_, i) => {
    const copy = Buffer.from(frame);
    copy.writeUInt32BE(first + i, copy.length - 4);
    return copy;
  });
}

/** The frames as another node would send them here. */
function inErspan(frames: readonly Buffer[]): Buffer[] {
  const { sourceMac, destinationMac } = world.nextHop;
  return scapy({
    erspan: frames.map((inner, sequence) => ({
      ...{ inner, source: OTHER_ADDRESS, address: OWN_ADDRESS, session: SESSION, sequence },
      ...{ sourceMac: destinationMac, destinationMac: sourceMac },
    })),
  }).erspan;
}

function queueOf(device: string): string {
  return run('tc', 'qdisc', 'show', 'dev', device);
}

test('copies that a guest has not read when it leaves go to the other node once, and copies that it has read do not', async () => {
  await apply('about to leave');
  await sniffing(['undp', 'byp'], async ([wire, bystander]) => {
    const frames = numbered(0, 40);
    for (const frame of frames.slice(0, 25)) {
      world.guest.send(frame);
    }
    assertSameFrames(await guest.read(25), frames.slice(0, 25), 'the guest gets its copies as ever');
    for (const frame of frames.slice(25)) {
      world.guest.send(frame);
    }
    assert.deepEqual(wire.frames(), [], 'nothing goes to the other node while the guest is here');
    await apply('left');
    const later = numbered(40, 5);
    for (const frame of later) {
      world.guest.send(frame);
    }
    // The two that were read last are among them: who reads a tap may have thrown them away, see
    // docs/data-plane.md.
    const expected = [...frames.slice(23), ...later];
    const out = await wire.expect(expected.length);
    assertSameFrames(
      out.map((packet) => packet.subarray(OUTER)),
      expected,
      'what has gone on',
    );
    const rows = wire.decode(['ip.dst', 'erspan.spanid', 'erspan.index'], 'first');
    const index = String((SOURCE_SLOT << 1) | 1);
    assert.deepEqual(
      rows.map((row) => [row[0], row[1], String(Number(row[2]))]),
      Array(expected.length).fill([NEXT_ADDRESS, String(NEXT_SESSION), index]),
    );
    const { held } = await apply('here');
    assert.deepEqual(held, [{ interface: 'ids-1/0', node: 'next', handed: 40, read: 25, relayed: 17, unconfirmed: 2 }]);
    assert.equal(wire.frames().length, expected.length, 'and nothing after that');
    assert.deepEqual(bystander.frames(), []);
  });
  assertSumsClose(await world.datapath.counters());
});

test('every kind of frame is held, from this node and from others, and arrives as it was', async () => {
  await apply('about to leave');
  const other = numbered(1000, 10);
  await sniffing(['undp'], async ([wire]) => {
    for (const frame of kinds) {
      world.guest.send(frame);
    }
    const packets = inErspan(other);
    for (const packet of packets) {
      world.wire.send(packet);
    }
    await apply('left');
    const out = await wire.expect(kinds.length + other.length);
    assertSameFrames(
      out.map((packet) => packet.subarray(OUTER)),
      [...kinds, ...other],
      'what has gone on',
    );
  });
});

test('a tap that is gone takes nothing with it', async () => {
  await apply('about to leave');
  await sniffing(['undp'], async ([wire]) => {
    const frames = numbered(0, 30);
    for (const frame of frames.slice(0, 20)) {
      world.guest.send(frame);
    }
    await guest.remove();
    // Until the agent hears of it, copies are made for it still.
    for (const frame of frames.slice(20)) {
      world.guest.send(frame);
    }
    await apply('left, and its tap is gone');
    const out = await wire.expect(frames.length);
    assertSameFrames(
      out.map((packet) => packet.subarray(OUTER)),
      frames,
      'what has gone on',
    );
  });
  const { dropped } = (await world.datapath.counters()).captures.find(
    ({ direction }) => direction === 'outbound',
  )!.counts;
  assert.deepEqual(dropped, {}, 'they have not been dropped');
});

test('a guest that stays keeps its copies: none goes to another node, and no state is left behind', async () => {
  const before = queueOf('mirror1');
  await apply('about to leave');
  assert.match(queueOf('mirror1'), /tbf.*\n.*pfifo_head_drop/);
  await sniffing(['undp'], async ([wire]) => {
    const frames = numbered(0, 20);
    for (const frame of frames) {
      world.guest.send(frame);
    }
    assertSameFrames(await guest.read(10), frames.slice(0, 10), 'before');
    const { held } = await apply('here');
    assert.deepEqual(held, []);
    assertSameFrames(await guest.read(10), frames.slice(10), 'what waited in the tap is there');
    assert.deepEqual(wire.frames(), []);
  });
  assert.equal(queueOf('mirror1'), before);
});

test('the next agent knows which copies were read while no agent was running', async () => {
  await apply('about to leave');
  await sniffing(['undp'], async ([wire]) => {
    const frames = numbered(0, 20);
    for (const frame of frames.slice(0, 5)) {
      world.guest.send(frame);
    }
    world.datapath.close();
    for (const frame of frames.slice(5)) {
      world.guest.send(frame);
    }
    assertSameFrames(await guest.read(15), frames.slice(0, 15), 'read');
    const next = createKernelDatapath({ hook: HOOK, bpffs: world.bpffs });
    await next.open();
    await next.apply(stateAt('left'));
    const out = await wire.expect(7);
    assertSameFrames(
      out.map((packet) => packet.subarray(OUTER)),
      frames.slice(13),
      'what has gone on',
    );
    await next.apply(stateAt('here'));
    next.close();
  });
  await world.datapath.open();
});
