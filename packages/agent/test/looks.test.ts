/** Looks on a node: where they look, how long they live, what is refused, and what is handed on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { compileWords, LOOK_LIMITS, type NodeProgram } from '@mirrorplane/contract';
import type { LookDrop, LookPacket } from '../src/datapath/datapath.ts';
import { EMPTY_STATE, FakeDatapath } from '../src/datapath/fake.ts';
import { identify } from '../src/discovery/devices.ts';
import type { ForwardingEntry } from '../src/discovery/forwarding.ts';
import { type LookWish, planLooks } from '../src/looks/look-plan.ts';
import { type LookEnd, LookRefused, type LookReport, type LookRequest, LookRoom } from '../src/looks/look-room.ts';
import type { Link } from '../src/netlink/link.ts';
import { link, testLog } from './support.ts';

const REQUEST: LookRequest = { id: 'l1', of: { interfaces: ['web-1/0'] } };

/** A room over a fake data path, and a clock that a test moves. */
async function roomOf() {
  const datapath = new FakeDatapath();
  await datapath.open();
  let time = 1000;
  let changes = 0;
  const room = new LookRoom({ datapath, changed: () => changes++, log: testLog, now: () => time });
  const ends: [string, LookEnd][] = [];
  const reports: LookReport[] = [];
  room.on('end', (id, why) => ends.push([id, why]));
  room.on('report', (report) => reports.push(report));
  const apply = async () => {
    const wishes = room.wishes();
    const looks = wishes.map(({ of: _, ...wish }) => ({ ...wish, hooks: [] }));
    const result = await datapath.apply({ ...EMPTY_STATE, looks });
    room.applied([], result.unheard, wishes);
    return result;
  };
  return { room, datapath, ends, reports, apply, changes: () => changes, pass: (ms: number) => (time += ms) };
}

test('a look ends with its lease, and lives on where it is renewed', async (t) => {
  const { room, ends, changes, pass } = await roomOf();
  t.after(() => room.close());
  room.begin(REQUEST);
  room.begin({ ...REQUEST, id: 'l2' });
  assert.deepEqual([changes(), room.wishes().map(({ endsAt }) => endsAt)], [2, [31_000, 31_000]]);
  pass(29_000);
  assert.equal(room.renew('l1'), true);
  assert.deepEqual(
    room.wishes().map(({ endsAt }) => endsAt),
    [60_000, 31_000],
  );
  pass(1000);
  await until('the end of the other', () => ends.length > 0);
  assert.deepEqual(ends, [['l2', 'lease']]);
  assert.deepEqual(
    room.wishes().map(({ id }) => id),
    ['l1'],
  );
});

test('a look that is ended is stopped by a pass, and read once more before it is gone', async (t) => {
  const { room, datapath, ends, reports, apply, changes } = await roomOf();
  t.after(() => room.close());
  room.begin(REQUEST);
  await apply();
  await until('a report', () => reports.length > 0);
  const last: LookReport[] = [];
  room.on('end', (_id, _why, report) => last.push(report));
  room.end('l1');
  assert.deepEqual([room.renew('l1'), room.ids(), changes()], [false, [], 2]);
  const { endsAt } = room.wishes()[0]!;
  assert.ok(endsAt <= 1000);
  await apply();
  datapath.seen = [{ look: 'l1' } as LookPacket];
  await until('its end', () => ends.length > 0);
  assert.deepEqual(ends, [['l1', 'asked']]);
  const seen = [...reports, ...last].reduce((sum, { packets }) => sum + packets.length, 0);
  assert.deepEqual([seen, last[0]?.counts.written, room.wishes()], [1, 1, []]);
});

test('a look that no pass stops ends all the same', async (t) => {
  const { room, ends, pass } = await roomOf();
  t.after(() => room.close());
  room.begin(REQUEST);
  room.end('l1');
  pass(2000);
  await until('its end', () => ends.length > 0);
});

test('a look that is renewed for ever ends after ten minutes', async (t) => {
  const { room, ends, pass } = await roomOf();
  t.after(() => room.close());
  room.begin(REQUEST);
  for (let second = 20; second < 600; second += 20) {
    pass(20_000);
    assert.equal(room.renew('l1'), true);
  }
  assert.deepEqual(
    room.wishes().map(({ endsAt }) => endsAt),
    [1000 + LOOK_LIMITS.ageMs],
  );
  pass(20_000);
  await until('its end', () => ends.length > 0);
  assert.deepEqual(ends, [['l1', 'age']]);
});

for (const [what, more, field, message] of [
  ['no interface', { of: { interfaces: [] } }, 'of', /a look has 1 to 4 interfaces, not 0/],
  ['five interfaces', { of: { interfaces: ['a', 'b', 'c', 'd', 'e'] } }, 'of', /1 to 4 interfaces, not 5/],
  ['wrong words', { words: 'tcp prot 80' }, 'words', /"prot" at character 5 cannot stand there/],
  ['too high a rate', { packetRate: 2001 }, 'packetRate', /1 to 2000 packets a second, not 2001/],
  ['no rate', { packetRate: 0 }, 'packetRate', /not 0/],
  ['a fate that there is not', { fates: ['lost'] as never }, 'fates', /there is no fate "lost"; there are noCapture/],
] as const) {
  test(`refuses a look with ${what}, and says what is wrong`, async (t) => {
    const { room } = await roomOf();
    t.after(() => room.close());
    assert.throws(
      () => room.begin({ ...REQUEST, ...more }),
      (error: unknown) => error instanceof LookRefused && error.field === field && message.test(error.message),
    );
    assert.deepEqual(room.wishes(), []);
  });
}

test('refuses a fifth look, names the others, and takes one that replaces another', async (t) => {
  const { room } = await roomOf();
  t.after(() => room.close());
  for (const id of ['ann', 'bob', 'cid', 'dan']) {
    room.begin({ ...REQUEST, id });
  }
  assert.throws(() => room.begin({ ...REQUEST, id: 'eve' }), /4 looks already \(ann, bob, cid, dan\)/);
  room.begin({ ...REQUEST, id: 'bob', payload: true });
  assert.deepEqual(
    room.wishes().map(({ id, length }) => [id, length]),
    [
      ['ann', 128],
      ['bob', 1600],
      ['cid', 128],
      ['dan', 128],
    ],
  );
});

test('hands on what each look has seen and heard, with its counts and where it sees or hears nothing', async (t) => {
  const { room, datapath, apply, reports } = await roomOf();
  t.after(() => room.close());
  room.begin(REQUEST);
  room.begin({ ...REQUEST, id: 'l2' });
  datapath.unheard = 'no tracepoint';
  const { unheard } = await apply();
  const gap = { look: 'l1', ifindex: 5, hook: 'ingress', message: 'occupied' } as const;
  room.applied([gap], unheard, room.wishes());
  datapath.seen = ['l1', 'l2', 'l1', 'gone'].map((look) => ({ look }) as LookPacket);
  datapath.heard = ['l2', 'gone'].map((look) => ({ look }) as LookDrop);
  await until('a report of each', () => reports.some(({ packets }) => packets.length === 1));
  const seen = reports.filter(({ packets }) => packets.length > 0);
  assert.deepEqual(
    seen.map(({ look, packets, drops, counts, unseen, ...more }) => {
      return [look, packets.length, counts.written, drops.length, counts.dropsHeard, unseen, more];
    }),
    [
      ['l1', 2, 2, 0, 0, [gap], { unheard: 'no tracepoint' }],
      ['l2', 1, 1, 1, 1, [], { unheard: 'no tracepoint' }],
    ],
  );
});

/** A bridge of two guests and a NIC, and an edge. */
const LINKS: Link[] = [
  link('tap1', 5, { alias: 'mirrorplane:kind=vm;id=web-1/0', master: 8 }),
  link('tap2', 6, { alias: 'mirrorplane:kind=vm;id=db-1/0', master: 8 }),
  link('eth0', 7, { linkType: '', master: 8 }),
  link('br0', 8, { linkType: 'bridge' }),
  link('eth1', 9, { linkType: '' }),
];
const FORWARDING: ForwardingEntry[] = [
  { bridge: 8, mac: '02:00:00:00:0a:01', port: 5 },
  { bridge: 8, mac: '02:00:00:00:0a:02', port: 6 },
  { bridge: 8, mac: '02:00:00:00:0a:03', port: 7 },
];
const PROGRAM: NodeProgram = {
  ...{ node: 'node-1', revision: 1, copyVlans: [], standby: [], handingOver: [], deliveries: [], terminations: [] },
  edges: [{ interface: 'uplink', device: 'eth1' }],
  captures: ['db-1/0', 'away-1/0'].map((source, sourceSlot) => ({
    ...{ id: `p1/${source}`, policy: 'p1', source, kind: 'vm', sourceSlot, direction: 'all', percent: 100 },
    delivery: 'd1',
  })) as NodeProgram['captures'],
};

function planOf(of: LookWish['of'], links = LINKS) {
  const { devices } = identify(
    links,
    PROGRAM.edges,
    new Map(),
    () => [],
    () => false,
  );
  const wish = { id: 'l1', of, words: compileWords('tcp'), length: 128, packetRate: 10, byteRate: 10, endsAt: 5 };
  const { looks, unseen } = planLooks([wish], PROGRAM, { devices, links, forwarding: FORWARDING });
  const { hooks, ports = [], guests = [] } = looks[0]!;
  return {
    hooks: hooks.map(({ ifindex, hook, place }) => `${ifindex} ${hook} ${place}`),
    ports: ports.map(({ ifindex, hook, bridge }) => `${ifindex} ${hook} ${bridge}`),
    guests: guests.map(({ ifindex, mac }) => `${ifindex} ${mac}`),
    unseen: unseen.map(({ ifindex, hook }) => `${ifindex} ${hook}`),
    ...(looks[0]!.isOnOpenVswitch && { isOnOpenVswitch: true }),
  };
}

test('looks at a guest at its device, and at every way into its bridge for its addresses alone', () => {
  assert.deepEqual(planOf({ interfaces: ['web-1/0', 'nobody/0'] }), {
    hooks: ['5 ingress sent', '5 egress delivered'],
    ports: ['5 ingress 8', '6 ingress 8', '7 ingress 8', '8 egress 8'],
    guests: ['5 02:00:00:00:0a:01'],
    unseen: [],
  });
});

test('notes that a device is a port of Open vSwitch, whose drops a kernel may not tell', () => {
  const ovs = LINKS.map((one) => (one.ifindex === 8 ? { ...one, linkType: 'openvswitch' } : one));
  assert.equal(planOf({ interfaces: ['web-1/0'] }, ovs).isOnOpenVswitch, true);
  assert.equal(planOf({ interfaces: ['uplink'] }, ovs).isOnOpenVswitch, undefined);
});

test('looks at the sources of a policy that are on this node', () => {
  assert.deepEqual(planOf({ policy: 'p1' }).guests, ['6 02:00:00:00:0a:02']);
  assert.deepEqual(planOf({ policy: 'other' }), { hooks: [], ports: [], guests: [], unseen: [] });
});

test('looks at an edge at its device alone, where packets of the network arrive', () => {
  const { hooks, ports } = planOf({ interfaces: ['uplink'] });
  assert.deepEqual([hooks, ports], [['9 egress sent', '9 ingress arrived'], []]);
});

test('follows a guest to the device that it has now', () => {
  const [tap, ...others] = LINKS as [Link, ...Link[]];
  const moved = planOf({ interfaces: ['web-1/0'] }, [{ ...tap, ifindex: 15 }, ...others]);
  assert.deepEqual(moved.hooks, ['15 ingress sent', '15 egress delivered']);
});
