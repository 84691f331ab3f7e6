/** Through which devices a packet that one of them sends may leave the node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { carriersOf } from '../src/discovery/carriers.ts';
import type { Link } from '../src/netlink/link.ts';
import { link } from './support.ts';

const nic = (name: string, ifindex: number, more: Partial<Link> = {}) => link(name, ifindex, { linkType: '', ...more });
const tap = (name: string, ifindex: number, master: number) =>
  link(name, ifindex, { linkType: 'tun', tunTap: true, master });
const kind = (linkType: string, name: string, ifindex: number, more: Partial<Link> = {}) =>
  link(name, ifindex, { linkType, ...more });

const cases: [what: string, links: Link[], expected: string[]][] = [
  ['a NIC carries what it sends', [nic('eth0', 2), nic('eth1', 3)], ['eth0']],
  ['a VLAN device is on top of its NIC', [kind('vlan', 'eth0.7', 5, { peer: 2 }), nic('eth0', 2)], ['eth0.7', 'eth0']],
  ['a macvlan device is, too', [kind('macvlan', 'mv0', 5, { peer: 2 }), nic('eth0', 2)], ['mv0', 'eth0']],
  [
    'a VLAN device on a bond may use any slave',
    [
      kind('vlan', 'bond0.7', 6, { peer: 5 }),
      kind('bond', 'bond0', 5),
      nic('eth0', 2, { master: 5 }),
      nic('eth1', 3, { master: 5 }),
      nic('eth2', 4),
    ],
    ['bond0.7', 'bond0', 'eth0', 'eth1'],
  ],
  [
    'what a bridge sends to other hosts leaves by its NIC, whose service traffic is that of all its ports',
    [kind('bridge', 'br0', 5), nic('eth0', 2, { master: 5 }), tap('tap0', 6, 5), kind('veth', 'v0', 7, { master: 5 })],
    ['br0*', 'eth0*'],
  ],
  [
    'a port that STP blocks carries nothing',
    [kind('bridge', 'br0', 5), nic('eth0', 2, { master: 5 }), nic('eth1', 3, { master: 5, forwarding: false })],
    ['br0*', 'eth0*'],
  ],
  [
    'without a NIC, a cable of the host may lead on, and a tap does not',
    [kind('bridge', 'br0', 5), kind('veth', 'v0', 7, { master: 5 }), tap('tap0', 6, 5)],
    ['br0*', 'v0*'],
  ],
  [
    'a veth whose other end is in a bridge of the node sends through it',
    [
      kind('veth', 'v0', 7, { peer: 8 }),
      kind('veth', 'v1', 8, { peer: 7, master: 5 }),
      kind('bridge', 'br0', 5),
      nic('eth0', 2, { master: 5 }),
    ],
    ['v0', 'br0', 'eth0'],
  ],
  ['a veth that leads to another host ends there', [kind('veth', 'v0', 7, { peer: 99 })], ['v0']],
  [
    'a port of Open vSwitch sends by the only uplink of the node',
    [
      kind('openvswitch', 'br-ex', 5),
      kind('openvswitch', 'ovs-system', 4),
      nic('eth0', 2, { master: 4 }),
      tap('t', 6, 4),
    ],
    ['br-ex', 'eth0'],
  ],
  [
    'with two uplinks nobody knows by which',
    [
      kind('openvswitch', 'br-ex', 5),
      kind('openvswitch', 'ovs-system', 4),
      nic('eth0', 2, { master: 4 }),
      nic('eth1', 3, { master: 4 }),
    ],
    ['br-ex'],
  ],
  [
    'devices that name each other in a circle are each named once',
    [kind('vlan', 'a', 5, { peer: 6 }), kind('vlan', 'b', 6, { peer: 7 }), kind('vlan', 'c', 7, { peer: 5 })],
    ['a', 'b', 'c'],
  ],
];

for (const [what, links, expected] of cases) {
  test(what, () => {
    const [first] = links as [Link];
    const found = carriersOf(first, links).map(({ link: { name }, whole }) => `${name}${whole ? '*' : ''}`);
    // The first device stands for itself; the star is of interest where the walk went on from a
    // bridge.
    const marked = expected.map((name, index) => (index === 0 && !name.endsWith('*') ? `${name}*` : name));
    assert.deepEqual(found, marked);
  });
}
