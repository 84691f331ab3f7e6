/**
 * The mirror percent within binomial bounds, over very many packets, for each direction and for
 * super-packets.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { flood, hasTrafgen, received, receivedEventually } from './support/exact-flood.ts';
import { makeWires, randomFile, transfer } from './support/exact-offload.ts';
import { useLab } from './support/lab.ts';
import { assertSumsClose, packets, statusEventually, withPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { python } from './support/traffic.ts';

const lab = useLab({ nodes: 1, switch: false });

/**
 * Asserts that `actual` is within five standard deviations: one run in a million fails by chance.
 */
function assertWithin(actual: number, expected: number, variance: number, what: string): void {
  const bound = 5 * Math.sqrt(variance);
  assert.ok(Math.abs(actual - expected) <= bound, `${what}: ${actual}, expected ${expected} ± ${bound}`);
}

const CASES = [
  { percent: 0.01, count: 1_000_000 },
  { percent: 1, count: 300_000 },
  { percent: 25, count: 300_000 },
  { percent: 50, count: 300_000 },
  { percent: 99.99, count: 1_000_000 },
];

for (const { percent, count } of CASES) {
  test(`percent ${percent} of ${count} packets of each direction is copied, within five standard deviations`, async (context) => {
    if (!(await hasTrafgen(lab()))) {
      return context.skip('trafgen is not installed');
    }
    const policy = { name: 'share', sources: ['web-1/0'], destination: 'fw-1/0', percent };
    await withPolicy(lab(), policy, async () => {
      const before = await received(lab(), 'fw-1');
      const original = await received(lab(), 'web-2');
      await flood(lab(), 'web-1', 'web-2', count);
      await flood(lab(), 'web-2', 'web-1', count);
      const status = await statusEventually(lab(), 'share', 'all is counted', ({ totals }) => {
        return totals.matched.packets >= 2 * count;
      });
      assertSumsClose(status);
      const share = percent / 100;
      const { inbound, outbound } = status.sources[0]!;
      for (const [direction, counts] of Object.entries({ inbound, outbound })) {
        const now = packets(counts)!;
        assert.equal(now.matched, count, `${direction}: matched`);
        // A copy that its destination had no room for was chosen too.
        const chosen = now.matched - now.sampledOut;
        assertWithin(chosen, count * share, count * share * (1 - share), `${direction} at ${percent} %`);
      }
      const copied = status.totals.copied.packets;
      assert.equal(
        await receivedEventually(lab(), 'fw-1', before, copied),
        copied,
        'the destination has what was copied',
      );
      assert.equal((await received(lab(), 'web-2')) - original, count, 'no original is lost');
    });
  });
}

test('percent 25 of super-packets: each counts as its segments, is copied whole or not at all, within bounds', async () => {
  const path = randomFile(lab(), 'payload', 30e6);
  const file = { path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') };
  // Where frames arrive in the size that a wire has, the kernel's own counters count segments.
  await makeWires(lab(), [
    ['node-1', 'tap-web-2'],
    ['node-1', 'tap-fw-1'],
  ]);
  const policy = { name: 'share', sources: ['web-1/0'], destination: 'fw-1/0', percent: 25 };
  await withPolicy(lab(), { ...policy, direction: 'outbound' }, async () => {
    const before = { original: await received(lab(), 'web-2'), copy: await received(lab(), 'fw-1') };
    const tap = { host: 'web-1', direction: 'out', snapLength: 128, bufferKiB: 16_384 } as const;
    const seen = await watch(lab(), { sent: tap }, async () => {
      await transfer(lab(), file, 'web-1', { host: 'web-2', address: lab().address('web-2'), port: 5201 }, 2000);
    });
    const originals = (await received(lab(), 'web-2')) - before.original;
    const status = await statusEventually(lab(), 'share', 'all is counted', ({ totals }) => {
      return totals.matched.packets >= originals;
    });
    assertSumsClose(status);
    const { matched, copied, sampledOut } = packets(status.totals)!;
    assert.equal(matched, originals, 'segments, as they arrive');
    const lengths = await python<number[]>('exact-pcap.py', ['lengths', seen.sent.file]);
    // 66 bytes of headers with timestamps, 1448 of payload.
    const segments = lengths.map((length) => Math.max(1, Math.ceil((length - 66) / 1448)));
    assert.ok(Math.max(...segments) > 30, 'super-packets are among the originals');
    assert.equal(
      segments.reduce((sum, n) => sum + n, 0),
      matched,
    );
    const squares = segments.reduce((sum, n) => sum + n * n, 0);
    assertWithin(matched - sampledOut, matched * 0.25, squares * 0.25 * 0.75, 'segments at 25 %');
    assert.equal(await receivedEventually(lab(), 'fw-1', before.copy, copied), copied, 'segments at the destination');
  });
});
