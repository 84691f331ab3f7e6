/** Which kinds of devices can be mirrored, and that code and docs/devices.md say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Device } from '@mirrorplane/contract';
import { DEVICE_KINDS, indexLinks, judge, kindOf, sharedWith } from '../src/discovery/device-kinds.ts';
import { identify } from '../src/discovery/devices.ts';
import { findUnderlay } from '../src/discovery/underlay.ts';
import type { Link } from '../src/netlink/link.ts';
import { link } from './support.ts';

const DOCS = new URL('../../../docs/devices.md', import.meta.url);
const index = (...links: Link[]) => indexLinks(links);
const nic = (name: string, ifindex: number, more: Partial<Link> = {}) => link(name, ifindex, { linkType: '', ...more });

test('the documentation says of every kind what the code says, and of no other', () => {
  const rows = [...readFileSync(DOCS, 'utf8').matchAll(/^\| `([\w-]+)` \| (yes|no|source) \| (yes|no) \|/gm)];
  const documented = rows.map(([, kind, guest, edge]) => [kind, guest, edge]);
  const word = (reason: string | undefined) => (reason === undefined ? 'yes' : 'no');
  assert.deepEqual(
    documented,
    Object.entries(DEVICE_KINDS).map(([kind, { guest, edge, destination }]) => [
      kind,
      guest === undefined && destination !== undefined ? 'source' : word(guest),
      word(edge),
    ]),
  );
});

test('every reason follows the name of a device, and ends with a remedy', () => {
  for (const { guest, edge, destination } of Object.values(DEVICE_KINDS)) {
    for (const reason of [guest, edge, destination]) {
      if (reason !== undefined) {
        assert.match(reason, /^is an? .+: .+|^is the .+: .+/);
      }
    }
  }
});

const kinds: [what: string, device: Link, kind: string][] = [
  ['a tun device in mode tap', link('t', 2, { linkType: 'tun', tunTap: true }), 'tap'],
  ['a tun device in mode tun', link('t', 2, { linkType: 'tun', tunTap: false, ethernet: false }), 'tun'],
  ['a tun device that claims to carry Ethernet', link('t', 2, { linkType: 'tun', tunTap: false }), 'tun'],
  ['a NIC on PCI', nic('eth0', 2), 'physical'],
  ['an uplink in switchdev mode', nic('eth0', 2, { portName: 'p0' }), 'physical'],
  ['a representor of a virtual function', nic('eth0_0', 2, { portName: 'pf0vf1' }), 'representor'],
  ['a representor of another controller', nic('eth0_0', 2, { portName: 'c1pf0sf7' }), 'representor'],
  ['a port of a Xen guest', nic('vif3.0', 2, { bus: 'xen-backend' }), 'xen-vif'],
  ['the NIC of a Xen guest itself', nic('eth0', 2, { bus: 'xen' }), 'physical'],
  ['a device without kind and hardware', nic('x', 2, { bus: undefined }), 'unknown'],
  ['a kind that is not known', link('x', 2, { linkType: 'hsr' }), 'hsr'],
];
for (const [what, device, kind] of kinds) {
  test(`${what} is of kind ${kind}`, () => assert.equal(kindOf(device), kind));
}

test('a kind that is not known is refused as both, with its name', () => {
  const verdict = judge(link('x', 2, { linkType: 'hsr' }), index());
  assert.match(verdict.guest ?? '', /of kind hsr/);
  assert.match(verdict.edge ?? '', /of kind hsr/);
});

test('a NIC that carries no Ethernet, as InfiniBand, is no edge', () => {
  assert.match(judge(nic('ib0', 2, { ethernet: false }), index()).edge ?? '', /no Ethernet frames/);
});

test('the slaves of a bond are refused in its favour, and the bond is taken', () => {
  const bond = link('bond0', 2, { linkType: 'bond' });
  const slave = nic('eth0', 3, { master: 2 });
  const all = index(bond, slave);
  assert.equal(judge(bond, all).edge, undefined);
  assert.equal(judge(slave, all).edge, 'is a slave of the bond bond0: declare bond0 instead');
  assert.match(judge(link('veth0', 4, { master: 2 }), all).guest ?? '', /slave of the bond bond0/);
});

for (const linkType of ['bridge', 'openvswitch', 'vrf']) {
  test(`a port of a device of kind ${linkType} stays a separate device`, () => {
    const all = index(link('m', 2, { linkType }), nic('eth0', 3, { master: 2 }), link('tap0', 4, { master: 2 }));
    assert.equal(judge(all.byIfindex.get(3)!, all).edge, undefined);
    assert.equal(judge(all.byIfindex.get(4)!, all).guest, undefined);
  });
}

test('a bridge as an edge is refused with the name of its NIC', () => {
  const all = index(
    link('vmbr0', 2, { linkType: 'bridge' }),
    nic('enp1s0', 3, { master: 2 }),
    link('tap100i0', 4, { linkType: 'tun', tunTap: true, master: 2 }),
    link('veth101i0', 5, { master: 2 }),
  );
  assert.equal(judge(all.byIfindex.get(2)!, all).edge, 'is a bridge: declare its port enp1s0 instead');
});

test('a bridge with a thousand NICs, and a device with a thousand names, fit into a message', () => {
  const ports = Array.from({ length: 1000 }, (_, i) => nic(`eth${i}`, i + 10, { master: 2 }));
  const altNames = ports.map(({ name }) => `alt-${name}`);
  const { devices } = identify([link('br0', 2, { linkType: 'bridge', altNames }), ...ports], []);
  const bridge = Device.parse(devices[0]);
  assert.equal(bridge.notMirrorable?.edge, 'is a bridge: declare its port eth0 or eth1 or eth2 or another instead');
});

test('a VLAN device of a NIC is an edge; one of a bridge is refused as the bridge is', () => {
  const all = index(nic('eth0', 2), link('br0', 3, { linkType: 'bridge' }), nic('eth1', 5, { master: 3 }));
  assert.equal(judge(link('eth0.5', 6, { linkType: 'vlan', peer: 2 }), all).edge, undefined);
  const refused = judge(link('br0.5', 7, { linkType: 'vlan', peer: 3 }), all).edge;
  assert.equal(refused, 'is a VLAN device of br0, which is a bridge: declare its port eth1 instead');
});

test('a macvlan device as an edge is refused with the name of the NIC below it', () => {
  const all = index(nic('eth0', 2));
  assert.match(judge(link('mv0', 3, { linkType: 'macvlan', peer: 2 }), all).edge ?? '', /declare eth0 instead$/);
});

test('devices that name each other as the one below, in a pair or a circle, are judged all the same', () => {
  const pair = index(link('nk0', 2, { linkType: 'netkit', peer: 3 }), link('nk1', 3, { linkType: 'netkit', peer: 2 }));
  for (const one of pair.byIfindex.values()) {
    assert.match(judge(one, pair).edge ?? '', /netkit device, .*: declare the NIC/);
  }
  const ring = index(...[2, 3, 4].map((i) => link(`v${i}`, i, { linkType: 'vlan', peer: i === 4 ? 2 : i + 1 })));
  for (const one of ring.byIfindex.values()) {
    assert.ok(judge(one, ring).guest !== undefined && sharedWith(one, ring).length < 9);
  }
});

test('a VLAN device shares with all devices below it, a veth with its other end, a tunnel with none', () => {
  const all = index(
    nic('eth0', 2),
    link('eth0.5', 3, { linkType: 'vlan', peer: 2 }),
    link('eth0.5.7', 4, { linkType: 'vlan', peer: 3 }),
    link('a', 5, { peer: 6 }),
    link('b', 6, { peer: 5 }),
    link('vx', 7, { linkType: 'vxlan', peer: 2 }),
  );
  const shared = [...all.byIfindex.values()].map((one) => sharedWith(one, all));
  assert.deepEqual(shared, [[], ['eth0'], ['eth0.5', 'eth0'], ['b'], ['a'], []]);
});

test('a device that can be mirrored has an interface before one that cannot, although that had it', () => {
  const alias = 'mirrorplane:kind=vm;id=web-1/0';
  const links = [link('br0', 5, { linkType: 'bridge', alias }), link('tap1', 6, { alias })];
  const { devices, problems } = identify(links, [], new Map([['web-1/0', 5]]));
  assert.deepEqual(
    devices.map(({ identity }) => identity?.id),
    [undefined, 'web-1/0'],
  );
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['INTERFACE_DUPLICATE'],
  );
});

test('a device that cannot be mirrored keeps its identity, and is a problem with the reason', () => {
  const alias = 'mirrorplane:kind=vm;id=web-1/0';
  const { devices, problems } = identify([link('br0', 5, { linkType: 'bridge', alias })], []);
  assert.equal(devices[0]?.identity?.id, 'web-1/0');
  assert.deepEqual(problems, [
    {
      code: 'DEVICE_UNSUPPORTED',
      interface: 'web-1/0',
      message: 'web-1/0: br0 is a bridge, which many guests share: use the tap or veth of the guest instead',
    },
  ]);
});

test('a NIC that handles flows itself, and a representor, are taken with a warning', () => {
  const alias = 'mirrorplane:kind=vm;id=web-1/0';
  const links = [nic('eth0', 2), nic('eth1', 3), nic('eth0_1', 4, { portName: 'pf0vf1', alias })];
  const edges = [
    { interface: 'up-0', device: 'eth0' },
    { interface: 'up-1', device: 'eth1' },
  ];
  const { devices, problems } = identify(links, edges, new Map(), undefined, ({ name }) => name === 'eth0');
  assert.deepEqual(
    problems.map(({ code, interface: id }) => [code, id]),
    [
      ['OFFLOAD_UNSEEN', 'up-0'],
      ['OFFLOAD_UNSEEN', 'web-1/0'],
    ],
  );
  assert.match(devices[0]?.warning ?? '', /hw-tc-offload/);
  assert.equal(devices[1]?.warning, undefined);
});

test('a bond of a NIC that handles flows itself, and a VLAN device on it, have the warning too', () => {
  const links = [
    nic('eth0', 2, { master: 4 }),
    nic('eth1', 3, { master: 4 }),
    link('bond0', 4, { linkType: 'bond' }),
    link('bond0.5', 5, { linkType: 'vlan', peer: 4 }),
    nic('eth2', 6),
    link('eth2.5', 7, { linkType: 'vlan', peer: 6 }),
  ];
  const edges = ['bond0', 'bond0.5', 'eth2.5'].map((device) => ({ interface: device, device }));
  const { problems } = identify(links, edges, new Map(), undefined, ({ name }) => name === 'eth1');
  assert.deepEqual(
    problems.map(({ code, interface: id }) => [code, id]),
    [
      ['OFFLOAD_UNSEEN', 'bond0'],
      ['OFFLOAD_UNSEEN', 'bond0.5'],
    ],
  );
  assert.match(problems[1]!.message, /bond0.5 is on top of eth1, which has hw-tc-offload on/);
});

test('an edge and the mirror device are found by a further name, unless another device bears it', async () => {
  const links = [nic('eth0', 2, { altNames: ['lan0', 'eth1'] }), nic('eth1', 3)];
  const bound = (device: string) =>
    identify(links, [{ interface: 'up', device }]).devices.find(({ identity }) => identity)?.name;
  assert.deepEqual(['lan0', 'eth1', 'eth0', 'nope'].map(bound), ['eth0', 'eth1', 'eth0', undefined]);
  const underlay = await findUnderlay(async () => [], { device: 'lan0', address: '10.0.0.1' }, links);
  assert.equal(underlay.underlay?.device, 'eth0');
});
