/** The agent's side of looks that the controller asks for. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { decodeLookBatch, type LookBatch, type LookOrder, type LookRefusal } from '@mirrorplane/contract';
import type { LookEntry, LookPacket } from '../src/datapath/datapath.ts';
import { EMPTY_STATE, FakeDatapath } from '../src/datapath/fake.ts';
import { LookFollower } from '../src/looks/look-follower.ts';
import { LookNames } from '../src/looks/look-names.ts';
import { LookRoom } from '../src/looks/look-room.ts';
import { testLog } from './support.ts';

const ORDER: LookOrder = {
  id: 'l1',
  of: { interfaces: ['web-1/0'] },
  words: '',
  payload: false,
  packetRate: 2000,
  leaseMs: 30_000,
};
/** web-1/0 at the bridge 8, and a NIC. */
const ENTRY = {
  hooks: [
    { ifindex: 5, hook: 'ingress', place: 'sent' },
    { ifindex: 5, hook: 'egress', place: 'delivered' },
  ],
  ports: [
    { ifindex: 5, hook: 'ingress', bridge: 8 },
    { ifindex: 7, hook: 'ingress', bridge: 8 },
  ],
  guests: [{ bridge: 8, mac: '02:00:00:00:0a:01', ifindex: 5 }],
} as const;
const IDENTITY = { kind: 'vm', id: 'web-1/0', name: 'web-1' } as const;
const DEVICES = [{ ifindex: 5, identity: IDENTITY }] as unknown as Parameters<LookNames['learn']>[1];
const LINKS = [
  { ifindex: 5, name: 'tap1' },
  { ifindex: 7, name: 'eth0' },
];
const TO_NOBODY = Buffer.from('0200000a0a01', 'hex');

function packet(changes: Partial<LookPacket> = {}): LookPacket {
  const where = { place: 'sent', ifindex: 5, hook: 'ingress' } as const;
  const size = { length: 64, packets: 1, gsoSize: 0, bytes: Buffer.alloc(64) };
  return { look: 'l1', at: 1, ...where, fate: 'noCapture', ...size, ...changes };
}

/** A connection that a test opens and congests. */
class FakeChannel extends EventEmitter<{ open: [] }> {
  open = false;
  wanted = false;
  congested = false;
  readonly batches: LookBatch[] = [];

  want(wanted: boolean): void {
    this.wanted = wanted;
  }

  send(batch: Uint8Array): boolean {
    if (!this.open || this.congested) {
      return false;
    }
    this.batches.push(decodeLookBatch(batch));
    return true;
  }

  opens(): void {
    this.open = true;
    this.emit('open');
  }
}

async function following(t: TestContext) {
  const datapath = new FakeDatapath();
  await datapath.open();
  const names = new LookNames();
  const apply = async (): Promise<void> => {
    const wishes = room.wishes();
    const looks = wishes.map(({ of: _, ...wish }): LookEntry => ({ ...wish, ...ENTRY }));
    names.learn(looks, DEVICES, LINKS);
    room.applied([], (await datapath.apply({ ...EMPTY_STATE, looks })).unheard, wishes);
  };
  const room: LookRoom = new LookRoom({ datapath, changed: () => void apply(), log: testLog });
  t.after(() => room.close());
  const channel = new FakeChannel();
  const refused: LookRefusal[][] = [];
  const follower = new LookFollower({ room, names, channel, refused: (list) => refused.push(list), log: testLog });
  return { datapath, room, channel, refused, follower };
}

test('a look begins when there is a way to tell what it sees, and not before', async (t) => {
  const { room, channel, follower } = await following(t);
  follower.follow([ORDER]);
  assert.deepEqual([channel.wanted, room.ids()], [true, []]);
  channel.opens();
  assert.deepEqual(room.ids(), ['l1']);
});

test('an order whose lease has ended before the way was open begins nothing', async (t) => {
  const { room, channel, follower } = await following(t);
  follower.follow([{ ...ORDER, leaseMs: 0 }]);
  channel.opens();
  assert.deepEqual(room.ids(), []);
});

test('packets are told with interface and device, and the end; then no way is wanted', async (t) => {
  const { datapath, room, channel, follower } = await following(t);
  follower.follow([ORDER]);
  channel.opens();
  await until('the first batch', () => channel.batches.length > 0);
  datapath.seen = [packet(), packet({ place: 'delivered', hook: 'egress' })];
  await until('the packets', () => channel.batches.some(({ packets }) => packets.length > 0));
  follower.follow([]);
  await until('the end', () => channel.batches.at(-1)?.ended === 'asked');
  const packets = channel.batches.flatMap((batch) => batch.packets);
  assert.deepEqual(
    packets.map(({ interface: id, device, place, direction }) => [id, device, place, direction]),
    [
      ['web-1/0', 'tap1', 'sent', 'outbound'],
      ['web-1/0', 'tap1', 'delivered', 'inbound'],
    ],
  );
  assert.equal(new Set(channel.batches.map(({ run }) => run)).size, 1);
  assert.deepEqual([channel.wanted, room.ids()], [false, []]);
});

test('a packet that arrives at a port of a bridge is of the guest that it is for, whoever the port belongs to', () => {
  const names = new LookNames();
  names.learn(
    [{ id: 'l1' } as LookEntry].map((look) => ({ ...look, ...ENTRY })),
    DEVICES,
    LINKS,
  );
  const mac = Buffer.from('020000000a01', 'hex');
  assert.deepEqual(names.of(packet({ place: 'arrived', ifindex: 7, bytes: mac })), {
    interface: 'web-1/0',
    device: 'eth0',
  });
  assert.equal(names.of(packet({ place: 'arrived', ifindex: 7, bytes: TO_NOBODY })), undefined);
  // One for all is of a guest of its own look, and not of the one that sends it.
  const toAll = { place: 'arrived', bytes: Buffer.alloc(64, 0xff) } as const;
  assert.equal(names.of(packet({ ...toAll, ifindex: 7 }))?.interface, 'web-1/0');
  assert.equal(names.of(packet({ ...toAll, ifindex: 7, look: 'l2' })), undefined);
  assert.equal(names.of(packet({ ifindex: 99 })), undefined);
  // The guest has left: what its device has seen last is still its own.
  names.learn([{ id: 'l1', hooks: [] } as unknown as LookEntry], [], []);
  assert.equal(names.of(packet())?.interface, 'web-1/0');
  names.learn([], [], []);
  assert.equal(names.of(packet()), undefined);
});

test('a packet at an edge that is a port of a bridge is of the edge for a look that has no guest there', () => {
  const names = new LookNames();
  const edge = { id: 'l2', hooks: [{ ifindex: 7, hook: 'ingress', place: 'arrived' }] } as unknown as LookEntry;
  const devices = [...DEVICES, { ifindex: 7, identity: { kind: 'edge', id: 'e0', name: 'e0' } }] as typeof DEVICES;
  names.learn([{ id: 'l1', ...ENTRY } as unknown as LookEntry, edge], devices, LINKS);
  const there = { place: 'arrived', ifindex: 7, bytes: Buffer.from('020000000a01', 'hex') } as const;
  assert.equal(names.of(packet(there))?.interface, 'web-1/0');
  assert.equal(names.of(packet({ ...there, look: 'l2' }))?.interface, 'e0');
});

test('what a congested way does not take, and what is of no known device, is counted as lost', async (t) => {
  const { datapath, channel, follower } = await following(t);
  follower.follow([ORDER]);
  channel.opens();
  await until('the first batch', () => channel.batches.length > 0);
  channel.congested = true;
  datapath.seen = [packet(), packet(), packet()];
  await until('them to be read', () => datapath.seen.length === 0);
  channel.congested = false;
  datapath.seen = [packet(), packet({ ifindex: 99 })];
  await until('the others', () => channel.batches.some(({ packets }) => packets.length > 0));
  await until('the count', () => channel.batches.at(-1)?.counts.lostOnTheWay === 4);
});

test('says which looks are refused, once, and again when there is room', async (t) => {
  const { room, channel, refused, follower } = await following(t);
  channel.open = true;
  const orders = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ ...ORDER, id }));
  follower.follow(orders);
  follower.follow(orders);
  assert.deepEqual(
    refused.map((list) => list.map(({ look }) => look)),
    [['e']],
  );
  assert.match(refused[0]![0]!.message, /4 looks already \(a, b, c, d\)/);
  follower.follow(orders.slice(1));
  await until('its place', () => room.ids().includes('e'));
  assert.deepEqual(refused.at(-1), []);
});
