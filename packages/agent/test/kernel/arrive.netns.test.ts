/**
 * Frames towards a mirrored guest are copied exactly once, whatever other guests, a firewall or the
 * bridge do with the frames.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Datapath } from '../../src/datapath/datapath.ts';
import type { ForwardingEntry } from '../../src/discovery/forwarding.ts';
import { planArrivals } from '../../src/reconcile/arrivals.ts';
import { attachForeign, foreignObject } from './support/foreign.ts';
import { BY_CLSACT, programsAt } from './support/hook.ts';
import { addBridge, addVeth, enterOwnNamespace, leftPins, link, newDatapath, run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, localTo, stateOf } from './support/world.ts';

/** Guests of one bridge. `web` and `spy` are mirrored, `web` to `ids` and `spy` to `log`. */
const GUESTS = ['web', 'spy', 'far'] as const;
type Guest = (typeof GUESTS)[number];
const MAC: Record<Guest, string> = { web: '020000000b01', spy: '020000000b02', far: '020000000b03' };
/**
 * An address that moves between guests (RFC 9568, 7.3), an address that no guest has, and the
 * broadcast address.
 */
const VIRTUAL = '00005e000107';
const NOBODY = '020000000bff';
const ALL = 'ffffffffffff';

let datapath: Datapath;
const sockets = new Map<Guest, RawSocket>();
let bridge: number;

before(async () => {
  enterOwnNamespace();
  for (const name of [...GUESTS, 'ids', 'log']) {
    addVeth(name);
  }
  addBridge('lan', [...GUESTS]);
  bridge = link('lan').ifindex;
  ({ datapath } = newDatapath());
  await datapath.open();
  for (const guest of GUESTS) {
    sockets.set(guest, new RawSocket(`${guest}p`));
  }
  run('nft', 'add table bridge t');
});
after(async () => {
  for (const socket of sockets.values()) {
    socket.close();
  }
  await datapath?.uninstall();
  assert.deepEqual(leftPins(), []);
});

/** A frame with a number. */
function frame(to: string, from: string, number = 0): Buffer {
  const numbered = Buffer.alloc(60);
  numbered.writeUInt32BE(number);
  return Buffer.concat([Buffer.from(`${to}${from}88b5`, 'hex'), numbered]);
}

/** The bridge's table as the kernel has it, read by ip-bridge. */
function table(): ForwardingEntry[] {
  const rows: { mac: string; ifname: string; state?: string }[] = JSON.parse(
    run('bridge', '-j', 'fdb', 'show', 'br', 'lan'),
  );
  return rows.flatMap(({ mac, ifname, state }) =>
    state === 'permanent' ? [] : [{ bridge, mac, port: link(ifname).ifindex }],
  );
}

/** Applies the agent's state for the bridge's table of this moment, or for another table. */
async function apply(entries = table()): Promise<string> {
  const base = { permanentMac: '', mtu: 1500, up: true, alias: '', ethernet: true, forwarding: true };
  const links = [
    ...GUESTS.map((guest) => ({ ...base, ...link(guest), name: guest, mac: '', master: bridge, linkType: 'veth' })),
    { ...base, name: 'lan', ifindex: bridge, mac: '', master: 0, linkType: 'bridge' },
  ];
  const captures = [
    ...capturesOf(link('web').ifindex, 'L', { source: 'web' }),
    ...capturesOf(link('spy').ifindex, 'S', { source: 'spy' }),
  ];
  const guests = new Set(GUESTS.map((guest) => link(guest).ifindex));
  const deliveries = [localTo(link('ids').ifindex), localTo(link('log').ifindex, { id: 'S' })];
  const { problems } = await datapath.apply(
    stateOf({ ...planArrivals(captures, links as never, entries, guests), deliveries }),
  );
  return problems.map(({ code }) => code).join();
}

/**
 * The frames from `far` that `web` and the destinations receive during `send`: numbers in order.
 */
async function seen(send: (far: (to: string, number: number) => void) => void) {
  const places = ['webp', 'idsp', 'logp'];
  const sniffers = await Promise.all(places.map((device) => Sniffer.start(device)));
  const inbound = async (source: string) => countsOf(await datapath.counters(), 'inbound', source).matched.packets;
  const before = [await inbound('web'), await inbound('spy')];
  send((to, number) => sockets.get('far')!.send(frame(to, MAC.far, number)));
  // A last frame for each destination: when it has arrived, all the others have arrived too.
  sockets.get('web')!.send(frame(ALL, MAC.web, 0xffff));
  sockets.get('spy')!.send(frame(ALL, MAC.spy, 0xffff));
  const numbers = (frames: readonly Buffer[]) =>
    frames.filter((found) => found.subarray(6, 12).toString('hex') === MAC.far).map((found) => found.readUInt32BE(14));
  const ended = (frames: readonly Buffer[]) => frames.filter((found) => found.readUInt32BE(14) === 0xffff).length > 0;
  for (const sniffer of sniffers) {
    for (let tries = 0; !ended(sniffer.frames()); tries++) {
      assert.ok(tries < 500, 'the last frame came');
      await new Promise((done) => setTimeout(done, 10));
    }
  }
  const [web, ids, log] = sniffers.map((sniffer) => numbers(sniffer.frames()));
  for (const sniffer of sniffers) {
    sniffer.close();
  }
  assertSumsClose(await datapath.counters());
  return { web, ids, log, matched: (await inbound('web')) - before[0]!, spied: (await inbound('spy')) - before[1]! };
}

/** Makes both guests and the far one known to the bridge, by frames that no test counts. */
async function learn(): Promise<void> {
  for (const guest of GUESTS) {
    sockets.get(guest)!.send(frame(ALL, MAC[guest]));
  }
  assert.equal(await apply(), '');
}

test('a frame with the address of its neighbour, which the firewall drops, takes no copy from the neighbour', async () => {
  await learn();
  run('nft', 'add chain bridge t spoof { type filter hook prerouting priority -300; }');
  run('nft', `add rule bridge t spoof iifname "spy" ether saddr != ${MAC.spy.match(/../g)!.join(':')} drop`);
  const result = await seen((far) => {
    for (let i = 0; i < 30; i++) {
      if (i % 3 === 0) {
        sockets.get('spy')!.send(frame(ALL, MAC.web));
      }
      far(MAC.web, i);
    }
  });
  run('nft', 'delete chain bridge t spoof');
  const all = Array.from({ length: 30 }, (_, i) => i);
  // The last broadcasts: one from `spy` to `web`, and one from `web` to `spy`.
  assert.deepEqual(result, { web: all, ids: all, log: [], matched: 31, spied: 1 });
});

test('a frame is copied once, whether a firewall on the bridge drops or passes it', async () => {
  await learn();
  run('nft', 'add chain bridge t drops { type filter hook forward priority 0; }');
  run('nft', 'add rule bridge t drops oifname "web" ether type 0x88b5 @ll,112,32 < 10 drop');
  const result = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(MAC.web, i);
    }
  });
  run('nft', 'delete chain bridge t drops');
  const all = Array.from({ length: 20 }, (_, i) => i);
  assert.deepEqual([result.web, result.ids, result.log], [all.slice(10), all, []]);
});

test('an address that moves to a neighbour takes only its own frames with it', async () => {
  await learn();
  sockets.get('web')!.send(frame(ALL, VIRTUAL));
  await apply();
  // The earlier table is still in force: the agent has not heard of the move.
  sockets.get('spy')!.send(frame(ALL, VIRTUAL));
  const { web, ids } = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(MAC.web, i);
    }
  });
  assert.deepEqual([web, ids], [Array.from({ length: 20 }, (_, i) => i), Array.from({ length: 20 }, (_, i) => i)]);
  await apply();
  const after = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(VIRTUAL, i);
    }
  });
  assert.deepEqual([after.web, after.ids, after.log], [[], [], Array.from({ length: 20 }, (_, i) => i)]);
});

test('frames with a destination rewritten inside the bridge are copied for the guest that gets them', async () => {
  await learn();
  const colons = MAC.web.match(/../g)!.join(':');
  run('nft', 'add chain bridge t rewrite { type filter hook prerouting priority -300; }');
  run(
    'nft',
    `add rule bridge t rewrite iifname "far" ether daddr ${NOBODY.match(/../g)!.join(':')} ether daddr set ${colons}`,
  );
  const result = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(i % 2 ? NOBODY : MAC.web, i);
    }
  });
  run('nft', 'delete chain bridge t rewrite');
  const all = Array.from({ length: 20 }, (_, i) => i);
  assert.deepEqual([result.web, result.ids, result.log], [all, all, []]);
});

test('an outdated table loses no copy: frames count for the guest that gets them', async () => {
  await learn();
  const wrong = table().map((entry) => ({ ...entry, port: link('spy').ifindex }));
  await apply(wrong);
  const { web, ids } = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(MAC.web, i);
    }
  });
  const all = Array.from({ length: 20 }, (_, i) => i);
  assert.deepEqual([web, ids], [all, all]);
  await apply();
});

test('a guest that floods its bridge with addresses takes no copy from anybody, and its own go on', async () => {
  await learn();
  const spy = link('spy').ifindex;
  const flood = Array.from({ length: 70_000 }, (_, i) => ({
    bridge,
    port: spy,
    mac: `02:00:${(i + 0x66000000).toString(16).match(/../g)!.join(':')}`,
  }));
  assert.equal(await apply([...table(), ...flood]), '');
  const result = await seen((far) => {
    for (let i = 0; i < 10; i++) {
      far(MAC.web, i);
    }
    for (let i = 10; i < 20; i++) {
      far(MAC.spy, i);
    }
  });
  const numbers = (from: number) => Array.from({ length: 10 }, (_, i) => from + i);
  assert.deepEqual([result.web, result.ids, result.log], [numbers(0), numbers(0), numbers(10)]);
  await apply();
});

/**
 * Applies until a state holds, as an agent does twice a second. Returns the problems of the last
 * time.
 */
async function applyUntil(holds: (problems: string) => boolean): Promise<string> {
  for (let tries = 0; ; tries++) {
    const problems = await apply();
    if (holds(problems)) {
      return problems;
    }
    assert.ok(tries < 100, `not as it should be: ${problems || 'no problems'}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * A filter behind ours that gives every packet a class. The qdisc exists already if our programs
 * are filters.
 */
function addFilter(device: string, side: 'ingress' | 'egress'): void {
  if (!BY_CLSACT) {
    run('tc', 'qdisc', 'add', 'dev', device, 'clsact');
  }
  const match = ['u32', 'match', 'u32', '0', '0', 'flowid', ':1'];
  run('tc', 'filter', 'add', 'dev', device, side, 'pref', '9', 'protocol', 'all', ...match);
}

const NUMBERS = Array.from({ length: 20 }, (_, i) => i);
const sendAll = (far: (to: string, number: number) => void) => {
  for (const number of NUMBERS) {
    far(MAC.web, number);
  }
};

/**
 * The firewall drops half of the frames. All frames are copied once, and none is reported as
 * unseen.
 */
async function assertSeenThrough(send = sendAll): Promise<void> {
  run('nft', 'add chain bridge t drops { type filter hook forward priority 0; }');
  run('nft', 'add rule bridge t drops oifname "web" ether type 0x88b5 @ll,112,32 < 10 drop');
  try {
    const { web, ids, log, matched } = await seen(send);
    assert.deepEqual([web, ids, log, matched], [NUMBERS.slice(10), NUMBERS, [], 21]);
  } finally {
    run('nft', 'delete chain bridge t drops');
  }
}

test('a program of someone else that comes after ours and ends the chain makes no copy double, and the firewall hides nothing', async () => {
  await learn();
  const far = link('far').ifindex;
  const foreign = attachForeign(foreignObject(), far, 'ingress', 'end_chain');
  try {
    await applyUntil(() => programsAt(far, 'ingress').at(-1) === foreign.id);
    await apply();
    await assertSeenThrough();
  } finally {
    foreign.close();
  }
  await applyUntil((problems) => problems === '');
});

test('a filter at another port, for example a limit of libvirt, duplicates no copy, and the firewall hides none', async () => {
  await learn();
  addFilter('far', 'ingress');
  assert.equal(await apply(), '');
  await assertSeenThrough();
  // Equal frames, one after another: each is copied as often as it is sent.
  const { web, ids } = await seen((far) => {
    for (let i = 0; i < 20; i++) {
      far(MAC.web, 7);
    }
  });
  assert.deepEqual([web, ids], [Array(20).fill(7), Array(20).fill(7)]);
  run('tc', 'filter', 'del', 'dev', 'far', 'ingress', 'pref', '9');
  assert.equal(await apply(), '');
  await assertSeenThrough();
});

test('a filter behind ours where the node itself sends into the bridge makes no copy double', async () => {
  await learn();
  addFilter('lan', 'egress');
  assert.equal(await apply(), '');
  const node = new RawSocket('lan');
  const { web, ids } = await seen(() => {
    for (const number of NUMBERS) {
      node.send(frame(MAC.web, MAC.far, number));
    }
  });
  node.close();
  assert.deepEqual([web, ids], [NUMBERS, NUMBERS]);
  run('tc', 'filter', 'del', 'dev', 'lan', 'egress', 'pref', '9');
  assert.equal(await apply(), '');
});
