/**
 * A VM of a real libvirt is mirrored from its first frame, whether libvirtd runs or not, on both
 * nodes of its live migration.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';

import { domainXml, LibvirtHost, libvirtUri, noLibvirt } from '../../packages/agent/test/libvirt-host.ts';
import { ip } from '../../packages/agent/test/support.ts';
import { useLab } from '../support/lab.ts';
import {
  countedEventually,
  createPolicy,
  deletePolicy,
  programEventually,
  programRevision,
  statusEventually,
} from '../support/policy.ts';

const NODES = ['node-1', 'node-2'] as const;
/** Milliseconds: room for a loaded machine. */
const LIMIT = 120_000;
const UUID = '5d7c0f1a-2b3c-4d5e-8f90-0123456789ab';
const MAC = '52:54:00:00:00:01';
const ID = `${UUID}/${MAC.replaceAll(':', '-')}`;
/** Frames that have to come from the guest on each node. */
const FRAMES = 3;

const folders = new Map(NODES.map((node) => [node, mkdtempSync(join(tmpdir(), 'mirrorplane-libvirt-'))]));
const endings: (() => unknown)[] = [];
// Processes in the lab's namespaces end before the lab is removed.
after(async () => {
  for (const ending of endings) {
    await ending();
  }
  for (const folder of folders.values()) {
    rmSync(folder, { recursive: true, force: true });
  }
});
const lab = useLab({
  nodes: 2,
  switch: false,
  agentArguments: Object.fromEntries([...folders].map(([node, folder]) => [node, ['--libvirt', libvirtUri(folder)]])),
});

/** libvirt on a node, with a device for the guest that is there before it. */
async function host(node: (typeof NODES)[number]): Promise<LibvirtHost> {
  const name = lab().ns(node);
  const namespace = { name, ip: (...args: string[]) => ip('-n', name, ...args) };
  namespace.ip('tuntap', 'add', 'lv0', 'mode', 'tap');
  namespace.ip('link', 'set', 'lv0', 'up');
  const scope = { after: (ending: () => unknown) => void endings.push(ending) };
  const made = new LibvirtHost(scope as ConstructorParameters<typeof LibvirtHost>[0], {
    namespace,
    folder: folders.get(node)!,
  });
  await made.start();
  return made;
}

test('a VM of libvirt is mirrored from its first frame, and through the end of libvirtd and its live migration: every frame once', {
  skip: noLibvirt && `needs ${noLibvirt}`,
  timeout: 280_000,
}, async (t) => {
  const [source, target] = (await Promise.all(NODES.map(host))) as [LibvirtHost, LibvirtHost];
  const declared = await lab().api('PUT', `/api/v1/interfaces/${encodeURIComponent(ID)}`, {
    kind: 'vm',
    pool: lab().node('node-1').pool,
  });
  assert.ok(declared.status < 300, JSON.stringify(declared.body));
  const before = await Promise.all(NODES.map((node) => programRevision(lab(), node)));
  await createPolicy(lab(), { name: 'lv', sources: [ID], destination: 'ids-1/0', direction: 'outbound' });
  try {
    await Promise.all(NODES.map((node, i) => programEventually(lab(), node, before[i]!)));
    const taps = await Promise.all(NODES.map((node) => lab().capture(node, 'lv0', { direction: 'in' })));
    const copies = await lab().capture('ids-1', 'eth0', { filter: `ether src ${MAC}` });
    const nic = `<interface type='ethernet'><mac address='${MAC}'/><target dev='lv0' managed='no'/><model type='virtio'/></interface>`;
    const boot = "<boot dev='network'/><bios rebootTimeout='0'/>";
    await source.define('create', domainXml('lv-1', UUID, nic, { boot }));
    await taps[0]!.waitFor(FRAMES, LIMIT);
    await statusEventually(lab(), 'lv', 'active', ({ state }) => state === 'active', LIMIT);
    // The last report of libvirt counts while libvirt is down. The sum below is right only if the
    // capture continues.
    await source.stop('SIGKILL');
    await taps[0]!.waitFor((await taps[0]!.count()) + 1, LIMIT);
    await source.start();
    await source.virsh(
      'migrate',
      '--live',
      'lv-1',
      target.uri,
      '--migrateuri',
      `unix://${join(target.folder, 'run/migration')}`,
    );
    await taps[1]!.waitFor(FRAMES, LIMIT);
    await until(
      'the device of the target is the interface',
      async () => {
        const { devices } = (await lab().api('GET', `/api/v1/interfaces/${encodeURIComponent(ID)}`)).body;
        return devices.length === 1 && devices[0].node === 'node-2' && devices[0].guest === 'running';
      },
      { limitMs: LIMIT },
    );
    await target.virsh('destroy', 'lv-1');
    const sent = await Promise.all(taps.map((tap) => tap.stop()));
    t.diagnostic(NODES.map((node, i) => `${sent[i]!.packets} frames on ${node}`).join(', '));
    const total = sent.reduce((sum, { packets }) => sum + packets, 0);
    await copies.waitFor(total, LIMIT);
    const seen = await copies.stop();
    assert.deepEqual([...seen.lines].sort(), sent.flatMap(({ lines }) => lines).sort());
    const status = await countedEventually(lab(), 'lv', total, total);
    assert.equal(status.totals.copied.packets, total);
  } finally {
    await deletePolicy(lab(), 'lv');
  }
});
