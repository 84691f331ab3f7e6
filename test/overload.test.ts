/** Copies keep to the mirror device, and to what service traffic leaves of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useLab } from './support/lab.ts';
import { countedEventually, policyStatus, statusEventually, withPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping, startPings } from './support/traffic.ts';

const lab = useLab({ nodes: 2, switch: false });
const POLICY = { sources: ['web-1/0'], destination: 'ids-1/0' };
const PINGS = 25;

test('copies leave by the mirror device alone, and by none of the NICs that carry service traffic', async () => {
  const gre = (device: string) => ({ host: 'node-1', device, filter: 'ip proto 47' });
  await withPolicy(lab(), { name: 'dedicated', ...POLICY }, async () => {
    const taps = {
      mirror: gre('underlay0'),
      trunk: gre('trunk0'),
      management: gre('mgmt0'),
      originals: { host: 'node-1', device: 'trunk0', filter: 'icmp' },
      besides: { host: 'node-1', device: 'underlay0', filter: 'icmp' },
    };
    const { mirror, trunk, management, originals, besides } = await watch(lab(), taps, async () => {
      await ping(lab(), 'web-1', 'db-1', PINGS);
      await countedEventually(lab(), 'dedicated', 2 * PINGS);
    });
    assert.equal(mirror.packets, 2 * PINGS, 'each request and each reply leaves as a copy by the mirror device');
    assert.deepEqual([trunk.packets, management.packets], [0, 0], 'no copy leaves by another NIC');
    assert.deepEqual([originals.packets, besides.packets], [2 * PINGS, 0], 'originals stay on their own NIC');
  });
});

test('a policy with too many copies for the uplink is degraded with the reason, until the uplink has room', async () => {
  const uplink = (...argv: string[]) => lab().exec('node-1', ['tc', 'qdisc', ...argv]);
  await withPolicy(lab(), { name: 'busy', ...POLICY }, async () => {
    await uplink('add', 'dev', 'underlay0', 'root', ...'tbf rate 2mbit burst 4kb limit 32kb'.split(' '));
    // Some 10 Mbit/s of requests and replies between two VMs of the node.
    const pings = await startPings(lab(), 'web-1', 'web-2', 4000, { size: 1400, interval: 0.002 });
    const isBusy = ({ reasons }: Awaited<ReturnType<typeof policyStatus>>) =>
      reasons.some(({ code, node }) => code === 'UPLINK_BUSY' && node === 'node-1');
    try {
      const { state } = await statusEventually(lab(), 'busy', 'throttled for service traffic', isBusy);
      assert.equal(state, 'degraded');
      await pings.done();
    } finally {
      pings.stop();
      await uplink('del', 'dev', 'underlay0', 'root');
    }
    await statusEventually(lab(), 'busy', 'not throttled any more', (status) => !isBusy(status), 40_000);
    const { matched, sampledOut, copied, dropped } = (await policyStatus(lab(), 'busy')).totals;
    const overBudget = dropped.overBudget?.packets ?? 0;
    assert.ok(overBudget > 0, `nothing was dropped as overBudget: ${JSON.stringify(dropped)}`);
    assert.equal(matched.packets, 8000);
    assert.equal(matched.packets, sampledOut.packets + copied.packets + overBudget);
  });
});
