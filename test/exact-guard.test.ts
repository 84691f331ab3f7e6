/** An edge NIC that also carries the node's own traffic: business traffic alone is copied. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultTopology } from '@mirrorplane/lab';
import {
  arpRequest,
  ether,
  frames,
  ipv4,
  ipv4Hex,
  ipv6,
  ipv6Hex,
  payloadOf,
  udp,
  udpFrame,
  withTags,
} from './support/exact-frames.ts';
import { hostAddressEventually, sh } from './support/exact-node.ts';
import { arrived, assertSet, watchAll } from './support/exact-taps.ts';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { framesOf } from './support/taps.ts';
import { ping, sendFrames } from './support/traffic.ts';

const lab = useLab({ topology: defaultTopology({ nodes: 3 }) });
/** Addresses of node-1 on its edge, and what they look like in the data plane. */
const NODE = '10.10.0.201';
const NODE6 = 'fd00:10::201';
const mapped = (address: string) => `${'0'.repeat(20)}ffff${ipv4Hex(address)}`;
/** Unused addresses, so that no host answers. */
const [ONE, OTHER] = ['10.10.0.77', '10.10.0.78'];
const [ONE6, OTHER6] = ['fd00:10::77', 'fd00:10::78'];
let bridge = '';
let edge1 = '';

async function macOf(device: string): Promise<string> {
  const { stdout } = await lab().exec('node-1', ['ip', '-j', 'link', 'show', 'dev', device]);
  return JSON.parse(stdout)[0].address;
}

test('the node gets addresses on its edge, and the edge a policy', async () => {
  bridge = await macOf('brp');
  edge1 = await macOf('edge1');
  await sh(
    lab(),
    'node-1',
    `ip address add ${NODE}/24 dev brp
echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6
ip -6 address add ${NODE6}/128 dev lo
`,
  );
  // A second edge on the node takes the copies.
  const edge = { node: 'node-1', device: 'edge1', allowedVlans: [100, 200, 300] };
  const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1b', { kind: 'edge', edge });
  assert.equal(status, 201, JSON.stringify(body));
  await createPolicy(lab(), { name: 'guard', sources: ['edge-1'], destination: 'edge-1b', vlanId: 100 });
  await activeEventually(lab(), 'guard');
  await hostAddressEventually(lab(), 'node-1', mapped(NODE), true);
  await hostAddressEventually(lab(), 'node-1', ipv6Hex(NODE6), true);
});
/**
 * Overlay, storage and management, from one address to another, as frames of these MAC addresses.
 */
function tunnels(from: string, to: string, source: string, destination: string): string[] {
  const inner = udpFrame({ from: '02:aa:00:00:00:01', to: '02:aa:00:00:00:02', id: 1 });
  const packet = (protocol: number, payload: string) =>
    ether(from, to, 0x0800, ipv4(source, destination, protocol, payload));
  const tcp = (port: number) =>
    packet(6, `c350${port.toString(16).padStart(4, '0')}${'00000001'}${'00000000'}5002ffff00000000`);
  return [
    tcp(22),
    tcp(2049),
    tcp(3260),
    packet(17, udp(50_000, 4789, `0800000000000500${inner}`)), // VXLAN
    packet(17, udp(50_000, 6081, `0000655800000500${inner}`)), // Geneve
    packet(47, `00006558${inner}`), // GRE
    packet(47, `100088be${'00000001'}${'1000000100000000'}${inner}`), // ERSPAN II
    packet(1, `0800f7fd00010001`), // echo request
  ];
}

const udp6 = (from: string, to: string, source: string, destination: string) =>
  ether(from, to, 0x86dd, ipv6(source, destination, 17, udp(1000, 9, payloadOf(1))));
/** A neighbour solicitation, by multicast. */
const solicitation = (from: string, source: string, target: string) =>
  ether(
    from,
    '33:33:ff:00:02:01',
    0x86dd,
    ipv6(source, 'ff02::1:ff00:201', 58, `87000000${'0'.repeat(8)}${ipv6Hex(target)}`),
  );

test('of all that an edge on a bridge carries, business traffic alone is copied, byte by byte', async () => {
  const [gateway, physical] = [lab().mac('pgw-1'), lab().mac('phys-1')];
  // From the physical network, from the hosts behind the node, and from the node itself.
  const host = {
    'phys-1': [
      ...tunnels(physical, bridge, lab().address('phys-1'), NODE),
      ...tunnels(physical, bridge, OTHER, '10.98.0.11'),
      arpRequest(physical, lab().address('phys-1'), NODE, 1),
      udp6(physical, bridge, OTHER6, NODE6),
      solicitation(physical, OTHER6, NODE6),
    ],
    'node-1': [
      ...tunnels(bridge, physical, NODE, OTHER),
      arpRequest(bridge, NODE, OTHER, 2),
      udp6(bridge, physical, NODE6, OTHER6),
      solicitation(bridge, '::', NODE6),
      arpRequest(bridge, '0.0.0.0', NODE, 7),
      ...tunnels(bridge, physical, NODE, OTHER).map((frame) => withTags(frame, { id: 300 })),
    ],
  };
  const business = {
    'phys-1': [
      ...tunnels(physical, gateway, OTHER, ONE),
      arpRequest(physical, OTHER, ONE, 3),
      udp6(physical, gateway, OTHER6, ONE6),
      solicitation(physical, OTHER6, ONE6),
      // Routed by the node: to its MAC address, not to its IP address.
      ...tunnels(physical, bridge, OTHER, '10.0.0.78'),
    ],
    'pgw-1': [
      ...tunnels(gateway, physical, ONE, OTHER),
      arpRequest(gateway, ONE, OTHER, 4),
      udp6(gateway, physical, ONE6, OTHER6),
      solicitation(gateway, ONE6, OTHER6),
      withTags(udpFrame({ from: gateway, to: physical, source: ONE, destination: OTHER, id: 5 }), { id: 300 }),
      ether(gateway, physical, 0x88b5, payloadOf(6)),
    ],
  };
  const copied = [...business['phys-1'], ...business['pgw-1']];
  const taps = {
    monitor: { host: 'mon-sw' },
    edge: { host: 'node-1', device: 'edge0' },
    other: { host: 'mon-200' },
  };
  const seen = await watchAll(lab(), taps, async (captures) => {
    await sendFrames(lab(), 'phys-1', 'eth0', [...host['phys-1'], ...business['phys-1']]);
    await sendFrames(lab(), 'node-1', 'brp', host['node-1']);
    await sendFrames(lab(), 'pgw-1', 'eth0', business['pgw-1']);
    await ping(lab(), 'phys-1', 'pgw-1', 5);
    await lab().exec('phys-1', ['ping', '-q', '-c5', '-i0.01', '-W2', NODE]);
    await lab().exec('node-1', ['ping', '-q', '-c5', '-i0.01', '-W2', lab().address('phys-1')]);
    await arrived(captures.monitor, copied.length + 10);
    const all = copied.length + 10;
    await countedEventually(lab(), 'guard', all);
    const sent = host['phys-1'].length + host['node-1'].length + 20;
    // What the node answers (ARP, RST, ICMP) is host traffic, too: all that the edge has carried is
    // one or the other.
    const status = await statusEventually(lab(), 'guard', 'all of the edge counted', ({ totals }) => {
      return (totals.skipped.hostTraffic?.packets ?? 0) >= sent;
    });
    assertSumsClose(status);
    assert.deepEqual(packets({ ...status.totals, skipped: {} }), allCopied(all));
    const carried = await captures.edge.count();
    await statusEventually(lab(), 'guard', `${carried} packets of the edge are all accounted for`, ({ totals }) => {
      return totals.matched.packets + (totals.skipped.hostTraffic?.packets ?? 0) >= carried;
    });
  });
  const [copies = [], carried = []] = await framesOf(seen.monitor, seen.edge);
  const pings = carried.filter((frame) => {
    const business = [lab().mac('phys-1'), lab().mac('pgw-1')].map((mac) => mac.replaceAll(':', ''));
    return business.includes(frame.slice(0, 12)) && business.includes(frame.slice(12, 24)) && frame.length === 196;
  });
  assert.equal(pings.length, 10, 'the pings between business hosts');
  assertSet(copies, [...copied, ...pings], 'copies');
  assert.equal(seen.other.packets, 0);
  const { totals } = await statusEventually(lab(), 'guard', 'still', () => true);
  assert.equal(totals.skipped.hostTraffic?.packets, seen.edge.packets - copies.length, 'the rest is host traffic');
});

test('addresses that the node gets and loses while it runs are followed', async () => {
  const physical = lab().mac('phys-1');
  const cases = [
    {
      add: 'ip address add 10.10.0.202/24 dev brp\n',
      del: 'ip address del 10.10.0.202/24 dev brp\n',
      held: mapped('10.10.0.202'),
      frame: (n: number) =>
        udpFrame({ from: physical, to: bridge, source: OTHER, destination: '10.10.0.202', port: 4789, id: n }),
    },
    {
      add: 'ip -6 address add fd00:10::202/128 dev lo\n',
      del: 'ip -6 address del fd00:10::202/128 dev lo\n',
      held: ipv6Hex('fd00:10::202'),
      frame: (n: number) =>
        ether(physical, bridge, 0x86dd, ipv6(OTHER6, 'fd00:10::202', 17, udp(1000, 4789, payloadOf(n)))),
    },
  ];
  for (const { add, del, held, frame } of cases) {
    const [before, during, behind] = [frames(5, 0, frame), frames(5, 100, frame), frames(5, 200, frame)];
    const seen = await watchAll(lab(), { monitor: { host: 'mon-sw' } }, async ({ monitor }) => {
      await sendFrames(lab(), 'phys-1', 'eth0', before);
      await sh(lab(), 'node-1', add);
      await hostAddressEventually(lab(), 'node-1', held, true);
      await sendFrames(lab(), 'phys-1', 'eth0', during);
      await sh(lab(), 'node-1', del);
      await hostAddressEventually(lab(), 'node-1', held, false);
      await sendFrames(lab(), 'phys-1', 'eth0', behind);
      await arrived(monitor, 10);
    });
    const [copies = []] = await framesOf(seen.monitor);
    assertSet(copies, [...before, ...behind], 'copies');
  }
});

test('of all that an edge without a bridge carries, business traffic alone is copied', async () => {
  await deletePolicy(lab(), 'guard');
  const physical = lab().mac('phys-1');
  const guest = '02:ab:00:00:00:01';
  const address = '10.10.0.211';
  await lab().vsctl('set', 'port', 'node-1-edge1', 'tag=10', 'vlan_mode=native-untagged', 'trunks=10,100,200,300');
  await sh(lab(), 'node-1', `ip address add ${address}/32 dev edge1\n`);
  await hostAddressEventually(lab(), 'node-1', mapped(address), true);
  await withPolicy(lab(), { name: 'bare', sources: ['edge-1b'], destination: 'edge-1', vlanId: 100 }, async () => {
    const inbound = tunnels(physical, guest, OTHER, ONE);
    const outbound = tunnels(guest, physical, ONE, OTHER);
    const hostInbound = tunnels(physical, edge1, OTHER, address);
    const hostOutbound = tunnels(edge1, physical, address, OTHER);
    const seen = await watchAll(lab(), { monitor: { host: 'mon-sw' } }, async ({ monitor }) => {
      await sendFrames(lab(), 'node-1', 'edge1', [...hostOutbound, ...outbound]);
      await sendFrames(lab(), 'phys-1', 'eth0', [...hostInbound, ...inbound]);
      await arrived(monitor, inbound.length + outbound.length);
      const status = await countedEventually(lab(), 'bare', inbound.length + outbound.length);
      assert.deepEqual(packets({ ...status.totals, skipped: {} }), allCopied(inbound.length + outbound.length));
      await statusEventually(lab(), 'bare', 'host traffic counted', ({ totals }) => {
        return (totals.skipped.hostTraffic?.packets ?? 0) >= hostInbound.length + hostOutbound.length;
      });
    });
    const [copies = []] = await framesOf(seen.monitor);
    assertSet(copies, [...outbound, ...inbound], 'copies');
  });
});
