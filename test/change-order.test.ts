/**
 * Both ends of a path change in order: what is copied is delivered, while policies are switched and
 * changed under traffic.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, statusEventually } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { startPings } from './support/traffic.ts';

const lab = useLab();
const POLICY: PolicyInput = { name: 'switched', sources: ['web-1/0'], destination: 'ids-1/0' };

async function put(change: Partial<PolicyInput>): Promise<void> {
  const { status, body } = await lab().api('PUT', '/api/v1/policies/switched', { ...POLICY, ...change });
  assert.equal(status, 200, JSON.stringify(body));
}

/** ERSPAN packets that node-2 and node-3 have refused, as the metrics say it. */
async function refused(): Promise<number> {
  const { body } = await lab().api('GET', '/metrics');
  const lines = String(body).split('\n');
  const values = lines.filter((line) => line.startsWith('mirrorplane_node_refused_erspan_packets_total{'));
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

test('no copy is sent to a receiver that is not ready, or not any more: switched off and on, and moved, under traffic', async () => {
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'switched');
  const taps = { underlay: { host: 'node-2', device: 'underlay0', filter: 'icmp' } };
  const pings = await startPings(lab(), 'web-1', 'web-2', 1_000_000, { interval: 0.002 });
  const seen = await watch(lab(), taps, async () => {
    for (let i = 0; i < 4; i++) {
      await put({ enabled: false });
      await statusEventually(lab(), 'switched', 'disabled', ({ state }) => state === 'disabled');
      await put({ enabled: true });
      await activeEventually(lab(), 'switched');
    }
    // To a neighbour on the same node, to another node, and back.
    for (const destination of ['db-1/0', 'mon-3/0', 'db-1/0', 'ids-1/0']) {
      await put({ destination });
      await activeEventually(lab(), 'switched');
    }
  });
  pings.stop();
  const status = await statusEventually(lab(), 'switched', 'all that was sent is delivered', ({ paths, totals }) => {
    const sum = (of: 'sent' | 'delivered') => paths.reduce((all, path) => all + (path[of]?.packets ?? 0), 0);
    return sum('sent') > 0 && sum('sent') === sum('delivered') && totals.copied.packets === sum('sent');
  });
  assert.deepEqual(status.totals.dropped, {});
  assert.equal(await refused(), 0);
  assert.equal(seen.underlay.packets, 0, 'ICMP between nodes');
  await deletePolicy(lab(), 'switched');
});
