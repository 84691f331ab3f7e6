/** The identity provider `containers` with a real Podman and its containers. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Device } from '@mirrorplane/contract';
import { Namespace, Probe } from './namespace.ts';
import { noPodman, PodmanHost } from './podman-host.ts';
import { isRoot, temporaryFolder } from './support.ts';

/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;
const skip = isRoot ? noPodman && `needs ${noPodman}` : 'needs root';

interface Lines {
  at: number;
  devices: Device[];
}

/**
 * ifindex, on the host, of the device that a container's interface leads to: as the kernel says
 * within the container.
 */
async function outside(host: PodmanHost, container: string, name: string): Promise<number> {
  return Number(await host.podman('exec', container, '/bin/busybox', 'cat', `/sys/class/net/${name}/iflink`));
}

describe('podman', { skip, timeout: 240_000 }, () => {
  const endings: (() => unknown)[] = [];
  const scope = { after: (ending: () => unknown) => void endings.unshift(ending) } as Pick<TestContext, 'after'>;
  let host: PodmanHost;
  let probe: Probe<Lines>;
  const see = (what: string, check: (ids: Record<string, Device>) => boolean) =>
    probe.see(what, 'devices', (devices) => check(byId(devices)), LIMIT);

  before(async () => {
    const folder = temporaryFolder(scope);
    const namespace = new Namespace(scope);
    host = new PodmanHost(scope, namespace, folder);
    await host.ready();
    await host.serve();
    probe = new Probe<Lines>(scope, host, 'identities', join(folder, 'ids.json'), `containers=${host.socket}`);
    await probe.see('the first list', 'devices', undefined, LIMIT);
  });
  after(async () => {
    for (const ending of endings) {
      await ending();
    }
  });

  test('a container is known by its node and name, at the device that its interface leads to', async () => {
    await host.start('web');
    const devices = await see('the container', (all) => 'container/node-1/web/eth0' in all);
    const device = byId(devices)['container/node-1/web/eth0']!;
    assert.deepEqual(device.identity, {
      kind: 'vm',
      id: 'container/node-1/web/eth0',
      name: 'web eth0',
      network: 'podman',
      provider: 'containers',
    });
    assert.equal(device.ifindex, await outside(host, 'web', 'eth0'));
  });

  test('a container on two networks has two interfaces, each with its network', async () => {
    await host.podman('network', 'create', 'blue');
    await host.start('fw', '--network', 'podman,blue');
    const devices = await see('both', (all) => ['eth0', 'eth1'].every((name) => `container/node-1/fw/${name}` in all));
    for (const name of ['eth0', 'eth1']) {
      assert.equal(byId(devices)[`container/node-1/fw/${name}`]?.ifindex, await outside(host, 'fw', name));
    }
    const networks = devices.flatMap(({ identity }) => (identity?.name.startsWith('fw ') ? identity.network : []));
    assert.deepEqual(networks.sort(), ['blue', 'podman']);
  });

  test("a container in the host's network, and one in that of another container, have no interface of their own", async () => {
    await host.start('host-1', '--network', 'host');
    await host.start('side-1', '--network', 'container:web');
    await host.start('last');
    const devices = await see('the last one', (all) => 'container/node-1/last/eth0' in all);
    assert.deepEqual(Object.keys(byId(devices)).sort(), [
      'container/node-1/fw/eth0',
      'container/node-1/fw/eth1',
      'container/node-1/last/eth0',
      'container/node-1/web/eth0',
    ]);
  });

  test('a container that is made again under its name is the same interface at its new device', async () => {
    const old = byId(probe.lines.at(-1)!.devices!)['container/node-1/web/eth0']!.ifindex;
    for (const name of ['side-1', 'web']) {
      await host.podman('rm', '--force', '--time', '0', name);
    }
    await see('it is gone', (all) => !('container/node-1/web/eth0' in all));
    await host.start('web');
    await see('it is back', (all) => (all['container/node-1/web/eth0']?.ifindex ?? old) > old);
  });

  test('identities hold while the API is not served, and changes of that time are read afterwards', async () => {
    await host.stopServing();
    const from = probe.lines.length;
    await host.start('new');
    await probe.see('its device', 'devices', (all) => all.some(unknownVeth), LIMIT);
    await host.serve();
    // A device that comes makes the agent ask.
    await host.start('next');
    await see('both', (all) => 'container/node-1/new/eth0' in all && 'container/node-1/next/eth0' in all);
    const lost = probe.lines.slice(from).filter(({ devices }) => !('container/node-1/web/eth0' in byId(devices!)));
    assert.deepEqual(lost, []);
  });
});

function unknownVeth({ linkType, identity }: Device): boolean {
  return linkType === 'veth' && identity === undefined;
}

function byId(devices: readonly Device[]): Record<string, Device> {
  return Object.fromEntries(devices.flatMap((device) => (device.identity ? [[device.identity.id, device]] : [])));
}
