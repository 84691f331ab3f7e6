/**
 * Every kind of device that this kernel can make, judged by its netlink data. The accepted kinds
 * are also tried with traffic.
 */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { after, before, type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { EdgeBinding, NodeProgram } from '@mirrorplane/contract';
import type { Datapath } from '../../src/datapath/datapath.ts';
import { DEVICE_KINDS } from '../../src/discovery/device-kinds.ts';
import { identify, refusalOf } from '../../src/discovery/devices.ts';
import { featureReader, HW_TC_OFFLOAD } from '../../src/discovery/offload.ts';
import { dumpLinks } from '../../src/netlink/link.ts';
import { RtClient } from '../../src/netlink/rt-client.ts';
import { captureStatuses } from '../../src/reconcile/problems.ts';
import { reconcile } from '../../src/reconcile/reconcile.ts';
import { addVeth, enterOwnNamespace, leftPins, link, newDatapath, run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { Sniffer, sniffing } from './support/sniffer.ts';
import { TapGuest } from './support/tap-guest.ts';
import { assertSameFrames, countsOf } from './support/world.ts';

const client = new RtClient();
let datapath: Datapath;

before(async () => {
  enterOwnNamespace();
  addVeth('low'); // below macvlan and the like
  addVeth('dst'); // takes copies, in the tests of sources
  addVeth('src'); // is copied, in the tests of destinations
  run('ip', 'link', 'set', 'dst', 'alias', 'mirrorplane:kind=nfv;id=dst');
  run('ip', 'link', 'set', 'src', 'alias', 'mirrorplane:kind=vm;id=src');
  ({ datapath } = newDatapath());
  await datapath.open();
});
after(async () => {
  client.close();
  await datapath?.uninstall();
  assert.deepEqual(leftPins(), []);
});

/**
 * How a device `x` of each kind is made, and whether it must be accepted as a guest and as an edge.
 */
const KINDS: [kind: string, taken: '' | 'guest' | 'edge' | 'both', how: string][] = [
  ['tap', 'guest', 'tuntap add x mode tap'],
  ['veth', 'both', 'link add x type veth peer name xp'],
  ['bond', 'edge', 'link add x type bond'],
  ['team', 'edge', 'link add x type team'],
  ['vlan', 'edge', 'link add x link low type vlan id 5'],
  ['tun', '', 'tuntap add x mode tun'],
  ['bridge', '', 'link add x type bridge'],
  ['macvlan', '', 'link add x link low type macvlan mode bridge'],
  ['macvtap', 'guest', 'link add x link low type macvtap mode bridge'],
  ['ipvlan', '', 'link add x link low type ipvlan mode l2'],
  ['ipvtap', '', 'link add x link low type ipvtap mode l2'],
  ['macsec', '', 'link add x link low type macsec'],
  ['netkit', '', 'link add x type netkit'],
  ['dummy', '', 'link add x type dummy'],
  ['ifb', '', 'link add x type ifb'],
  ['vrf', '', 'link add x type vrf table 7'],
  ['vxlan', '', 'link add x type vxlan id 7 dstport 4789 remote 192.0.2.1'],
  ['geneve', '', 'link add x type geneve id 7 remote 192.0.2.1'],
  ['gretap', '', 'link add x type gretap local 192.0.2.2 remote 192.0.2.1'],
  ['ip6gretap', '', 'link add x type ip6gretap local 2001:db8::2 remote 2001:db8::1'],
  ['erspan', '', 'link add x type erspan local 192.0.2.2 remote 192.0.2.1 key 7 seq'],
  ['ip6erspan', '', 'link add x type ip6erspan local 2001:db8::2 remote 2001:db8::1 key 7 seq'],
  ['wireguard', '', 'link add x type wireguard'],
  // Kinds that the table does not know.
  ['gre', '', 'link add x type gre local 192.0.2.2 remote 192.0.2.1'],
  ['ipip', '', 'link add x type ipip local 192.0.2.2 remote 192.0.2.1'],
  ['sit', '', 'link add x type sit local 192.0.2.2 remote 192.0.2.1'],
  ['ip6tnl', '', 'link add x type ip6tnl local 2001:db8::2 remote 2001:db8::1'],
  ['vti', '', 'link add x type vti local 192.0.2.2 remote 192.0.2.1 key 7'],
  ['xfrm', '', 'link add x type xfrm dev low if_id 7'],
  ['hsr', '', 'link add x type hsr slave1 low slave2 dstp'],
  ['batadv', '', 'link add x type batadv'],
  ['nlmon', '', 'link add x type nlmon'],
  ['vcan', '', 'link add x type vcan'],
];

/** Messages of `ip` and the kernel for a missing kind. Any other message is a fault of the test. */
const NOT_HERE = /Unknown device type|Operation not supported|No such device|is unknown|Garbage/;

/**
 * Makes a device `x`. Returns false if the kernel does not have the kind; the test is then skipped.
 */
function made(t: TestContext, kind: string, ...steps: string[]): boolean {
  t.after(() => run('sh', '-c', 'ip link del x 2>/dev/null || true'));
  try {
    for (const step of steps) {
      run('ip', ...step.split(' '));
    }
    return true;
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr).trim();
    if (!NOT_HERE.test(said)) {
      throw error;
    }
    t.skip(`SKIPPED: no device of kind ${kind} here: ${said}`);
    return false;
  }
}

/** The result of discovery for the present devices. */
async function discover(edges: EdgeBinding[] = []) {
  const links = [...(await dumpLinks(client)).values()];
  return identify(links, edges, new Map(), undefined, ({ name }) => featureReader(HW_TC_OFFLOAD)(name));
}

/** A program that copies both directions of `source` to `destination`. */
function programOf(source: string, kind: 'vm' | 'edge', destination: string, edges: EdgeBinding[] = []): NodeProgram {
  const delivery = { id: `p-${source}/local`, policy: `p-${source}`, kind: 'local', interface: destination } as const;
  const base = { policy: delivery.policy, sourceSlot: 0, direction: 'all', percent: 100 } as const;
  return {
    node: 'node-1',
    revision: 1,
    edges,
    copyVlans: [],
    standby: [],
    handingOver: [],
    captures: [{ ...base, id: `p-${source}/${source}`, source, kind, delivery: delivery.id }],
    deliveries: [delivery],
    terminations: [],
  };
}

async function reconciled(program: NodeProgram) {
  const { devices } = await discover(program.edges);
  const underlay = { underlay: undefined, why: 'none', asked: false } as const;
  return reconcile(program, { devices, underlay, nextHops: new Map() });
}

test('the table of this test has every kind of the product but those that no command makes', () => {
  const here = new Set(KINDS.map(([kind]) => kind));
  const missing = Object.keys(DEVICE_KINDS).filter((kind) => !here.has(kind));
  // Hardware, another hypervisor, the datapath of Open vSwitch; the loopback device is always
  // there.
  assert.deepEqual(missing, ['xen-vif', 'representor', 'physical', 'openvswitch', 'loopback']);
});

for (const [kind, taken, how] of KINDS) {
  const words = { '': 'as nothing', guest: 'as a guest', edge: 'as an edge', both: 'as a guest and as an edge' };
  test(`a device of kind ${kind} is taken ${words[taken]}`, async (t) => {
    if (!made(t, kind, how)) {
      return;
    }
    run('ip', 'link', 'set', 'x', 'alias', 'mirrorplane:kind=vm;id=x');
    const asGuest = (await discover()).devices.find(({ name }) => name === 'x')!;
    const edges = [{ interface: 'x', device: 'x' }];
    const asEdge = (await discover(edges)).devices.find(({ name }) => name === 'x')!;
    assert.equal(asGuest.identity?.id, 'x');
    assert.equal(asEdge.identity?.kind, 'edge');
    const refused = [refusalOf(asGuest), refusalOf(asEdge)];
    t.diagnostic(`guest: ${refused[0] ?? 'yes'}; edge: ${refused[1] ?? 'yes'}`);
    const wanted = [taken === 'guest' || taken === 'both', taken === 'edge' || taken === 'both'];
    assert.deepEqual(
      refused.map((reason) => reason === undefined),
      wanted,
    );
    for (const reason of refused) {
      if (reason !== undefined) {
        assert.match(reason, /^x is .+: .+/);
      }
    }
    if (taken !== '') {
      return;
    }
    for (const role of ['vm', 'edge'] as const) {
      const bound = role === 'edge' ? edges : [];
      const source = await reconciled(programOf('x', role, 'dst', bound));
      assert.deepEqual(
        captureStatuses(source, []).map(({ state, code }) => [state, code]),
        [['refused', 'DEVICE_UNSUPPORTED']],
      );
      assert.ok(source.state.captures.every(({ ifindex }) => ifindex === 0));
      const destination = await reconciled(programOf('src', 'vm', 'x', bound));
      assert.ok(destination.state.deliveries.every(({ ifindex }) => ifindex === 0));
    }
  });
}

test('the loopback device is no edge', async () => {
  const { devices, problems } = await discover([{ interface: 'x', device: 'lo' }]);
  assert.match(refusalOf(devices.find(({ name }) => name === 'lo')!) ?? '', /loopback/);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['DEVICE_UNSUPPORTED'],
  );
});

/** The far side of a device under test: a guest, or the physical network. */
interface FarSide {
  send(frame: Buffer): void;
  /** Reads the arrived frames; waits for this number. */
  read(count: number): Promise<Buffer[]>;
  close(): Promise<void>;
}

async function farEnd(device: string, wrap: (frame: Buffer) => Buffer = (frame) => frame): Promise<FarSide> {
  const socket = new RawSocket(device);
  const sniffer = await Sniffer.start(device);
  return {
    send: (frame) => socket.send(wrap(frame)),
    read: (count) => sniffer.expect(count),
    async close() {
      socket.close();
      sniffer.close();
    },
  };
}

const tagged = (frame: Buffer) =>
  Buffer.concat([frame.subarray(0, 12), Buffer.from('81000005', 'hex'), frame.subarray(12)]);
/**
 * Frames that get no answer: an EtherType for experiments (IEEE 802, 9.2.3), to unused addresses.
 */
const frame = (to: string, text: string) =>
  Buffer.concat([Buffer.from(`${to}0200000000aa88b5`, 'hex'), Buffer.from(text.padEnd(60))]);

/** Accepted devices: how one is made, what is on its far side, and how its frames look there. */
const AT_WORK: {
  kind: string;
  role: 'vm' | 'edge';
  make: string[];
  far: () => Promise<FarSide>;
  there?: (frame: Buffer) => Buffer;
}[] = [
  { kind: 'tap', role: 'vm', make: [], far: async () => guestSide(await TapGuest.start('x')) },
  { kind: 'veth', role: 'vm', make: ['link add x type veth peer name xp'], far: () => farEnd('xp') },
  { kind: 'veth', role: 'edge', make: ['link add x type veth peer name xp'], far: () => farEnd('xp') },
  {
    kind: 'vlan',
    role: 'edge',
    make: ['link add x link low type vlan id 5'],
    far: () => farEnd('lowp', tagged),
    there: tagged,
  },
  {
    kind: 'bond',
    role: 'edge',
    make: ['link add x type bond mode active-backup', 'link set low down', 'link set low master x', 'link set low up'],
    far: () => farEnd('lowp'),
  },
];

function guestSide(guest: TapGuest): FarSide {
  return { send: (one) => guest.send(one), read: (count) => guest.read(count), close: () => guest.remove() };
}

for (const { kind, role, make, far, there = (one: Buffer) => one } of AT_WORK) {
  const [fromFar, fromHost] = role === 'vm' ? (['outbound', 'inbound'] as const) : (['inbound', 'outbound'] as const);
  test(`a ${kind} as ${role}: frames of its far side are ${fromFar}, frames of the node are ${fromHost}`, async (t) => {
    if (!made(t, kind, ...make)) {
      return;
    }
    run('sh', '-c', 'for device in x xp; do ip link set $device up 2>/dev/null || true; done');
    const side = await far();
    t.after(async () => {
      await side.close();
      await datapath.apply({ captures: [], deliveries: [], terminations: [], mirrorDevice: 0 });
      run('ip', 'link', 'set', 'low', 'up');
    });
    // Counters continue under an id that was used before.
    const id = `${kind}-${role}`;
    const edges = role === 'edge' ? [{ interface: id, device: 'x' }] : [];
    if (role === 'vm') {
      run('ip', 'link', 'set', 'x', 'alias', `mirrorplane:kind=vm;id=${id}`);
    }
    await until('x has a carrier', () => !run('ip', 'link', 'show', 'x').includes('NO-CARRIER'));
    const { state } = await reconciled(programOf(id, role, 'dst', edges));
    assert.deepEqual((await datapath.apply(state)).refused, []);
    const host = new RawSocket('x');
    t.after(() => host.close());
    const [received, sent] = [frame('0200000000bb', 'from the far side'), frame('0200000000cc', 'from the node')];
    await sniffing(['dstp'], async ([copies]) => {
      side.send(received);
      host.send(sent);
      host.send(sent);
      assertSameFrames(await side.read(2), [there(sent), there(sent)], 'originals');
      assertSameFrames(await copies.expect(3), [received, sent, sent], 'copies');
    });
    const report = await datapath.counters();
    assert.equal(countsOf(report, fromFar, id).copied.packets, 1);
    assert.equal(countsOf(report, fromHost, id).copied.packets, 2);
  });
}

test('a guest behind macvtap: sent frames are outbound, received frames are inbound, and it gets no copies', async (t) => {
  if (!made(t, 'macvtap', 'link add x link low type macvtap mode bridge')) {
    return;
  }
  run('ip', 'link', 'set', 'x', 'up');
  run('ip', 'link', 'set', 'x', 'alias', 'mirrorplane:kind=vm;id=macvtap');
  const guest = await TapGuest.openMacvtap('x');
  const network = await farEnd('lowp');
  t.after(async () => {
    await guest.remove();
    await network.close();
    await datapath.apply({ captures: [], deliveries: [], terminations: [], mirrorDevice: 0 });
  });
  const [own, all] = [link('x').address.replaceAll(':', ''), 'ffffffffffff'];
  const sent = frame('0200000000bb', 'from the guest');
  const received = [frame(own, 'to the guest'), frame(all, 'to all'), frame(own, 'to the guest again')];
  await datapath.apply((await reconciled(programOf('macvtap', 'vm', 'dst'))).state);
  await sniffing(['dstp'], async ([copies]) => {
    guest.send(sent);
    assertSameFrames(await network.read(1), [sent], 'originals');
    for (const one of received) {
      network.send(one);
    }
    assertSameFrames(await guest.read(3), received, 'originals');
    assertSameFrames(await copies.expect(4), [sent, ...received], 'copies');
  });
  const report = await datapath.counters();
  assert.equal(countsOf(report, 'outbound', 'macvtap').copied.packets, 1);
  assert.equal(countsOf(report, 'inbound', 'macvtap').copied.packets, 3);

  const { state, problems } = await reconciled(programOf('src', 'vm', 'macvtap'));
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['DEVICE_UNSUPPORTED'],
  );
  assert.equal(state.deliveries[0]?.ifindex, 0);
  // Reason: a copy that is put into the device goes to the wire.
  await datapath.apply({ ...state, deliveries: [{ ...state.deliveries[0]!, ifindex: link('x').ifindex, mtu: 1500 }] });
  const copy = frame('0200000000dd', 'a copy');
  const source = new RawSocket('srcp');
  t.after(() => source.close());
  source.send(copy);
  assertSameFrames((await network.read(2)).slice(1), [copy], 'on the wire');
});

test('a NIC that becomes a slave is refused in favour of its bond, and taken again when it leaves it', async (t) => {
  if (!made(t, 'bond', 'link add x type bond mode active-backup')) {
    return;
  }
  const verdict = async () => {
    const { devices } = await discover([{ interface: 'low', device: 'low' }]);
    return refusalOf(devices.find(({ name }) => name === 'low')!);
  };
  assert.equal(await verdict(), undefined);
  run('ip', 'link', 'set', 'low', 'down');
  run('ip', 'link', 'set', 'low', 'master', 'x');
  assert.equal(await verdict(), 'low is a slave of the bond x: declare x instead');
  run('ip', 'link', 'set', 'low', 'nomaster');
  run('ip', 'link', 'set', 'low', 'up');
  assert.equal(await verdict(), undefined);
});

test('a NIC is accepted as an edge, and with hw-tc-offload on the status says which packets are not seen', async (t) => {
  const bus = '/sys/bus/netdevsim/new_device';
  if (!existsSync(bus)) {
    return t.skip('SKIPPED: no simulated NIC here (module netdevsim)');
  }
  const before = new Set(run('ls', '/sys/bus/netdevsim/devices').split('\n'));
  writeFileSync(bus, '77 1');
  t.after(() => writeFileSync('/sys/bus/netdevsim/del_device', '77'));
  assert.ok(!before.has('netdevsim77'));
  const links = [...(await dumpLinks(client)).values()];
  const nic = links.find(({ bus: of }) => of === 'netdevsim');
  assert.ok(nic, 'the simulated NIC has a bus');
  const edges = [{ interface: 'up', device: nic.name }];
  const look = async () => (await discover(edges)).problems.map(({ code }) => code);
  run('ethtool', '-K', nic.name, 'hw-tc-offload', 'off');
  assert.deepEqual(await look(), []);
  run('ethtool', '-K', nic.name, 'hw-tc-offload', 'on');
  assert.deepEqual(await look(), ['OFFLOAD_UNSEEN']);
});

test('further names of a device are read from the kernel', async () => {
  run('ip', 'link', 'property', 'add', 'dev', 'low', 'altname', 'lan-of-the-long-name', 'altname', 'lan1');
  const links = await dumpLinks(client);
  assert.deepEqual(links.get(link('low').ifindex)?.altNames, ['lan-of-the-long-name', 'lan1']);
});
