/**
 * A copy is never copied again, whatever the policies say; and each source has its own copy of a
 * packet.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  policyStatus,
} from './support/policy.ts';
import { assertSilent, framesOf, tagged, watch } from './support/taps.ts';
import { ping, sendFrames } from './support/traffic.ts';

const PINGS = 25;
const lab = useLab();

async function withPolicies(policies: PolicyInput[], work: () => Promise<void>): Promise<void> {
  const made: string[] = [];
  try {
    for (const policy of policies) {
      await createPolicy(lab(), policy);
      made.push(policy.name);
    }
    for (const name of made) {
      await activeEventually(lab(), name);
    }
    await work();
  } finally {
    for (const name of made) {
      await deletePolicy(lab(), name);
    }
  }
}

test('of two policies in a row, the second mirrors what its source does, and no copy that its source receives', async () => {
  // On one node (fw-1) and across nodes (db-1): the copies arrive at a device that is itself a
  // source.
  for (const [middle, end, peer] of [
    ['fw-1', 'ids-1', 'web-2'],
    ['db-1', 'mon-3', 'ids-1'],
  ] as const) {
    const policies = [
      { name: 'first', sources: ['web-1/0'], destination: `${middle}/0` },
      { name: 'second', sources: [`${middle}/0`], destination: `${end}/0` },
    ];
    await withPolicies(policies, async () => {
      const taps = { end: { host: end, direction: 'in' }, middle: { host: middle, direction: 'in' } } as const;
      const seen = await watch(lab(), taps, async (captures) => {
        await ping(lab(), 'web-1', 'web-2', PINGS);
        await captures.middle.waitFor(2 * PINGS);
        await ping(lab(), middle, peer, PINGS);
        await captures.end.waitFor(2 * PINGS);
        await countedEventually(lab(), 'second', 2 * PINGS);
        await countedEventually(lab(), 'first', 2 * PINGS);
      });
      assert.equal(
        seen.end.packets,
        (peer as string) === end ? 3 * PINGS : 2 * PINGS,
        `${end} sees ${middle}'s own traffic`,
      );
      const first = packets((await policyStatus(lab(), 'first')).totals);
      assert.deepEqual(first, allCopied(2 * PINGS));
      const second = packets((await policyStatus(lab(), 'second')).totals);
      assert.deepEqual(second, { ...allCopied(2 * PINGS), skipped: { isCopy: 2 * PINGS } });
    });
  }
});

test('with both ends of a flow mirrored, each source has its own copy', async () => {
  const policy = { name: 'both', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0' };
  await withPolicies([policy], async () => {
    const seen = await watch(lab(), { ids: { host: 'ids-1' } }, async ({ ids }) => {
      await ping(lab(), 'web-1', 'web-2', PINGS);
      await ids.waitFor(4 * PINGS);
      await countedEventually(lab(), 'both', 4 * PINGS);
    });
    assert.equal(seen.ids.packets, 4 * PINGS);
    const { sources } = await policyStatus(lab(), 'both');
    for (const { inbound, outbound } of sources) {
      assert.deepEqual([packets(inbound), packets(outbound)], [allCopied(PINGS), allCopied(PINGS)]);
    }
  });
});

test('a broadcast is copied once for each source that it reaches, and once for the one that sends it', async () => {
  const sources = ['web-1/0', 'web-2/0', 'fw-1/0'];
  await withPolicies([{ name: 'many', sources, destination: 'mon-3/0' }], async () => {
    const frame = `ffffffffffff${lab().mac('web-1').replaceAll(':', '')}9999${'5a'.repeat(46)}`;
    const taps = { mon: { host: 'mon-3', direction: 'in', filter: 'ether proto 0x9999' } } as const;
    const seen = await watch(lab(), taps, async ({ mon }) => {
      await sendFrames(lab(), 'web-1', 'eth0', [frame, frame]);
      // The bridge brings the broadcast itself to mon-3 as well.
      await mon.waitFor(2 * (sources.length + 1));
      await countedEventually(lab(), 'many', 2 * sources.length);
    });
    const [frames] = await framesOf(seen.mon);
    assert.deepEqual(frames, Array(2 * (sources.length + 1)).fill(frame));
    assert.deepEqual(packets((await policyStatus(lab(), 'many')).totals), allCopied(2 * sources.length));
  });
});

test('a copy that the physical switch brings back to a mirrored edge is not copied again', async () => {
  const policies = [
    { name: 'to-100', sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
    { name: 'to-200', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 },
  ];
  await withPolicies(policies, async () => {
    // As on a switch without protected edge ports: copies in VLAN 100 also reach edge-3.
    for (const port of ['node-1-edge0', 'node-3-edge0']) {
      await lab().vsctl('set', 'port', port, 'protected=false');
    }
    try {
      const taps = {
        back: { host: 'node-3', device: 'edge0', direction: 'in' },
        mon: { host: 'mon-sw' },
        none: { host: 'mon-200' },
      } as const;
      const seen = await watch(lab(), taps, async (captures) => {
        await ping(lab(), 'web-1', 'web-2', PINGS);
        await captures.mon.waitFor(2 * PINGS);
        await captures.back.waitFor(2 * PINGS);
        await countedEventually(lab(), 'to-100', 2 * PINGS);
      });
      const [back = [], mon = []] = await framesOf(seen.back, seen.mon);
      assert.deepEqual(
        back,
        mon.map((frame) => tagged(frame, 100)),
      );
      assertSilent({ none: seen.none });
      const { totals } = await policyStatus(lab(), 'to-200');
      assert.equal(totals.matched.packets, 0);
    } finally {
      for (const port of ['node-1-edge0', 'node-3-edge0']) {
        await lab().vsctl('set', 'port', port, 'protected=true');
      }
    }
  });
});
