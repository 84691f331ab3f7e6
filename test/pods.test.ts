/** A pod is mirrored by its name, also when it is made again on another node. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';

import { ip } from '../packages/agent/test/support.ts';
import { useLab } from './support/lab.ts';
import { activeEventually, countedEventually, createPolicy, deletePolicy } from './support/policy.ts';

const ID = 'pod/shop/web-0/eth0';
const PINGS = 5;
/** Milliseconds: room for a loaded machine. */
const LIMIT = 30_000;

const bundles = mkdtempSync(join(tmpdir(), 'mirrorplane-pods-'));
// Agents are users that are not root.
chmodSync(bundles, 0o755);
const pods: string[] = [];
after(() => {
  for (const pod of pods) {
    ip('netns', 'del', pod);
  }
  rmSync(bundles, { recursive: true, force: true });
});
const folderOf = (node: string) => join(bundles, node);
const NODES = ['node-1', 'node-2'];
for (const node of NODES) {
  mkdirSync(folderOf(node));
}
const lab = useLab({
  nodes: 2,
  switch: false,
  agentArguments: Object.fromEntries(NODES.map((node) => [node, ['--containers', folderOf(node)]])),
});

/** Runs the pod as a runtime and its network plugin do. Gives its network namespace. */
function startPod(node: string): string {
  const pod = `mppod-${process.pid}-${pods.length}`;
  ip('netns', 'add', pod);
  pods.push(pod);
  ip('netns', 'exec', pod, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  const host = lab().ns(node);
  ip('-n', host, 'link', 'add', 'vethweb', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod);
  ip('netns', 'exec', host, 'sysctl', '-qw', 'net.ipv6.conf.vethweb.disable_ipv6=1');
  const ends = [
    { ns: host, device: 'vethweb', address: '192.0.2.1', mac: '02:00:00:00:77:01' },
    { ns: pod, device: 'eth0', address: '192.0.2.2', mac: '02:00:00:00:77:02' },
  ] as const;
  for (const { ns, device, address, mac } of ends) {
    ip('-n', ns, 'link', 'set', device, 'address', mac, 'up');
    ip('-n', ns, 'address', 'add', `${address}/24`, 'dev', device);
  }
  // No ARP, because only frames of the test should be copied.
  for (const [{ ns, device }, { address, mac }] of [ends, ends.toReversed()] as [
    (typeof ends)[0],
    (typeof ends)[1],
  ][]) {
    ip('-n', ns, 'neigh', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'permanent');
  }
  const annotations = {
    'io.kubernetes.cri.container-type': 'sandbox',
    'io.kubernetes.cri.sandbox-name': 'web-0',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
  };
  const linux = { namespaces: [{ type: 'network', path: `/run/netns/${pod}` }] };
  mkdirSync(join(folderOf(node), pod));
  writeFileSync(join(folderOf(node), pod, 'config.json'), JSON.stringify({ annotations, linux }));
  return pod;
}

function stopPod(node: string, pod: string): void {
  ip('-n', lab().ns(node), 'link', 'del', 'vethweb');
  rmSync(join(folderOf(node), pod), { recursive: true });
}

async function devicesEventually(node: string): Promise<void> {
  await until(
    `the pod is on ${node}`,
    async () => {
      const { body, status } = await lab().api('GET', `/api/v1/interfaces/${encodeURIComponent(ID)}`);
      return status === 200 && body.devices.length === 1 && body.devices[0].node === node;
    },
    { limitMs: LIMIT },
  );
}

test('a pod is mirrored in both directions by its name, and again when it is made again on another node', async () => {
  let pod = startPod('node-1');
  await devicesEventually('node-1');
  await createPolicy(lab(), { name: 'pods', sources: [ID], destination: 'ids-1/0' });
  try {
    const copies = await lab().capture('ids-1', 'eth0', { filter: 'icmp and net 192.0.2.0/24' });
    let sent = 0;
    for (const node of NODES) {
      if (node === 'node-2') {
        stopPod('node-1', pod);
        pod = startPod(node);
        await devicesEventually(node);
      }
      await activeEventually(lab(), 'pods');
      ip('netns', 'exec', pod, 'ping', '-q', '-i', '0.05', '-c', String(PINGS), '192.0.2.1');
      sent += 2 * PINGS;
      await copies.waitFor(sent, LIMIT);
    }
    const seen = await copies.stop();
    assert.equal(seen.packets, sent);
    const { totals } = await countedEventually(lab(), 'pods', sent, sent);
    assert.equal(totals.copied.packets, sent);
  } finally {
    await deletePolicy(lab(), 'pods');
  }
});
