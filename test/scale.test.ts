/**
 * The limits that are promised: 1024 sources in one policy, 1,000 policies on one node, counts
 * exact. And a small cluster of simulated nodes, as `make scale` has it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import { LIMIT_MS } from '../bench/scale/load.ts';
import { measure } from '../bench/scale/measure.ts';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  policyStatus,
  refusals,
  refusedPolicy,
} from './support/policy.ts';
import { watch } from './support/taps.ts';
import { sendFrames } from './support/traffic.ts';

const NODE = 'node-1';
const DEVICES = 1024;
const PROBED = [1, 2, 3, 17, 255, 256, 257, 500, 511, 512, 513, 777, 1000, 1022, 1023, 1024];
const id = (k: number) => `d-1-${k}/0`;
const frame = (k: number) => `02cc0000ffff02cc0000${k.toString(16).padStart(4, '0')}9999${'00'.repeat(46)}`;

/** One frame out of each probed guest, and one into it. */
async function probe(lab: Lab): Promise<void> {
  for (const k of PROBED) {
    const { host, guestDevice, device } = lab.vm(`d-1-${k}`);
    await sendFrames(lab, host, guestDevice, [frame(k)]);
    await sendFrames(lab, NODE, device, [frame(k)]);
  }
}

function sourceOf(status: PolicyStatus, k: number) {
  const { inbound, outbound } = status.sources.find((source) => source.interface === id(k))!;
  return [packets(inbound), packets(outbound)];
}

describe('many', () => {
  const lab = useLab({ nodes: 2, devicesPerNode: DEVICES, switch: false });
  const sources = Array.from({ length: DEVICES }, (_, i) => id(i + 1));
  const filter = 'ether proto 0x9999';

  test('one policy takes 1024 sources of one node, each counted by itself, and no 1025th', async () => {
    const knows = async (one: string) =>
      (await lab().api('GET', `/api/v1/interfaces/${encodeURIComponent(one)}`)).status === 200;
    await until('interfaces of both nodes', async () => (await knows(id(DEVICES))) && (await knows('ids-1/0')));
    const tooMany = await refusedPolicy(lab(), {
      name: 'wide',
      sources: [...sources, 'web-1/0'],
      destination: 'ids-1/0',
    });
    assert.deepEqual(refusals(tooMany), ['POLICY_TOO_MANY_SOURCES sources']);
    await createPolicy(lab(), { name: 'wide', sources, destination: 'ids-1/0' });
    await activeEventually(lab(), 'wide');
    const total = 2 * PROBED.length;
    const seen = await watch(lab(), { ids: { host: 'ids-1', filter } }, async ({ ids }) => {
      await probe(lab());
      await ids.waitFor(total);
      await countedEventually(lab(), 'wide', total);
    });
    assert.equal(seen.ids.packets, total);
    const status = await policyStatus(lab(), 'wide');
    assert.deepEqual(packets(status.totals), allCopied(total));
    for (const k of PROBED) {
      assert.deepEqual(sourceOf(status, k), [allCopied(1), allCopied(1)], id(k));
    }
    await deletePolicy(lab(), 'wide');
  });

  test('1,000 policies on one node are active at once, and each counts its own', { timeout: 900_000 }, async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `p-${i + 1}`);
    for (const [i, name] of names.entries()) {
      await createPolicy(lab(), { name, sources: [id(i + 1)], destination: 'ids-1/0' });
    }
    let active = 0;
    await until(
      '1,000 policies active',
      async () => {
        const { body } = await lab().api('GET', '/api/v1/policies/status');
        active = (body.items as PolicyStatus[]).filter(({ state }) => state === 'active').length;
        return active === names.length;
      },
      { limitMs: 60_000 },
    );
    const probed = PROBED.filter((k) => k <= 1000);
    const seen = await watch(lab(), { ids: { host: 'ids-1', filter } }, async ({ ids }) => {
      await probe(lab());
      await ids.waitFor(2 * probed.length);
      for (const k of probed) {
        await countedEventually(lab(), `p-${k}`, 2);
      }
    });
    assert.equal(seen.ids.packets, 2 * probed.length);
    for (const k of probed) {
      const status = await policyStatus(lab(), `p-${k}`);
      assert.deepEqual([packets(status.totals), status.delivered?.packets], [allCopied(2), 2]);
    }
  });
});

test('ten simulated nodes join, follow edits and moves, and come back after a restart', async () => {
  const size = { nodes: 10, interfaces: 20 };
  const seconds = { rest: 1, load: 5 };
  const limits = { limitMs: 60_000, wholeMs: 300_000 };
  const { rows, failures } = await measure({ size, seconds, moving: 1, ...limits, say: () => undefined });
  assert.deepEqual(failures, []);
  const values = new Map(rows.map(({ name, count, max }) => [name, { count, max }]));
  for (const name of ['edit/last agent acknowledged', 'read/list', 'restart/all agents are back']) {
    assert.ok(values.get(name)!.count > 0, name);
  }
  // Changes that never arrive count as LIMIT_MS.
  for (const name of [
    'edit/last agent acknowledged',
    'move/captured on the new node',
    'move/shown by the controller',
  ]) {
    assert.ok(!(values.get(name)!.max >= LIMIT_MS), name);
  }
});
