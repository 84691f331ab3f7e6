/**
 * Every policy type, within a node, between nodes and between pools: who sees the copies, and who
 * does not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
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
import { assertSameFrames, assertSilent, framesOf, type Tap, tagged, watch } from './support/taps.ts';
import { ping, sendFrames } from './support/traffic.ts';

const lab = useLab();

/** Pings of each size: small, and the largest that an MTU of 1500 carries. */
const PINGS = 20;
const SIZES = [56, 1472];
/** Requests and replies of both sizes. */
const EXPECTED = 2 * PINGS * SIZES.length;

interface Case {
  title: string;
  policy: Omit<PolicyInput, 'name'>;
  /** Who pings whom. */
  from: string;
  to: string;
  /** Where the source's own traffic is seen without the product. Default the `eth0` of `from`. */
  source?: Tap;
  destination: Tap;
  /** Nodes between which copies travel in ERSPAN. */
  path?: { from: string; to: string };
}

const VIRTUAL: Case[] = [
  {
    title: 'virtual, same node: from a VM to an NFV device',
    policy: { sources: ['web-1/0'], destination: 'fw-1/0' },
    from: 'web-1',
    to: 'app-1',
    destination: { host: 'fw-1' },
  },
  {
    title: 'virtual, across nodes: from a VM to a VM of the same pool',
    policy: { sources: ['web-1/0'], destination: 'ids-1/0' },
    from: 'web-1',
    to: 'app-1',
    destination: { host: 'ids-1' },
    path: { from: 'node-1', to: 'node-2' },
  },
  {
    title: 'virtual, across pools: from an NFV device to a VM of another pool of the domain',
    policy: { sources: ['fw-1/0'], destination: 'mon-3/0' },
    from: 'fw-1',
    to: 'db-1',
    destination: { host: 'mon-3' },
    path: { from: 'node-1', to: 'node-3' },
  },
];

const TO_PHYSICAL: Case[] = [
  {
    title: 'virtual-to-physical, same node: from a VM out of an edge of its node',
    policy: { sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
    from: 'web-1',
    to: 'web-2',
    destination: { host: 'mon-sw' },
  },
  {
    title: 'virtual-to-physical, across nodes: from a VM out of an edge of another node of its pool',
    policy: { sources: ['db-1/0'], destination: 'edge-1', vlanId: 200 },
    from: 'db-1',
    to: 'ids-1',
    destination: { host: 'mon-200' },
    path: { from: 'node-2', to: 'node-1' },
  },
  {
    title: 'virtual-to-physical, across pools: from a VM out of an edge in another pool',
    policy: { sources: ['app-1/0'], destination: 'edge-1', vlanId: 100 },
    from: 'app-1',
    to: 'web-2',
    destination: { host: 'mon-sw' },
    path: { from: 'node-3', to: 'node-1' },
  },
];

const PHYSICAL: Case[] = [
  {
    title: 'physical, same node: from one edge out of another edge of the node',
    policy: { sources: ['edge-1'], destination: 'edge-1b', vlanId: 100 },
    from: 'pgw-1',
    to: 'phys-1',
    source: { host: 'node-1', device: 'edge0' },
    destination: { host: 'mon-sw' },
  },
  {
    title: 'physical, across pools: from an edge out of an edge of another node',
    policy: { sources: ['edge-3'], destination: 'edge-1', vlanId: 200 },
    from: 'pgw-3',
    to: 'phys-2',
    source: { host: 'node-3', device: 'edge0' },
    destination: { host: 'mon-200' },
    path: { from: 'node-3', to: 'node-1' },
  },
];

/** Every uninvolved host with a NIC. */
function bystanders(busy: string[]): Record<string, Tap> {
  const { vms, switch: sw } = lab().topology;
  const hosts = [...vms.map((vm) => vm.name), ...(sw?.hosts ?? []).map((host) => host.name), 'pgw-1', 'pgw-3'];
  return Object.fromEntries(hosts.filter((host) => !busy.includes(host)).map((host) => [host, { host }]));
}

/** The switch port that copies to this edge come in by. */
const SWITCH_PORT: Record<string, string> = { 'edge-1': 'node-1-edge0', 'edge-1b': 'node-1-edge1' };

/** Runs the traffic of a case under its policy and compares what every place has seen. */
async function check({ title, policy, from, to, source, destination, path }: Case): Promise<void> {
  const name = title.split(':')[0]!.replace(/[^a-z]+/g, '-');
  const port = SWITCH_PORT[policy.destination];
  await withPolicy(lab(), { name, ...policy }, async () => {
    const others = bystanders([from, to, destination.host]);
    const taps: Record<string, Tap> = {
      ...others,
      source: source ?? { host: from },
      destination,
      // Nothing but ERSPAN between agents of these nodes uses the underlay, apart from its own ARP.
      underlay: { host: path?.to ?? 'node-1', device: 'underlay0', filter: 'ip', direction: 'in' },
    };
    if (port) {
      taps.port = { host: 'switch', device: port, direction: 'in' };
    }
    const seen = await watch(lab(), taps, async (captures) => {
      for (const size of SIZES) {
        await ping(lab(), from, to, PINGS, { size });
      }
      await captures.destination!.waitFor(EXPECTED);
      const status = await countedEventually(lab(), name, EXPECTED);
      assert.equal(status.state, 'active');
      assert.equal(title.split(/[,:]/)[0], status.type);
      assert.deepEqual(packets(status.totals), allCopied(EXPECTED));
      assert.deepEqual(packets(status.sources[0]?.inbound), allCopied(EXPECTED / 2));
      assert.deepEqual(packets(status.sources[0]?.outbound), allCopied(EXPECTED / 2));
      assert.deepEqual(status.delivered, status.totals.copied, 'delivered is what was copied, packets and bytes');
      assertSumsClose(status);
      const paths = status.paths.map((p) => ({ from: p.from, to: p.to, sent: p.sent?.packets }));
      assert.deepEqual(paths, path ? [{ ...path, sent: EXPECTED }] : []);
    });
    const [original = [], copies = [], atPort = []] = await framesOf(
      seen.source!,
      seen.destination!,
      ...(seen.port ? [seen.port] : []),
    );
    assert.equal(original.length, EXPECTED, 'the source sends and receives the pings and nothing else');
    assertSameFrames(copies, original, 'at the destination');
    assert.equal(seen.underlay!.packets, path ? EXPECTED : 0, 'ERSPAN packets on the underlay');
    if (port) {
      // The business traffic of a same-node case leaves by the other edge.
      const want = original.map((frame) => tagged(frame, policy.vlanId!));
      assertSameFrames(atPort, want, `tagged ${policy.vlanId} at the switch port`);
    }
    assertSilent(Object.fromEntries(Object.keys(others).map((host) => [host, seen[host]!])));
  });
}

for (const one of VIRTUAL) {
  test(`${one.title} gives exact copies there and nowhere else`, () => check(one));
}

for (const one of TO_PHYSICAL) {
  test(`${one.title} gives exact copies with the tag, in that VLAN alone`, () => check(one));
}

test('an edge on the spare NIC of node-1 can be declared', async () => {
  const edge = { node: 'node-1', device: 'edge1', allowedVlans: [100, 200, 300] };
  const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1b', { kind: 'edge', edge });
  assert.equal(status, 201, JSON.stringify(body));
});

for (const one of PHYSICAL) {
  test(`${one.title} gives exact copies with the tag, in that VLAN alone`, () => check(one));
}

test('several sources of one policy: traffic between two of them is copied at each, and counted for each', async () => {
  const policy = { name: 'several', sources: ['web-1/0', 'db-1/0', 'fw-1/0'], destination: 'mon-3/0' };
  await withPolicy(lab(), policy, async () => {
    const seen = await watch(lab(), { destination: { host: 'mon-3' }, app: { host: 'app-1' } }, async (captures) => {
      await ping(lab(), 'web-1', 'db-1', PINGS);
      await ping(lab(), 'fw-1', 'web-1', PINGS);
      await captures.destination.waitFor(8 * PINGS);
      const { totals, sources } = await countedEventually(lab(), 'several', 8 * PINGS);
      assert.deepEqual(packets(totals), allCopied(8 * PINGS));
      const each = sources.map((s) => [s.interface, s.inbound?.copied.packets, s.outbound?.copied.packets]);
      assert.deepEqual(each, [
        ['web-1/0', 2 * PINGS, 2 * PINGS],
        ['db-1/0', PINGS, PINGS],
        ['fw-1/0', PINGS, PINGS],
      ]);
    });
    assert.equal(seen.destination.packets, 8 * PINGS);
    assert.equal(seen.app.packets, 0);
  });
});

test('a copy is never copied again where the destination of one policy is the source of another', async () => {
  await createPolicy(lab(), { name: 'second', sources: ['web-2/0', 'ids-1/0'], destination: 'mon-3/0' });
  try {
    await activeEventually(lab(), 'second');
    for (const [destination, host] of [
      ['web-2/0', 'web-2'],
      ['ids-1/0', 'ids-1'],
    ] as const) {
      await withPolicy(lab(), { name: 'first', sources: ['web-1/0'], destination }, async () => {
        const taps = { first: { host }, second: { host: 'mon-3' } };
        const seen = await watch(lab(), taps, async (captures) => {
          await ping(lab(), 'web-1', 'app-1', PINGS);
          await captures.first.waitFor(2 * PINGS);
          await countedEventually(lab(), 'first', 2 * PINGS);
        });
        assert.deepEqual([seen.first.packets, seen.second.packets], [2 * PINGS, 0], `by way of ${host}`);
      });
    }
    const { totals } = await statusEventually(lab(), 'second', 'copies skipped', (status) => {
      return (status.totals.skipped.isCopy?.packets ?? 0) >= 4 * PINGS;
    });
    assert.deepEqual(packets(totals), { ...allCopied(0), skipped: { isCopy: 4 * PINGS } });
  } finally {
    await deletePolicy(lab(), 'second');
  }
});

test('a frame that carries the VLAN ID of the copies already is not mirrored into it, one of another VLAN is', async () => {
  const payload = Buffer.from('mirrored or not').toString('hex').padEnd(100, '0');
  const frame = `02ff00000002${'02ff00000001'}88b5${payload}`;
  const policy = { name: 'same-vlan', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 };
  await withPolicy(lab(), policy, async () => {
    const seen = await watch(lab(), { mon: { host: 'mon-200', direction: 'in' } }, async (captures) => {
      // The monitoring hosts' VLANs reach the edge of node-3 tagged, as their own traffic would.
      await sendFrames(lab(), 'mon-200', 'eth0', [frame]);
      await sendFrames(lab(), 'mon-sw', 'eth0', [frame, frame]);
      await captures.mon.waitFor(2);
      const { totals } = await countedEventually(lab(), 'same-vlan', 2);
      assert.deepEqual(packets(totals), { ...allCopied(2), skipped: { sameVlan: 1 } });
    });
    const [copies] = await framesOf(seen.mon);
    assert.deepEqual(copies, [tagged(frame, 100), tagged(frame, 100)]);
  });
});

test('copies in a VLAN that the switch port does not let pass reach no monitoring host', async () => {
  const policy = { name: 'not-on-trunk', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 };
  await withPolicy(lab(), policy, async () => {
    await lab().vsctl('set', 'port', 'node-1-edge0', 'trunks=10,200,300');
    try {
      const port: Tap = { host: 'switch', device: 'node-1-edge0', direction: 'in' };
      const taps = { port, mon: { host: 'mon-sw' }, other: { host: 'mon-200' } };
      const seen = await watch(lab(), taps, async (captures) => {
        await ping(lab(), 'web-1', 'web-2', PINGS);
        await captures.port.waitFor(2 * PINGS);
      });
      assert.equal(seen.port.packets, 2 * PINGS);
      assertSilent({ mon: seen.mon, other: seen.other });
    } finally {
      await lab().vsctl('set', 'port', 'node-1-edge0', 'trunks=10,100,200,300');
    }
  });
});
