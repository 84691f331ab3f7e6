/** What a policy would make of the traffic of the last minute. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Inventory, PolicySpec } from '@mirrorplane/contract';
import { shareAbove } from '../src/frame-sizes.ts';
import { type ForecastParts, forecast, onTheWire, type UplinkNow } from '../src/index.ts';

const device = (node: string, mtu = 1500) => ({ node, name: 'tap', ifindex: 5, mac: '', mtu, up: true });
const vm = (id: string, node: string, mtu?: number) => ({
  id,
  kind: 'vm' as const,
  pool: 'p',
  devices: [device(node, mtu)],
});
const underlay = (mtu: number) => ({ device: 'eth1', address: '10.0.0.1', mtu });

function inventory(more: Partial<Inventory> = {}): Inventory {
  return {
    domains: [{ name: 'd' }],
    pools: [{ name: 'p', domain: 'd' }],
    nodes: [
      { name: 'n1', pool: 'p', underlay: underlay(1600) },
      { name: 'n2', pool: 'p', underlay: underlay(1600) },
    ],
    interfaces: [vm('web', 'n1'), vm('db', 'n2'), vm('ids', 'n2')],
    ...more,
  };
}

const SPEC: PolicySpec = {
  name: 'p',
  description: '',
  sources: ['web'],
  destination: 'ids',
  direction: 'all',
  percent: 100,
  enabled: true,
};
/** 1,000 packets of 1,000 bytes a second in, 500 of 400 bytes out. */
const TRAFFIC = {
  inbound: { packetsPerSecond: 1000, bitsPerSecond: 8_000_000 },
  outbound: { packetsPerSecond: 500, bitsPerSecond: 1_600_000 },
  unread: null,
  seconds: 60,
};
const UPLINK: UplinkNow = { device: 'eth1', speed: 2_500_000, throttled: true, sent: 0, copies: { own: 0, others: 0 } };

function given(spec: Partial<PolicySpec> = {}, parts: Partial<ForecastParts> = {}) {
  return forecast(
    { ...SPEC, ...spec },
    { inventory: inventory(), traffic: () => TRAFFIC, uplink: () => UPLINK, ...parts },
  );
}
const uplink = (more: Partial<UplinkNow>) => ({ uplink: () => ({ ...UPLINK, ...more }) });

describe('rates', () => {
  test('takes both directions together, or the one of the policy', () => {
    assert.deepEqual(given().originals, { packetsPerSecond: 1500, bitsPerSecond: 9_600_000 });
    assert.deepEqual(given({ direction: 'inbound' }).originals, TRAFFIC.inbound);
    assert.deepEqual(given({ direction: 'outbound' }).originals, TRAFFIC.outbound);
  });

  test('takes the percent of it, and adds what ERSPAN and the wire need to each copy', () => {
    const { copies, nodes } = given({ percent: 10 });
    assert.deepEqual(copies, { packetsPerSecond: 150, bitsPerSecond: 960_000 });
    assert.equal(nodes[0]?.wireBitsPerSecond, 960_000 + 150 * 8 * (50 + 24));
  });

  test('counts the segments of super-packets, and their headers', () => {
    assert.deepEqual(onTheWire({ packets: 1, bytes: 1514 * 10 }, 1500), { packets: 10, bytes: 15_140 + 9 * 54 });
    assert.deepEqual(onTheWire({ packets: 20, bytes: 2000 }, 1500), { packets: 20, bytes: 2000 });
  });

  test('names sources whose rate is not known, and leaves them out of every sum', () => {
    const found = given(
      { sources: ['web', 'db', 'gone'] },
      { traffic: ({ id }) => (id === 'web' ? TRAFFIC : undefined) },
    );
    assert.deepEqual(
      [found.sourceCount, found.unknownCount, found.unknown],
      [
        3,
        2,
        [
          { interface: 'db', why: 'noReport' },
          { interface: 'gone', why: 'absent' },
        ],
      ],
    );
    assert.equal(found.originals.packetsPerSecond, 1500);
  });

  test('says that nothing is known where no rate is', () => {
    const { seconds, givesWay, nodes } = given({}, { traffic: () => undefined });
    assert.deepEqual([seconds, givesWay, nodes[0]?.givesWay, nodes[0]?.why], [null, null, null, 'ratesUnknown']);
  });
});

describe('what gives way', () => {
  /** Bytes a second of the copies on the wire. */
  const WIRE = 1_200_000 + 1500 * 74;

  test('nothing where the uplink has room', () => {
    const { givesWay, nodes } = given();
    assert.deepEqual([givesWay, nodes[0]?.why, nodes[0]?.uplink?.shareBefore], [0, undefined, 0]);
    assert.equal(nodes[0]?.uplink?.shareAfter, Math.round((WIRE / UPLINK.speed!) * 10_000) / 10_000);
  });

  test('what exceeds nine tenths of the speed without service traffic', () => {
    const { givesWay, nodes } = given({}, uplink({ sent: 1_500_000 }));
    assert.equal(givesWay, Math.round((1 - 750_000 / WIRE) * 10_000) / 10_000);
    assert.deepEqual(
      [nodes[0]?.why, nodes[0]?.uplink?.shareBefore, nodes[0]?.uplink?.shareAfter],
      ['uplink', 0.6, 0.9],
    );
  });

  test('copies always get a hundredth of the speed', () => {
    const fast = 100_000_000;
    const { givesWay } = given({}, uplink({ speed: fast, sent: fast }));
    assert.equal(givesWay, Math.round((1 - 1_000_000 / WIRE) * 10_000) / 10_000);
  });

  test('copies of the policy that is replaced make room, and those of others share it', () => {
    const own = given({}, uplink({ sent: 1_500_000, copies: { own: 1_500_000, others: 0 } }));
    assert.deepEqual([own.givesWay, own.nodes[0]?.uplink?.shareBefore], [0, 0.6]);
    const others = given({}, uplink({ sent: 1_500_000, copies: { own: 0, others: 1_500_000 } }));
    assert.equal(others.givesWay, Math.round((1 - 2_250_000 / (1_500_000 + WIRE)) * 10_000) / 10_000);
  });

  test('what exceeds maxRate, also on the node of the destination', () => {
    const { nodes } = given({ sources: ['db'], maxRate: 4.8 });
    assert.deepEqual(
      [nodes[0]?.way, nodes[0]?.uplink, nodes[0]?.givesWay, nodes[0]?.why],
      ['local', undefined, 0.5, 'maxRate'],
    );
  });

  for (const [why, parts] of [
    ['speedUnknown', uplink({ speed: undefined })],
    ['uplinkUnknown', { uplink: () => undefined }],
  ] as const) {
    test(`is not known: ${why}`, () => {
      const { givesWay, nodes } = given({}, parts);
      assert.deepEqual([givesWay, nodes[0]?.givesWay, nodes[0]?.why], [null, null, why]);
    });
  }

  test('nothing where the agent does not throttle, and the share exceeds the speed', () => {
    const { givesWay, nodes } = given({}, uplink({ throttled: false, sent: 2_500_000 }));
    assert.deepEqual(
      [givesWay, nodes[0]?.uplink?.shareAfter],
      [0, Math.round((1 + WIRE / 2_500_000) * 10_000) / 10_000],
    );
  });

  test('an edge of the node has its own budget, and a VLAN tag on each copy', () => {
    const edge = { id: 'edge', kind: 'edge' as const, edge: { node: 'n1', device: 'eth2' }, devices: [device('n1')] };
    const asked: (string | undefined)[] = [];
    const { nodes } = given(
      { destination: 'edge', vlanId: 100 },
      {
        inventory: inventory({ interfaces: [vm('web', 'n1'), edge] }),
        uplink: (_, name) => {
          asked.push(name);
          return UPLINK;
        },
      },
    );
    assert.deepEqual(
      [nodes[0]?.way, nodes[0]?.wireBitsPerSecond, asked],
      ['edge', 8 * (1_200_000 + 1500 * 28), ['tap']],
    );
  });
});

describe('frames that are too large', () => {
  const nodes = (mtu: number) => [
    { name: 'n1', pool: 'p', underlay: underlay(mtu) },
    { name: 'n2', pool: 'p', underlay: underlay(1600) },
  ];

  test('none where the underlay has room for 50 bytes more than the source', () => {
    const [node] = given({}, { inventory: inventory({ nodes: nodes(1550) }) }).nodes;
    assert.deepEqual([node?.cut, node?.dropped], [undefined, undefined]);
  });

  test('are cut to the underlay: at most as many as the mean size allows', () => {
    const [node] = given({}, { inventory: inventory({ nodes: nodes(1500) }) }).nodes;
    assert.deepEqual(node?.cut, { above: 1464, atMost: Math.round((740 / 1405) * 10_000) / 10_000 });
    assert.equal(shareAbove({ packets: 10, bytes: 600 }, 1464), 0);
    assert.equal(shareAbove({ packets: 10, bytes: 15_140 }, 1464), 1);
  });

  test('are dropped at a destination with a smaller MTU, also on the same node', () => {
    const interfaces = [vm('web', 'n1'), vm('db', 'n2'), vm('ids', 'n2', 1400)];
    const [remote] = given({}, { inventory: inventory({ interfaces }) }).nodes;
    const [local] = given({ sources: ['db'] }, { inventory: inventory({ interfaces }) }).nodes;
    assert.deepEqual([remote?.dropped?.above, local?.dropped?.above, local?.cut], [1414, 1414, undefined]);
  });

  test('are not known without packets', () => {
    const idle = { packetsPerSecond: 0, bitsPerSecond: 0 };
    const traffic = () => ({ inbound: idle, outbound: idle, unread: null, seconds: 60 });
    const [node] = given({}, { traffic, inventory: inventory({ nodes: nodes(1500) }) }).nodes;
    assert.deepEqual(node?.cut, { above: 1464, atMost: null });
  });
});
