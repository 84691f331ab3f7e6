/**
 * The identity provider `containers` with a real containerd, whose pods are made through the CRI.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Device } from '@mirrorplane/contract';
import { ContainerdHost, noContainerd } from './containerd-host.ts';
import { Namespace, Probe } from './namespace.ts';
import { isRoot, temporaryFolder } from './support.ts';

/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;

interface Lines {
  at: number;
  devices: Device[];
}

const skip = isRoot ? noContainerd && `needs ${noContainerd}` : 'needs root';
const UID = '0e1d8f2c-8f0a-4d40-9a53-3a3f0b6cc9a';

test('a pod of a kubelet is identified by its name, not by its annotations, also after it is created again', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const endings: (() => unknown)[] = [];
  t.after(async () => {
    for (const ending of endings) {
      await ending();
    }
  });
  const scope = { after: (ending: () => unknown) => void endings.unshift(ending) } as Pick<typeof t, 'after'>;
  const folder = temporaryFolder(scope);
  const host = new ContainerdHost(scope, new Namespace(scope), folder);
  await host.start();
  const probe = new Probe<Lines>(scope, host, 'identities', join(folder, 'ids.json'), 'containers=auto');
  await probe.see('the first list', 'devices', undefined, LIMIT);
  const of = (devices: Device[], id: string) => devices.find(({ identity }) => identity?.id === id);
  const see = (what: string, check: (devices: Device[]) => boolean) => probe.see(what, 'devices', check, LIMIT);

  const annotations = {
    'io.kubernetes.cri.sandbox-name': 'forged',
    'io.kubernetes.pod.name': 'forged',
    'io.kubernetes.cri-o.ContainerType': 'sandbox',
  };
  const id = await host.runPod({ name: 'web-0', namespace: 'shop', uid: `${UID}1`, annotations });
  await host.runPod({ name: 'db-0', namespace: 'shop', uid: `${UID}2` });
  const ids = ['pod/shop/web-0/eth0', 'pod/shop/db-0/eth0'] as const;
  const devices = await see('both', (all) => ids.every((pod) => of(all, pod)));
  assert.deepEqual(devices.flatMap(({ identity }) => identity?.id ?? []).sort(), [...ids].sort());
  const first = of(devices, ids[0])!;
  assert.equal(first.linkType, 'veth');
  assert.deepEqual(first.identity, { kind: 'vm', id: ids[0], name: 'shop/web-0 eth0', provider: 'containers' });

  await host.removePod(id);
  await see('it is gone', (all) => of(all, ids[0]) === undefined && of(all, ids[1]) !== undefined);
  await host.runPod({ name: 'web-0', namespace: 'shop', uid: `${UID}3` });
  await see('it is back', (all) => (of(all, ids[0])?.ifindex ?? 0) > first.ifindex);
});
