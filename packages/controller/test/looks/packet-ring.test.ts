/** The ring of a look: bounds, and what became of originals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeptDrop, SeenPacket } from '../../src/looks/kept-packet.ts';
import { PacketRing, type RingLimits } from '../../src/looks/packet-ring.ts';
import { arrived, delivered, drop, seen } from './seen.ts';

const NODES: Record<string, string> = { tap1: 'node-1', tap2: 'node-2', vxlan0: 'node-2' };

/** A ring that was given these, each as a batch of its own. */
function ringOf(items: readonly (SeenPacket | KeptDrop)[], limits?: RingLimits): PacketRing {
  const ring = new PacketRing(limits);
  for (const item of items) {
    if ('cause' in item) {
      ring.addDrop(item);
    } else {
      ring.add(item, { node: NODES[item.device] ?? 'node-1', interfaceName: '', lostBefore: 0 });
    }
    ring.join();
  }
  return ring;
}

const statesOf = (ring: PacketRing) => ring.since(0, 1000).map(({ original }) => original.state);

test('says of a packet that nobody has seen or dropped later that its end is unknown', () => {
  assert.deepEqual(statesOf(ringOf([seen()])), ['unknown']);
  assert.deepEqual(statesOf(ringOf([seen(), arrived()])), ['seenLater', 'unknown']);
});

test('joins the places of a packet in whatever order they come', () => {
  assert.deepEqual(statesOf(ringOf([seen(), arrived(), delivered()])), ['delivered', 'delivered', 'delivered']);
  assert.deepEqual(statesOf(ringOf([delivered(), arrived(), seen()])), ['delivered', 'delivered', 'delivered']);
});

test('gives a drop to the packet before it, also when the drop is heard first', () => {
  for (const items of [
    [seen(), arrived(), drop()],
    [drop(), arrived(), seen()],
    [arrived(), drop(), seen()],
  ]) {
    const ring = ringOf(items);
    assert.deepEqual(statesOf(ring), ['dropped', 'dropped']);
    assert.equal(ring.get(1)?.original.drop?.reason, 'NETFILTER_DROP');
  }
});

test('says which numbers have changed, and goes on from there', () => {
  const ring = ringOf([seen(), seen({ packet: '00000000000000bb' })]);
  const { version } = ring.changedSince(0);
  assert.deepEqual(ring.changedSince(version).numbers, []);
  ring.add(delivered(), { node: 'node-2', interfaceName: '', lostBefore: 0 });
  ring.join();
  assert.deepEqual(ring.changedSince(version).numbers, [1]);
  assert.deepEqual(ring.changedSince(ring.changedSince(version).version).numbers, []);
});

test('joins neither packets without an id nor those with another one', () => {
  const { packet: _, ...anonymous } = seen();
  const { packet: __, ...anonymousThere } = delivered();
  assert.deepEqual(statesOf(ringOf([anonymous, anonymousThere])), ['unknown', 'delivered']);
  assert.deepEqual(statesOf(ringOf([seen(), delivered({ packet: '00000000000000bb' })])), ['unknown', 'delivered']);
  const { packet: ___, ...dropOfNobody } = drop();
  assert.deepEqual(statesOf(ringOf([anonymous, dropOfNobody])), ['unknown']);
});

test('keeps the second try of a lost packet apart from the first, though both have one id', () => {
  const again = 200_000;
  const first = [seen(), drop()];
  const second = [seen({ at: 1_000_000 + again }), delivered({ at: 1_000_100 + again })];
  assert.deepEqual(statesOf(ringOf([...first, ...second])), ['dropped', 'delivered', 'delivered']);
  // The delivery comes to the controller before the sending that it belongs to.
  assert.deepEqual(statesOf(ringOf([...first, second[1]!, second[0]!])), ['dropped', 'delivered', 'delivered']);
});

test('does not join what is minutes apart', () => {
  const later = 60_000_000;
  assert.deepEqual(statesOf(ringOf([seen(), delivered({ at: 1_000_000 + later })])), ['unknown', 'delivered']);
  assert.deepEqual(statesOf(ringOf([seen(), drop({ at: 1_000_000 + later })])), ['unknown']);
  assert.deepEqual(statesOf(ringOf([seen(), drop({ at: 1_000_000 - later })])), ['unknown']);
});

test('bears clocks of two nodes that differ by some milliseconds', () => {
  assert.deepEqual(statesOf(ringOf([seen(), delivered({ at: 1_000_000 - 5000 })])), ['delivered', 'delivered']);
});

test('says of a broadcast that was delivered once and dropped at another port both', () => {
  const other = delivered({ device: 'tap3', interface: 'db-2/0', at: 1_000_110 });
  const ring = ringOf([seen(), delivered(), other, drop({ node: 'node-1', device: 'tap3', at: 1_000_120 })]);
  assert.deepEqual(statesOf(ring), ['delivered', 'delivered', 'dropped']);
});

test('says of a packet that the device of the guest has dropped that it was dropped', () => {
  const ring = ringOf([
    seen(),
    delivered(),
    drop({ device: 'tap2', at: 1_000_101, cause: 'ring', reason: 'FULL_RING' }),
  ]);
  assert.deepEqual(statesOf(ring), ['dropped', 'dropped']);
});

test('does not take a drop of the copy of a flooded packet for the loss of the one that was delivered', () => {
  const ring = ringOf([seen(), arrived(), delivered(), drop({ device: 'tap9' })]);
  assert.deepEqual(statesOf(ring), ['delivered', 'delivered', 'delivered']);
});

test('keeps apart what a bridge in a guest sends on with the same id', () => {
  const ring = ringOf([
    seen(),
    delivered({ device: 'tap5', interface: 'fw-1/0', at: 1_000_100 }),
    seen({ device: 'tap6', interface: 'fw-1/1', at: 1_000_200 }),
    delivered({ at: 1_000_300 }),
  ]);
  assert.deepEqual(statesOf(ring), ['delivered', 'delivered', 'delivered', 'delivered']);
});

test('joins a super-packet as a whole, and says of how many segments the drop was', () => {
  const ring = ringOf([seen({ packets: 45, gsoSize: 1448, length: 65_226 }), drop({ packets: 45 })]);
  assert.equal(ring.get(1)?.original.drop?.packets, 45);
});

test('keeps the newest packets, by number and by bytes', () => {
  const many = Array.from({ length: 25 }, (_, index) => seen({ packet: `${index}`.padStart(16, '0') }));
  const byNumber = ringOf(many, { packets: 10 });
  assert.deepEqual([byNumber.oldest, byNumber.newest], [16, 25]);
  assert.deepEqual(
    byNumber.since(0, 3).map(({ number }) => number),
    [16, 17, 18],
  );
  assert.deepEqual(
    byNumber.since(23, 100).map(({ number }) => number),
    [24, 25],
  );
  assert.deepEqual(byNumber.since(25, 100), []);
  assert.equal(byNumber.get(15), undefined);
  const byBytes = ringOf(many, { bytes: 4 * (98 + 256) });
  assert.deepEqual([byBytes.oldest, byBytes.newest], [22, 25]);
});

test('forgets what has left the ring: a late drop joins no packet that is gone', () => {
  const ring = ringOf([seen(), ...Array.from({ length: 3 }, () => seen({ packet: '00000000000000bb' })), drop()], {
    packets: 2,
  });
  assert.deepEqual(statesOf(ring), ['unknown', 'unknown']);
});

test('keeps the newest drops', () => {
  const ring = ringOf(
    Array.from({ length: 50 }, (_, at) => drop({ at: 1_000_000 + at })),
    { drops: 8 },
  );
  assert.equal(ring.drops.length, 8);
  assert.equal(ring.drops.at(-1)?.at, 1_000_049);
});

test('names all packets to a reader that has missed too many changes', () => {
  const ring = ringOf([], { packets: 10 });
  for (let at = 0; at < 100; at++) {
    const packet = `${at}`.padStart(16, '0');
    ring.addDrop(drop({ packet }));
    ring.add(arrived({ packet }), { node: 'node-2', interfaceName: '', lostBefore: 0 });
    ring.join();
  }
  const numbers = [91, 92, 93, 94, 95, 96, 97, 98, 99, 100];
  assert.deepEqual(ring.changedSince(0).numbers, numbers);
});

test('stays small, and joins the newest, when one id comes all the time', () => {
  const ring = new PacketRing({ packets: 1000 });
  for (let batch = 0; batch < 100; batch++) {
    for (let at = 0; at < 200; at++) {
      const time = 1_000_000 + batch * 100_000 + at * 500;
      const packet = at % 2 === 0 ? seen({ at: time }) : delivered({ at: time });
      ring.add(packet, { node: 'node-1', interfaceName: '', lostBefore: 0 });
    }
    ring.join();
  }
  assert.equal(ring.newest - ring.oldest + 1, 1000);
  assert.equal(ring.get(ring.newest - 3)?.original.state, 'delivered');
});

test('numbers drops, and gives those after a number that it still has', () => {
  const ring = new PacketRing({ drops: 2 });
  assert.deepEqual([ring.oldestDrop, ring.newestDrop, ring.dropsSince(0)], [1, 0, []]);
  for (let at = 1; at <= 5; at++) {
    ring.addDrop(drop({ at }));
  }
  assert.deepEqual([ring.oldestDrop, ring.newestDrop], [4, 5]);
  assert.deepEqual(
    [0, 4, 5].map((after) => ring.dropsSince(after).map(({ at }) => at)),
    [[4, 5], [5], []],
  );
});
