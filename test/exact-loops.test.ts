/**
 * A copy is never copied again: sources that are destinations, mirrored uplinks, switches that
 * bring copies back.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { defaultTopology, type Lab } from '@mirrorplane/lab';
import { ACCEPTED, BROADCAST, frames, udpFrame } from './support/exact-frames.ts';
import { arrivalEventually, sh } from './support/exact-node.ts';
import { arrived, assertFrames, assertSet, watchAll } from './support/exact-taps.ts';
import { labName, useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  policyStatus,
  refusals,
  refusedPolicy,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { framesOf, type Tap, tagged } from './support/taps.ts';
import { sendFrames } from './support/traffic.ts';

const N = 20;
let nextId = 0;
/** The first of `count` numbers that no frame has had. */
function fresh(count: number): number {
  nextId += count;
  return nextId - count;
}

/** Frames from one host to another. */
function flow(lab: Lab, from: string, to: string, count = N): string[] {
  return frames(count, fresh(count), (id) =>
    udpFrame({ from: lab.mac(from), to: to === BROADCAST ? to : lab.mac(to), port: ACCEPTED, id }),
  );
}

/** Several policies at once. */
async function withPolicies(lab: Lab, inputs: PolicyInput[], work: () => Promise<void>): Promise<void> {
  const made: string[] = [];
  try {
    for (const input of inputs) {
      await createPolicy(lab, input);
      made.push(input.name);
    }
    for (const name of made) {
      await activeEventually(lab, name);
    }
    await work();
  } finally {
    for (const name of made) {
      await deletePolicy(lab, name);
    }
  }
}

/** Asserts what a policy has copied and skipped, to the packet. */
async function assertCounted(lab: Lab, name: string, copied: number, isCopy: number): Promise<void> {
  await countedEventually(lab, name, copied);
  const status = await statusEventually(lab, name, `${isCopy} skipped`, ({ totals }) => {
    return (totals.skipped.isCopy?.packets ?? 0) >= isCopy;
  });
  assertSumsClose(status);
  const skipped = isCopy > 0 ? { isCopy } : {};
  assert.deepEqual(packets(status.totals), { ...allCopied(copied), skipped }, `counters of ${name}`);
}

describe('on bridges and between nodes', () => {
  const lab = useLab({ name: labName('t'), topology: defaultTopology({ nodes: 3, devicesPerNode: 1 }) });

  for (const [where, first] of [
    ['one node', 'web-1'],
    ['two nodes', 'db-1'],
  ] as const) {
    test(`of two policies in a row on ${where}, the second copies what its source sends and gets, not its copies`, async () => {
      const peer = first === 'web-1' ? 'fw-1' : 'ids-1';
      const policies = [
        { name: 'row-1', sources: [`${first}/0`], destination: 'web-2/0' },
        { name: 'row-2', sources: ['web-2/0'], destination: 'd-3-1/0' },
      ];
      await withPolicies(lab(), policies, async () => {
        const mirrored = [...flow(lab(), first, peer), ...flow(lab(), peer, first)];
        const own = [...flow(lab(), 'web-2', 'app-1'), ...flow(lab(), 'app-1', 'web-2')];
        const taps = { second: { host: 'd-3-1' }, between: { host: 'web-2' } };
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(lab(), first, 'eth0', mirrored.slice(0, N));
          await sendFrames(lab(), peer, 'eth0', mirrored.slice(N));
          await sendFrames(lab(), 'web-2', 'eth0', own.slice(0, N));
          await sendFrames(lab(), 'app-1', 'eth0', own.slice(N));
          await arrived(captures.second, 2 * N);
          await arrived(captures.between, 4 * N);
          await assertCounted(lab(), 'row-1', 2 * N, 0);
          await assertCounted(lab(), 'row-2', 2 * N, 2 * N);
        });
        const [second = [], between = []] = await framesOf(seen.second, seen.between);
        assertFrames(second, own, 'at the end of the row');
        assertFrames(between, [...mirrored, ...own], 'in the middle of the row');
      });
    });

    test(`refuses two VMs on ${where} that mirror each other with POLICY_CYCLE`, async () => {
      await withPolicy(lab(), { name: 'here', sources: [`${first}/0`], destination: 'web-2/0' }, async () => {
        const problem = await refusedPolicy(lab(), {
          name: 'there',
          sources: ['web-2/0'],
          destination: `${first}/0`,
        });
        assert.deepEqual(refusals(problem), ['POLICY_CYCLE destination']);
      });
    });
  }

  for (const destination of ['d-1-1', 'd-2-1']) {
    test(`a frame between two sources of one node is copied once for each, to ${destination}`, async () => {
      const policy = { name: 'both', sources: ['web-1/0', 'web-2/0'], destination: `${destination}/0` };
      await withPolicy(lab(), policy, async () => {
        const list = [flow(lab(), 'web-1', 'web-2'), flow(lab(), 'web-2', 'web-1')];
        const seen = await watchAll(lab(), { destination: { host: destination } }, async (captures) => {
          await sendFrames(lab(), 'web-1', 'eth0', list[0]!);
          await sendFrames(lab(), 'web-2', 'eth0', list[1]!);
          await arrived(captures.destination, 4 * N);
          await assertCounted(lab(), 'both', 4 * N, 0);
          const { sources } = await policyStatus(lab(), 'both');
          for (const { inbound, outbound } of sources) {
            assert.deepEqual([packets(inbound), packets(outbound)], [allCopied(N), allCopied(N)]);
          }
        });
        const [copies = []] = await framesOf(seen.destination);
        const twice = list.flat().flatMap((frame) => [frame, frame]);
        assertFrames(copies, twice, 'copies');
      });
    });
  }

  test('a broadcast is copied once for each source that sends or receives it', async () => {
    const sources = ['web-1', 'web-2', 'fw-1', 'db-1', 'ids-1', 'app-1'];
    const policy = { name: 'all', sources: sources.map((name) => `${name}/0`), destination: 'd-3-1/0' };
    await withPolicy(lab(), policy, async () => {
      const list = [...flow(lab(), 'web-1', BROADCAST), ...flow(lab(), 'mon-3', BROADCAST)];
      const seen = await watchAll(lab(), { destination: { host: 'd-3-1' } }, async (captures) => {
        await sendFrames(lab(), 'web-1', 'eth0', list.slice(0, N));
        await sendFrames(lab(), 'mon-3', 'eth0', list.slice(N));
        await arrived(captures.destination, 2 * N * sources.length);
        await assertCounted(lab(), 'all', 2 * N * sources.length, 0);
      });
      const [copies = []] = await framesOf(seen.destination);
      const times = Map.groupBy(copies, (frame) => frame);
      assert.deepEqual([...times.keys()].sort(), [...list].sort());
      for (const [frame, copiesOfIt] of times) {
        assert.equal(copiesOfIt.length, sources.length, frame);
      }
    });
  });

  test('a mirrored uplink that carries our own ERSPAN: copies are not copied, other traffic of it is', async () => {
    const edge = { node: 'node-1', device: 'underlay0', allowedVlans: [200] };
    const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-u', { kind: 'edge', edge });
    assert.equal(status, 201, JSON.stringify(body));
    try {
      const policies = [
        // Out of node-1 and into it by that uplink, and the uplink's own copies take the same way.
        { name: 'out', sources: ['web-1/0'], destination: 'd-2-1/0' },
        { name: 'in', sources: ['db-1/0'], destination: 'd-1-1/0' },
        { name: 'uplink', sources: ['edge-u'], destination: 'edge-3', vlanId: 200 },
      ];
      await withPolicies(lab(), policies, async () => {
        const [out, into] = [flow(lab(), 'web-1', 'fw-1'), flow(lab(), 'db-1', 'ids-1')];
        const stranger = (n: number) =>
          frames(N, fresh(N), (id) => udpFrame({ from: `02:cc:00:00:00:0${n}`, to: BROADCAST, id }));
        const [sent, received] = [stranger(1), stranger(2)];
        const taps = { out: { host: 'd-2-1' }, in: { host: 'd-1-1' }, uplink: { host: 'mon-200' } };
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(lab(), 'web-1', 'eth0', out);
          await sendFrames(lab(), 'db-1', 'eth0', into);
          await sendFrames(lab(), 'node-1', 'underlay0', sent);
          await sendFrames(lab(), 'node-2', 'underlay0', received);
          await arrived(captures.out, N);
          await arrived(captures.in, N);
          await arrived(captures.uplink, 2 * N);
          await assertCounted(lab(), 'out', N, 0);
          await assertCounted(lab(), 'in', N, 0);
          const { totals } = await countedEventually(lab(), 'uplink', 2 * N);
          const { skipped, ...counted } = packets(totals)!;
          assert.deepEqual({ ...counted, skipped: {} }, allCopied(2 * N));
          // ERSPAN out of the node is a copy in the making; ERSPAN into it is host traffic.
          assert.equal(skipped.isCopy, 3 * N);
          assert.ok((skipped.hostTraffic ?? 0) >= N, `${skipped.hostTraffic} packets of host traffic`);
        });
        const [atOut = [], atIn = [], atUplink = []] = await framesOf(seen.out, seen.in, seen.uplink);
        assertFrames(atOut, out, 'copies that left by the uplink');
        assertFrames(atIn, into, 'copies that came by the uplink');
        assertFrames(atUplink, [...sent, ...received], 'copies of the uplink');
      });
    } finally {
      await lab().api('DELETE', '/api/v1/interfaces/edge-u');
    }
  });
});

describe('with a physical switch that returns copies', () => {
  const lab = useLab({
    name: labName('u'),
    topology: () => {
      const topology = defaultTopology({ nodes: 3 });
      topology.switch!.protectEdges = false;
      return topology;
    },
  });

  test('a copy that comes in at another mirrored edge is not copied again', async () => {
    const policies = [
      { name: 'virtual', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
      { name: 'physical', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 },
    ];
    await withPolicies(lab(), policies, async () => {
      const list = [...flow(lab(), 'web-1', 'fw-1'), ...flow(lab(), 'fw-1', 'web-1')];
      const business = flow(lab(), 'pgw-3', 'phys-2');
      const taps: Record<'monitor' | 'other' | 'returned' | 'port', Tap> = {
        monitor: { host: 'mon-sw' },
        other: { host: 'mon-200' },
        returned: { host: 'node-3', device: 'edge0', direction: 'in' },
        port: { host: 'switch', device: 'node-1-edge0', direction: 'in' },
      };
      const seen = await watchAll(lab(), taps, async (captures) => {
        await sendFrames(lab(), 'web-1', 'eth0', list.slice(0, N));
        await sendFrames(lab(), 'fw-1', 'eth0', list.slice(N));
        await sendFrames(lab(), 'pgw-3', 'eth0', business);
        await arrived(captures.monitor, 2 * N);
        await arrived(captures.other, N);
        await assertCounted(lab(), 'virtual', 2 * N, 0);
        // Its own copies come back as well: they carry the VLAN ID of the policy.
        const status = await statusEventually(lab(), 'physical', 'returned copies skipped', ({ totals }) => {
          const { isCopy, sameVlan } = totals.skipped;
          return (isCopy?.packets ?? 0) >= 2 * N && (sameVlan?.packets ?? 0) >= N;
        });
        assert.deepEqual(packets(status.totals), { ...allCopied(N), skipped: { isCopy: 2 * N, sameVlan: N } });
      });
      const [monitor = [], other = [], returned = [], port = []] = await framesOf(
        seen.monitor,
        seen.other,
        seen.returned,
        seen.port,
      );
      const out = [...list.map((frame) => tagged(frame, 100)), ...business.map((frame) => tagged(frame, 200))];
      assertFrames(port, out, 'out of the edge');
      assertSet(returned, out, 'returned');
      assertSet(monitor, list, 'in VLAN 100');
      assertSet(other, business, 'in VLAN 200');
    });
  });

  test('a copy that a bridge with an edge takes back to mirrored VMs is not copied again', async () => {
    const edge = { node: 'node-1', device: 'edge1', allowedVlans: [100, 200, 300] };
    const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1b', { kind: 'edge', edge });
    assert.equal(status, 201, JSON.stringify(body));
    await sh(lab(), 'node-1', 'ip link set edge1 master br0\n');
    // Each would copy the other's copies, and so on without end.
    const policies = [
      { name: 'back-1', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
      { name: 'back-2', sources: ['web-2/0'], destination: 'edge-1', vlanId: 200 },
    ];
    try {
      await withPolicies(lab(), policies, async () => {
        await arrivalEventually(lab(), 'node-1', 'br0', lab().mac('web-1'), 'tap-web-1');
        await arrivalEventually(lab(), 'node-1', 'br0', lab().mac('web-2'), 'tap-web-2');
        const [first, second, both] = [
          flow(lab(), 'fw-1', 'web-1'),
          flow(lab(), 'fw-1', 'web-2'),
          flow(lab(), 'fw-1', BROADCAST),
        ];
        const taps: Record<'monitor' | 'other' | 'port' | 'vm', Tap> = {
          monitor: { host: 'mon-sw' },
          other: { host: 'mon-200' },
          port: { host: 'switch', device: 'node-1-edge0', direction: 'in' },
          vm: { host: 'web-1', direction: 'in' },
        };
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(lab(), 'fw-1', 'eth0', [...first, ...second, ...both]);
          await arrived(captures.monitor, 2 * N);
          await arrived(captures.other, 2 * N);
          await arrived(captures.vm, 5 * N);
          for (const { name } of policies) {
            await countedEventually(lab(), name, 2 * N);
            const { totals } = await statusEventually(lab(), name, 'returned copies skipped', ({ totals }) => {
              const { isCopy, sameVlan } = totals.skipped;
              return (isCopy?.packets ?? 0) + (sameVlan?.packets ?? 0) >= 3 * N;
            });
            assert.deepEqual(packets(totals), { ...allCopied(2 * N), skipped: { isCopy: N, sameVlan: 2 * N } }, name);
          }
        });
        const [monitor = [], other = [], port = [], vm = []] = await framesOf(
          seen.monitor,
          seen.other,
          seen.port,
          seen.vm,
        );
        const copies = [...first, ...both].map((frame) => tagged(frame, 100));
        const otherCopies = [...second, ...both].map((frame) => tagged(frame, 200));
        assertSet(port, [...copies, ...otherCopies], 'out of the edge');
        assertSet(monitor, [...first, ...both], 'in VLAN 100');
        assertSet(other, [...second, ...both], 'in VLAN 200');
        const back = [...copies, ...otherCopies.slice(N)];
        assertSet(vm, [...first, ...both, ...back], 'the bridge has taken the copies back');
      });
    } finally {
      await sh(lab(), 'node-1', 'ip link set edge1 nomaster\n');
    }
  });
});
