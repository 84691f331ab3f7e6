/**
 * A destination that sends its copies on harms no original, and own frames of a destination always
 * pass. All cases share one bridge and its guests, so they stand in one file.
 */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DatapathState, HookCapture, LocalDeliveryEntry } from '../../src/datapath/datapath.ts';
import { planArrivals } from '../../src/reconcile/arrivals.ts';
import { programsAt } from './support/hook.ts';
import { link, run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import {
  assertSumsClose,
  capturesOf,
  countsOf,
  erspanFrom,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useNetwork,
} from './support/world.ts';

/** Guests of one bridge: `web` is mirrored to `ids`, and talks to `far`. */
const GUESTS = ['web', 'far', 'ids'] as const;
type Guest = (typeof GUESTS)[number];
const MAC: Record<Guest, string> = { web: '020000000c01', far: '020000000c02', ids: '020000000c03' };
const ALL = 'ffffffffffff';
const COUNT = 20;

const { datapath, socket } = await useNetwork({
  devices: { web: {}, far: {}, ids: {} },
  bridge: [...GUESTS],
  sockets: ['webp', 'farp', 'idsp', 'undp'],
});
/**
 * Each test has different addresses, so that addresses remembered from other tests do not matter.
 */
let nextAddress = 0;
const address = () => `0200000d${(++nextAddress).toString(16).padStart(4, '0')}`;

afterEach(() => stopReflecting());

/** The guest of `ids` sends each frame that it gets again, as a bridge or an inline sensor does. */
function reflect(): void {
  run('tc', 'qdisc', 'add', 'dev', 'idsp', 'clsact');
  const filter = 'protocol all u32 match u32 0 0 action mirred egress redirect dev idsp';
  run('tc', 'filter', 'add', 'dev', 'idsp', 'ingress', ...filter.split(' '));
}

function stopReflecting(): void {
  run('sh', '-c', 'tc qdisc del dev idsp clsact 2>/dev/null || true');
}

function frame(to: string, from: string, number = 0): Buffer {
  const numbered = Buffer.alloc(60);
  numbered.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(`${to}${from}88b5`, 'hex'), numbered]);
}

function send(guest: Guest, to: string, from: string, first: number, count = COUNT): void {
  for (let i = 0; i < count; i++) {
    socket(`${guest}p`).send(frame(to, from, first + i));
  }
}

/** Applies with unicast captured where it arrives, as an agent does it. */
async function apply(
  captures: HookCapture[],
  delivery: Partial<LocalDeliveryEntry> = {},
  more: Partial<DatapathState> = {},
) {
  const bridge = link('lan').ifindex;
  const base = { permanentMac: '', mtu: 1500, up: true, alias: '', ethernet: true, forwarding: true };
  const links = [
    ...GUESTS.map((guest) => ({ ...base, ...link(guest), name: guest, mac: '', master: bridge, linkType: 'veth' })),
    { ...base, name: 'lan', ifindex: bridge, mac: '', master: 0, linkType: 'bridge' },
  ];
  const table: { mac: string; ifname: string; state?: string }[] = JSON.parse(
    run('bridge', '-j', 'fdb', 'show', 'br', 'lan'),
  );
  const entries = table.flatMap(({ mac, ifname, state }) =>
    state === 'permanent' ? [] : [{ bridge, mac, port: link(ifname).ifindex }],
  );
  const guests = new Set(GUESTS.map((guest) => link(guest).ifindex));
  const deliveries = [{ ...localTo(link('ids').ifindex), ...delivery } as LocalDeliveryEntry];
  const state = stateOf({ ...planArrivals(captures, links as never, entries, guests), deliveries, ...more });
  assert.deepEqual((await datapath.apply(state)).problems, []);
}

const mirrored = (guest: Guest, more: Partial<HookCapture> = {}) =>
  capturesOf(link(guest).ifindex, 'L', { source: guest, ...more });

async function feedback(): Promise<number> {
  const { deliveries } = await datapath.counters();
  return deliveries.find(({ delivery }) => delivery === 'L')?.feedback?.packets ?? 0;
}

/** The port behind which the bridge has an address. */
function portOf(mac: string): string | undefined {
  const rows: { mac: string; ifname: string }[] = JSON.parse(run('bridge', '-j', 'fdb', 'show', 'br', 'lan'));
  return rows.find((row) => row.mac.replaceAll(':', '') === mac)?.ifname;
}

const numbers = (frames: readonly Buffer[]) => frames.map((found) => found.readUInt32BE(14)).sort((a, b) => a - b);
const range = (first: number, times = 1) =>
  Array.from({ length: COUNT }, (_, i) => Array<number>(times).fill(first + i)).flat();

/**
 * The frames that guests receive while `body` runs, and until `settle` is true: numbers in order.
 */
async function received(
  places: readonly Guest[],
  body: () => void,
  settle: (frames: Record<string, Buffer[]>) => boolean | Promise<boolean>,
): Promise<Record<string, number[]>> {
  const sniffers = await Promise.all(places.map((guest) => Sniffer.start(`${guest}p`)));
  const frames = () => Object.fromEntries(places.map((guest, i) => [guest, sniffers[i]!.frames()]));
  try {
    body();
    await until('all frames', () => settle(frames()));
    // Each frame is processed within the call that sends it. When this last frame is in the file,
    // all earlier ones are.
    return Object.fromEntries(Object.entries(frames()).map(([guest, found]) => [guest, numbers(found)]));
  } finally {
    for (const sniffer of sniffers) {
      sniffer.close();
    }
  }
}

/** Packets of the other node with copies. */
function erspan(copies: readonly Buffer[]): Buffer[] {
  const [sourceMac, destinationMac] = [link('undp').address, link('und').address];
  const outer = { source: OTHER_ADDRESS, address: OWN_ADDRESS, sourceMac, destinationMac, session: SESSION };
  return scapy({ erspan: copies.map((inner) => ({ ...outer, inner })) }).erspan;
}

/** Lets the bridge know where its guests are. */
function introduce(): void {
  for (const guest of GUESTS) {
    socket(`${guest}p`).send(frame(ALL, MAC[guest], 0xffff));
  }
}

for (const direction of ['all', 'inbound', 'outbound'] as const) {
  test(`${direction}: copies that the destination sends again are stopped at its port, and originals lose nothing`, async () => {
    introduce();
    await apply(mirrored('web').filter((capture) => direction === 'all' || capture.direction === direction));
    reflect();
    const before = await feedback();
    const copies = direction === 'all' ? 2 * COUNT : COUNT;
    const seen = await received(
      GUESTS,
      () => {
        for (let i = 0; i < COUNT; i++) {
          socket('webp').send(frame(MAC.far, MAC.web, 1000 + i));
          socket('farp').send(frame(MAC.web, MAC.far, 2000 + i));
        }
      },
      async ({ ids, web, far }) =>
        ids!.length >= copies && web!.length >= COUNT && far!.length >= COUNT && (await feedback()) - before >= copies,
    );
    assert.deepEqual(seen.far, range(1000), 'each original once at far');
    assert.deepEqual(seen.web, range(2000), 'each original once at web');
    assert.equal(seen.ids!.length, copies, 'each copy once');
    assert.equal((await feedback()) - before, copies);
    assert.deepEqual([portOf(MAC.web), portOf(MAC.far)], ['web', 'far']);
    assertSumsClose(await datapath.counters());
  });
}

test('copies that are cut to the destination, and those from another node, are recognised too', async () => {
  introduce();
  const [near, remote] = [address(), address()];
  await apply(
    mirrored('web', { mtu: 9000 }),
    {},
    {
      mirrorDevice: link('und').ifindex,
      terminations: [erspanFrom('L')],
    },
  );
  reflect();
  const before = await feedback();
  const [packet] = erspan([frame(MAC.far, remote, 7)]);
  const seen = await received(
    ['far', 'ids'],
    () => {
      send('web', MAC.far, near, 1000);
      socket('undp').send(packet!);
    },
    async (frames) =>
      frames.far!.length >= COUNT && frames.ids!.length >= COUNT + 1 && (await feedback()) - before >= COUNT + 1,
  );
  assert.deepEqual(seen.far, range(1000));
  assert.deepEqual(seen.ids, [7, ...range(1000)]);
  assert.deepEqual([portOf(near), portOf(remote)], ['web', undefined]);
});

test('a policy that allows it lets them through; they are counted, and not copied again', async () => {
  const [near, distant] = [address(), address()];
  socket('farp').send(frame(ALL, distant, 0xffff));
  await apply([...mirrored('web'), ...mirrored('far')], { allowFeedback: true });
  reflect();
  const before = await feedback();
  const counts = async () => {
    const report = await datapath.counters();
    const inbound = countsOf(report, 'inbound', 'far');
    return [
      countsOf(report, 'outbound', 'web').matched.packets,
      inbound.matched.packets,
      inbound.skipped.isCopy?.packets ?? 0,
    ];
  };
  const earlier = await counts();
  // Each is copied twice: as web sends it and as far receives it.
  const seen = await received(
    ['far', 'ids'],
    () => send('web', distant, near, 1000),
    (frames) => frames.far!.length >= 3 * COUNT && frames.ids!.length >= 2 * COUNT,
  );
  assert.deepEqual(seen.far, range(1000, 3));
  assert.deepEqual(seen.ids, range(1000, 2));
  assert.equal((await feedback()) - before, 2 * COUNT);
  const now = await counts();
  assert.deepEqual(
    now.map((count, i) => count - earlier[i]!),
    [COUNT, COUNT, 2 * COUNT],
  );
});

test('a policy that is changed to allow it, or not to, does so from the next frame on', async () => {
  introduce();
  const near = address();
  for (const [round, allowFeedback] of [false, true, false, true].entries()) {
    await apply(mirrored('web'), { allowFeedback });
    reflect();
    const before = await feedback();
    const first = 1000 * (round + 1);
    const seen = await received(
      ['far'],
      () => send('web', MAC.far, near, first),
      async ({ far }) => far!.length >= (allowFeedback ? 2 : 1) * COUNT && (await feedback()) - before >= COUNT,
    );
    assert.deepEqual(seen.far, range(first, allowFeedback ? 2 : 1), `allowFeedback: ${allowFeedback}`);
    assert.equal((await feedback()) - before, COUNT);
    stopReflecting();
  }
});

test('of two policies with one destination, each has what it says: the one that does not allow it wins for an address of both', async () => {
  introduce();
  const [open, guarded] = [address(), address()];
  const deliveries = [
    { ...localTo(link('ids').ifindex), allowFeedback: true } as LocalDeliveryEntry,
    { ...localTo(link('ids').ifindex, { id: 'G' }), policy: 'guarded' },
  ];
  const captures = [...mirrored('web'), ...mirrored('far', { delivery: 'G', policy: 'guarded' })].filter(
    (capture) => capture.direction === 'outbound',
  );
  await apply(captures, {}, { deliveries });
  reflect();
  const both = async () => {
    const { deliveries: reports } = await datapath.counters();
    return ['L', 'G'].map((id) => reports.find(({ delivery }) => delivery === id)?.feedback?.packets ?? 0);
  };
  const before = await both();
  const gained = async () => (await both()).map((count, i) => count - before[i]!);
  await received(
    ['web', 'far'],
    () => {
      send('web', MAC.far, open, 1000);
      send('far', MAC.web, guarded, 2000);
    },
    async () => (await gained()).every((count) => count >= COUNT),
  );
  assert.deepEqual(await gained(), [COUNT, COUNT]);
  assert.deepEqual([portOf(open), portOf(guarded)], ['ids', 'far']);
  send('far', MAC.web, open, 3000, 1);
  send('web', MAC.far, open, 4000, 1);
  await until('both are recognised', async () => (await gained()).reduce((a, b) => a + b) >= 2 * COUNT + 2);
  assert.equal(portOf(open), 'web', 'an address of both is stopped');
});

test('frames of the destination pass with addresses that it used first, also if such frames come in', async () => {
  introduce();
  const nested = address();
  await apply(mirrored('web'));
  const before = await feedback();
  for (const own of [MAC.ids, nested]) {
    for (const first of [1000, 2000]) {
      // Each is copied as web receives it, and the copy goes into ids with the address of ids.
      const seen = await received(
        ['web', 'ids'],
        () => send('ids', MAC.web, own, first),
        (frames) => frames.web!.length >= COUNT && frames.ids!.length >= COUNT,
      );
      assert.deepEqual([seen.web, seen.ids], [range(first), range(first)]);
    }
  }
  assert.equal(await feedback(), before);
});

test('copies of what the destination itself has sent are not copied again where it sends them on', async () => {
  introduce();
  const own = address();
  await apply(mirrored('web'), {}, { mirrorDevice: link('und').ifindex, terminations: [erspanFrom('L')] });
  send('ids', MAC.far, own, 1, 1);
  const [packet] = erspan([frame(MAC.far, own, 7)]);
  reflect();
  const counts = async () => {
    const report = await datapath.counters();
    const { delivered, dropped } = report.terminations[0]!;
    const { matched, skipped } = countsOf(report, 'inbound', 'web');
    return [matched.packets, skipped.isCopy?.packets ?? 0, delivered.packets, dropped.feedback?.packets ?? 0];
  };
  const before = await counts();
  const change = async () => (await counts()).map((count, i) => count - before[i]!);
  // Captured on this node, as web receives it: the frame itself, and the copy that ids sends on.
  const near = await received(
    ['web', 'ids'],
    () => send('ids', MAC.web, own, 1000),
    (frames) => frames.web!.length >= 2 * COUNT && frames.ids!.length >= COUNT,
  );
  assert.deepEqual([near.web, near.ids], [range(1000, 2), range(1000)]);
  assert.deepEqual(await change(), [COUNT, COUNT, 0, 0]);
  // Captured on another node: a second copy comes back from there, of the copy that ids has sent
  // on.
  const far = await received(
    ['far', 'ids'],
    () => {
      send('ids', MAC.far, own, 7, 1);
      for (let i = 0; i < 2; i++) {
        socket('undp').send(packet!);
      }
    },
    async (frames) => (await change())[3] === 1 && frames.far!.length >= 2 && frames.ids!.length >= 1,
  );
  assert.deepEqual([far.far, far.ids], [[7, 7], [7]]);
  assert.deepEqual(await change(), [COUNT, COUNT, 1, 1]);
});

test('an address that moves to the destination is taken when it is announced there', async () => {
  introduce();
  const moving = '00005e00010c';
  await apply(mirrored('web'));
  send('web', MAC.far, moving, 1000, 1);
  const before = await feedback();
  const unannounced = await received(
    ['far'],
    () => send('ids', MAC.far, moving, 2000),
    async () => (await feedback()) > before,
  );
  assert.deepEqual([unannounced.far, (await feedback()) - before], [[], COUNT]);
  assert.equal(portOf(moving), 'web');
  // VRRP (RFC 9568): a multicast of the link.
  socket('idsp').send(frame('01005e000012', moving, 3000));
  assert.equal(portOf(moving), 'ids');
  const seen = await received(
    ['far'],
    () => send('ids', MAC.far, moving, 4000),
    (frames) => frames.far!.length >= COUNT,
  );
  assert.deepEqual(seen.far, range(4000));
  assert.equal((await feedback()) - before, COUNT);
});

test('the first address that a guest uses where it has come from another node is its own', async () => {
  introduce();
  const own = address();
  await datapath.apply(stateOf({}));
  await apply(mirrored('web'), { arriving: true });
  const before = await feedback();
  // A copy of what the guest has sent to web before it came.
  send('far', MAC.web, own, 1, 1);
  const seen = await received(
    ['web'],
    () => send('ids', MAC.web, own, 1000),
    ({ web }) => web!.length >= COUNT,
  );
  assert.deepEqual([seen.web, await feedback()], [range(1000), before]);
  // The next one is not.
  const other = address();
  send('web', MAC.far, other, 2000, 1);
  send('ids', MAC.far, other, 3000, 1);
  await until('it is stopped', async () => (await feedback()) === before + 1);
});

test('a broadcast that is sent again announces nothing, be it a copy or an original, tagged or not', async () => {
  introduce();
  const [near, distant] = [address(), address()];
  await apply(mirrored('web'));
  reflect();
  const before = await feedback();
  const tagged = (plain: Buffer) =>
    Buffer.concat([plain.subarray(0, 12), Buffer.from('81000064', 'hex'), plain.subarray(12)]);
  // Those of web come to ids as originals and as copies, outbound; those of far as originals and as
  // copies, inbound.
  const sent = [frame(ALL, near, 1), frame('01005e000001', near, 2), tagged(frame(ALL, near, 3))];
  for (const one of sent) {
    socket('webp').send(one);
  }
  for (const one of sent) {
    socket('farp').send(Buffer.concat([one.subarray(0, 6), Buffer.from(distant, 'hex'), one.subarray(12)]));
  }
  await until('all are recognised', async () => (await feedback()) - before >= 2 * 2 * sent.length);
  assert.deepEqual([portOf(near), portOf(distant)], ['web', 'far']);
  send('web', MAC.far, near, 1000);
  send('far', MAC.web, distant, 1000);
  await until('unicast is recognised', async () => (await feedback()) - before >= 2 * 2 * sent.length + 2 * COUNT);
  assert.deepEqual([portOf(near), portOf(distant)], ['web', 'far']);
});

test('an original that the destination sends again before its address is copied does not make the address its own', async () => {
  introduce();
  const distant = address();
  await apply(mirrored('web').filter(({ direction }) => direction === 'inbound'));
  reflect();
  // To ids alone: no copy has this address yet.
  socket('idsp').send(frame(ALL, MAC.ids, 0xffff));
  socket('farp').send(frame(MAC.ids, distant, 1));
  await apply(mirrored('web').filter(({ direction }) => direction === 'inbound'));
  const before = await feedback();
  const seen = await received(
    ['web'],
    () => send('far', MAC.web, distant, 1000),
    async (frames) => frames.web!.length >= COUNT && (await feedback()) - before >= COUNT,
  );
  assert.deepEqual(seen.web, range(1000));
  assert.equal(portOf(distant), 'far');
});

test('a destination that sends copies on is stopped as before where its policy ends and begins again at once', async () => {
  introduce();
  const near = address();
  for (let round = 0; round < 10; round++) {
    await apply(mirrored('web'));
    reflect();
    const before = await feedback();
    const seen = await received(
      ['far'],
      () => send('web', MAC.far, near, 1000 * (round + 1)),
      async ({ far }) => far!.length >= COUNT && (await feedback()) - before >= COUNT,
    );
    assert.deepEqual([seen.far, (await feedback()) - before], [range(1000 * (round + 1)), COUNT]);
    assert.equal(portOf(near), 'web');
    stopReflecting();
    await datapath.apply(stateOf({}));
  }
});

test("an address wrongly taken for the destination's is corrected by frames of its owner, once copies are sent on", async () => {
  introduce();
  const distant = address();
  await apply(mirrored('web'));
  const watched = () => programsAt(link('ids').ifindex, 'egress').length;
  await datapath.apply(stateOf({}));
  await apply(mirrored('web').filter((capture) => capture.direction === 'outbound'));
  assert.equal(watched(), 0, 'a destination that sends nothing on is not watched: that costs each copy');
  reflect();
  // The bridge does not know where this goes and sends it to all; what web receives is not copied.
  send('far', address(), distant, 1, 1);
  await until('ids has sent it on', () => portOf(distant) === 'ids');
  await apply(mirrored('web'));
  const before = await feedback();
  send('far', MAC.web, distant, 1000);
  send('web', MAC.far, MAC.web, 1000);
  await until('copies of web are recognised', async () => (await feedback()) - before >= COUNT);
  await apply(mirrored('web'));
  assert.equal(watched(), 1, 'what comes in is looked at now');
  send('far', MAC.ids, distant, 2000, 1);
  const second = await feedback();
  const seen = await received(
    ['web'],
    () => send('far', MAC.web, distant, 3000),
    async ({ web }) => web!.length >= COUNT && (await feedback()) - second >= COUNT,
  );
  assert.deepEqual(seen.web, range(3000));
  assert.equal(portOf(distant), 'far');
});

test('without a policy nothing is stopped, and nothing is attached', async () => {
  introduce();
  const near = address();
  await apply(mirrored('web'));
  send('web', MAC.far, near, 1000, 1);
  await datapath.apply(stateOf({}));
  const seen = await received(
    ['far'],
    () => send('ids', MAC.far, near, 2000),
    (frames) => frames.far!.length >= COUNT,
  );
  assert.deepEqual(seen.far, range(2000));
  // Known addresses are forgotten with the policy.
  await apply(mirrored('web'));
  const before = await feedback();
  const again = await received(
    ['far'],
    () => send('ids', MAC.far, near, 3000),
    (frames) => frames.far!.length >= COUNT,
  );
  assert.deepEqual([again.far, (await feedback()) - before], [range(3000), 0]);
});
