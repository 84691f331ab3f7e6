/**
 * Policies follow their interfaces: to another NIC, to another node, and not into another
 * communication domain.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyStatus } from '@mirrorplane/contract';

import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  policyStatus,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { type Tap, watch } from './support/taps.ts';
import { ping, startPings } from './support/traffic.ts';

const lab = useLab();
const PINGS = 20;

/**
 * Waits until the controller sees an interface on this device alone, and the policy is active with
 * it.
 */
async function settled(policy: string, id: string, node: string, device?: string): Promise<PolicyStatus> {
  await until(
    `${id} on ${node}`,
    async () => {
      const { devices } = (await lab().api('GET', `/api/v1/interfaces/${encodeURIComponent(id)}`)).body;
      return devices.length === 1 && devices[0].node === node && (device === undefined || devices[0].name === device);
    },
    { limitMs: 20_000 },
  );
  return activeEventually(lab(), policy);
}

/** Asserts that no counter of `after` is below that of `before`. */
function assertNotBackwards(before: PolicyStatus, after: PolicyStatus): void {
  const numbers = ({ totals, delivered, sources }: PolicyStatus) => [
    totals.matched.packets,
    totals.matched.bytes,
    totals.copied.packets,
    totals.copied.bytes,
    delivered?.packets ?? 0,
    ...sources.flatMap(({ inbound, outbound }) => [inbound?.matched.packets ?? 0, outbound?.matched.packets ?? 0]),
  ];
  const old = numbers(before);
  numbers(after).forEach((value, i) => {
    assert.ok(value >= old[i]!, `counter ${i} fell from ${old[i]} to ${value}: ${JSON.stringify(after)}`);
  });
}

/** Sends pings, and asserts that the destination gets every copy once, and nothing else. */
async function assertExact(from: string, to: string, destination: string, policy: string): Promise<PolicyStatus> {
  const before = await policyStatus(lab(), policy);
  const expected = before.totals.matched.packets + 2 * PINGS;
  const seen = await watch(lab(), { destination: { host: destination } }, async (captures) => {
    await ping(lab(), from, to, PINGS);
    await captures.destination.waitFor(2 * PINGS);
  });
  assert.equal(seen.destination.packets, 2 * PINGS);
  const after = await countedEventually(lab(), policy, expected, (before.delivered?.packets ?? 0) + 2 * PINGS, before);
  assertNotBackwards(before, after);
  assert.equal(after.totals.matched.packets, expected);
  assert.equal(after.totals.copied.packets, before.totals.copied.packets + 2 * PINGS);
  assert.equal(after.state, 'active', JSON.stringify(after.reasons));
  return after;
}

const NODES = ['node-1', 'node-2', 'node-3'];

test('a source that migrates is captured on every node it comes to, and its counters go on', async () => {
  await withPolicy(lab(), { name: 'source', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    for (const node of [...NODES, 'node-1']) {
      await lab().migrate('web-1', node);
      const { sources } = await settled('source', 'web-1/0', node);
      assert.deepEqual(
        sources[0]?.devices.map((device) => device.node),
        [node],
      );
      await assertExact('web-1', 'app-1', 'ids-1', 'source');
    }
    const status = await countedEventually(lab(), 'source', 8 * PINGS);
    assert.deepEqual(packets(status.totals), allCopied(8 * PINGS));
    assertSumsClose(status);
  });
});

test('a source that migrates live, with two devices for a moment, is captured without the controller’s help', async () => {
  await withPolicy(lab(), { name: 'live', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    await lab().migrate('web-1', 'node-2', { overlap: true });
    await settled('live', 'web-1/0', 'node-2');
    await assertExact('web-1', 'app-1', 'ids-1', 'live');
    await lab().stopController();
    let copies = 0;
    try {
      await lab().migrate('web-1', 'node-1');
      // The agent of node-1 holds the capture already and finds the device by itself.
      const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
        await until('a first copy', async () => {
          await ping(lab(), 'web-1', 'app-1', 1);
          return (await captures.destination.count()) > 0;
        });
      });
      copies = seen.destination.packets;
    } finally {
      await lab().startController();
    }
    await settled('live', 'web-1/0', 'node-1');
    const { totals } = await countedEventually(lab(), 'live', 2 * PINGS + copies);
    assert.deepEqual(packets(totals), allCopied(2 * PINGS + copies), 'what was copied meanwhile is counted too');
    await assertExact('web-1', 'app-1', 'ids-1', 'live');
  });
});

test('a destination that migrates gets all copies where it is, and its counters go on', async () => {
  await withPolicy(lab(), { name: 'destination', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    for (const node of ['node-2', 'node-1', 'node-3', 'node-2']) {
      await lab().migrate('ids-1', node);
      const { destination } = await settled('destination', 'ids-1/0', node);
      assert.deepEqual(
        destination.devices.map((device) => device.node),
        [node],
      );
      await assertExact('web-1', 'app-1', 'ids-1', 'destination');
    }
    const status = await countedEventually(lab(), 'destination', 8 * PINGS, 0);
    assert.deepEqual(packets(status.totals), allCopied(8 * PINGS));
  });
});

test('the destination migrates again and again under traffic: the traffic is undisturbed and the sums close', async () => {
  await withPolicy(lab(), { name: 'busy', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    const count = 300;
    const running = await startPings(lab(), 'web-1', 'app-1', count, { interval: 0.01 });
    try {
      for (const node of ['node-1', 'node-3', 'node-2']) {
        await lab().migrate('ids-1', node, { overlap: true });
      }
      await running.done();
    } finally {
      running.stop();
    }
    await settled('busy', 'ids-1/0', 'node-2');
    const ended = new Date().toISOString();
    const { totals } = await statusEventually(lab(), 'busy', 'newest counters', ({ countersAt }) => {
      return countersAt !== null && countersAt > ended;
    });
    // While the destination is nowhere nothing is captured, and so nothing is matched.
    assert.ok(totals.matched.packets <= 2 * count && totals.matched.packets > count, `${totals.matched.packets}`);
    const dropped = Object.values(totals.dropped).reduce((sum, reason) => sum + (reason?.packets ?? 0), 0);
    assert.equal(totals.copied.packets + dropped, totals.matched.packets);
    await assertExact('web-1', 'app-1', 'ids-1', 'busy');
  });
});

test('an edge that is declared on another NIC takes its copies there, and none leaves by the old one', async () => {
  const edge = (device: string) => ({
    kind: 'edge',
    name: 'edge of node-1',
    edge: { node: 'node-1', device, allowedVlans: [100, 200, 300] },
  });
  const put = async (device: string) => {
    const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1', edge(device));
    assert.equal(status, 200, JSON.stringify(body));
  };
  const port = (k: number): Tap => ({ host: 'switch', device: `node-1-edge${k}`, direction: 'in' });
  const taps = { old: port(0), fresh: port(1), mon: { host: 'mon-sw' } };
  const policies = [
    { name: 'local', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
    { name: 'remote', sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 },
  ];
  const check = async (device: string) => {
    for (const { name } of policies) {
      await settled(name, 'edge-1', 'node-1', device);
    }
    const seen = await watch(lab(), taps, async (captures) => {
      await ping(lab(), 'web-1', 'app-1', PINGS);
      await ping(lab(), 'db-1', 'app-1', PINGS);
      await captures.mon.waitFor(4 * PINGS);
    });
    const [there, gone] = device === 'edge0' ? [seen.old, seen.fresh] : [seen.fresh, seen.old];
    assert.deepEqual([there.packets, gone.packets, seen.mon.packets], [4 * PINGS, 0, 4 * PINGS], device);
  };
  await withPolicy(lab(), policies[0]!, () =>
    withPolicy(lab(), policies[1]!, async () => {
      await check('edge0');
      try {
        await put('edge1');
        await check('edge1');
      } finally {
        await put('edge0');
      }
      await check('edge0');
    }),
  );
});

test('a source that leaves the communication domain is not captured there, and the status says why', async () => {
  await withPolicy(lab(), { name: 'leaver', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    await lab().migrate('web-1', 'node-4');
    try {
      const away = await statusEventually(lab(), 'leaver', 'not active because of the domain', (status) => {
        return status.state !== 'active' && status.reasons.some(({ code }) => code === 'POLICY_CROSS_DOMAIN');
      });
      assert.notEqual(away.sources[0]?.state, 'capturing');
      const taps = { source: { host: 'web-1' }, destination: { host: 'ids-1' } };
      const seen = await watch(lab(), taps, async (captures) => {
        await ping(lab(), 'web-1', 'app-1', PINGS);
        await captures.source.waitFor(2 * PINGS);
      });
      assert.deepEqual([seen.source.packets, seen.destination.packets], [2 * PINGS, 0]);
    } finally {
      await lab().migrate('web-1', 'node-1');
    }
    const { totals } = await settled('leaver', 'web-1/0', 'node-1');
    assert.equal(totals.matched.packets, 0);
    await assertExact('web-1', 'app-1', 'ids-1', 'leaver');
  });
});
