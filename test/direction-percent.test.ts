/** Direction and mirror percent, for every kind of source. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  policyStatus,
  programEventually,
  programRevision,
  withPolicy,
} from './support/policy.ts';
import { framesOf, sourceMac, watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const lab = useLab();
const PINGS = 25;

interface Case {
  kind: string;
  policy: Omit<PolicyInput, 'name'>;
  from: string;
  to: string;
  destination: string;
}

/** The pinging host is behind the source, so the source sends requests and receives replies. */
const CASES: Case[] = [
  {
    kind: 'vm',
    policy: { sources: ['web-1/0'], destination: 'ids-1/0' },
    from: 'web-1',
    to: 'app-1',
    destination: 'ids-1',
  },
  {
    kind: 'nfv',
    policy: { sources: ['fw-1/0'], destination: 'web-2/0' },
    from: 'fw-1',
    to: 'db-1',
    destination: 'web-2',
  },
  {
    kind: 'edge',
    policy: { sources: ['edge-3'], destination: 'edge-1', vlanId: 100 },
    from: 'pgw-3',
    to: 'phys-2',
    destination: 'mon-sw',
  },
];

const OUTCOME = { inbound: 'replies alone', outbound: 'requests alone', all: 'requests and replies' };

for (const { kind, policy, from, to, destination } of CASES) {
  for (const direction of ['inbound', 'outbound', 'all'] as const) {
    test(`${direction} of a source of kind ${kind} copies ${OUTCOME[direction]}`, async () => {
      const requests = direction === 'inbound' ? 0 : PINGS;
      const replies = direction === 'outbound' ? 0 : PINGS;
      const name = `${kind}-${direction}`;
      await withPolicy(lab(), { name, direction, ...policy }, async () => {
        const seen = await watch(lab(), { destination: { host: destination } }, async (captures) => {
          await ping(lab(), from, to, PINGS);
          await captures.destination.waitFor(requests + replies);
          const status = await countedEventually(lab(), name, requests + replies);
          const { inbound, outbound } = status.sources[0]!;
          assert.deepEqual(packets(status.totals), allCopied(requests + replies));
          assert.equal(inbound?.copied.packets ?? 0, replies);
          assert.equal(outbound?.copied.packets ?? 0, requests);
          assert.equal(status.delivered?.packets, requests + replies);
          assertSumsClose(status);
        });
        const [frames = []] = await framesOf(seen.destination);
        const mac = (host: string) => lab().mac(host).replaceAll(':', '');
        const by = (host: string) => frames.filter((frame) => sourceMac(frame) === mac(host)).length;
        assert.deepEqual([frames.length, by(from), by(to)], [requests + replies, requests, replies]);
      });
    });
  }
}

/** 1000 pings, 2000 packets. */
const MANY = 1000;

/**
 * Asserts that `copied` of `n` is within five standard deviations of a share: one run in a million
 * fails by chance.
 */
function assertBinomial(copied: number, n: number, share: number): void {
  const deviation = Math.sqrt(n * share * (1 - share));
  const off = Math.abs(copied - n * share);
  assert.ok(off <= 5 * deviation, `${copied} of ${n} copied, expected ${n * share} ± ${5 * deviation}`);
}

for (const percent of [25, 0.5, 99.99]) {
  test(`percent ${percent} copies that share of the packets, and the rest is counted as sampled out`, async () => {
    const policy = { name: 'share', sources: ['web-1/0'], destination: 'ids-1/0', percent };
    await withPolicy(lab(), policy, async () => {
      let copied = 0;
      const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
        await ping(lab(), 'web-1', 'app-1', MANY, { interval: 0.001 });
        const { totals } = await countedEventually(lab(), 'share', 2 * MANY, 0);
        copied = totals.copied.packets;
        await captures.destination.waitFor(copied);
        const status = await countedEventually(lab(), 'share', 2 * MANY, copied);
        assertSumsClose(status);
        assert.deepEqual(packets(status.totals), { ...allCopied(2 * MANY), copied, sampledOut: 2 * MANY - copied });
        assert.equal(status.delivered?.packets, copied);
      });
      assert.equal(seen.destination.packets, copied);
      assertBinomial(copied, 2 * MANY, percent / 100);
    });
  });
}

test('percent 0 copies nothing, and all is counted as sampled out', async () => {
  await withPolicy(lab(), { name: 'none', sources: ['web-1/0'], destination: 'ids-1/0', percent: 0 }, async () => {
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async () => {
      await ping(lab(), 'web-1', 'app-1', PINGS);
      const status = await countedEventually(lab(), 'none', 2 * PINGS, 0);
      assert.deepEqual(packets(status.totals), { ...allCopied(2 * PINGS), copied: 0, sampledOut: 2 * PINGS });
      assertSumsClose(status);
    });
    assert.equal(seen.destination.packets, 0);
  });
});

test('a disabled policy copies nothing, and copies again once it is enabled', async () => {
  const change = async (enabled: boolean) => {
    const since = await programRevision(lab(), 'node-1');
    const headers = { 'content-type': 'application/merge-patch+json' };
    const { status, body } = await lab().api('PATCH', '/api/v1/policies/switch', { enabled }, headers);
    assert.equal(status, 200, JSON.stringify(body));
    await programEventually(lab(), 'node-1', since);
  };
  const taps = { source: { host: 'web-1' }, destination: { host: 'ids-1' } };
  const pinged = async (copies: number) => {
    const seen = await watch(lab(), taps, async (captures) => {
      await ping(lab(), 'web-1', 'app-1', PINGS);
      await captures.source.waitFor(2 * PINGS);
      await captures.destination.waitFor(copies);
    });
    assert.deepEqual([seen.source.packets, seen.destination.packets], [2 * PINGS, copies]);
  };
  await withPolicy(lab(), { name: 'switch', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    await pinged(2 * PINGS);
    await change(false);
    await pinged(0);
    assert.equal((await policyStatus(lab(), 'switch')).state, 'disabled');
    await change(true);
    await activeEventually(lab(), 'switch');
    await pinged(2 * PINGS);
    const { totals } = await countedEventually(lab(), 'switch', 4 * PINGS);
    assert.deepEqual(packets(totals), allCopied(4 * PINGS));
  });
});
