/**
 * The identity provider `incus` with a real LXD, whose API is the one of Incus, and its containers.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Device } from '@mirrorplane/contract';
import { LxdHost, noLxd } from './lxd-host.ts';
import { Namespace, Probe } from './namespace.ts';
import { isRoot, temporaryFolder } from './support.ts';

/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;
const skip = isRoot ? noLxd && `needs ${noLxd}` : 'needs root';

interface Lines {
  at: number;
  devices: Device[];
}

describe('lxd', { skip, timeout: 240_000 }, () => {
  const endings: (() => unknown)[] = [];
  const scope = { after: (ending: () => unknown) => void endings.unshift(ending) } as Pick<TestContext, 'after'>;
  let host: LxdHost;
  let probe: Probe<Lines>;
  const see = (what: string, check: (ids: Record<string, Device>) => boolean) =>
    probe.see(what, 'devices', (devices) => check(byId(devices)), LIMIT);
  /** What LXD itself says of an instance. */
  const said = async (key: string, name = 'web', project = 'default') =>
    (await host.lxc('config', 'get', name, key, '--project', project)).trim();

  before(async () => {
    const folder = temporaryFolder(scope);
    const namespace = new Namespace(scope);
    host = new LxdHost(scope, namespace, folder);
    await host.start();
    await host.lxc('storage', 'create', 'default', 'dir');
    probe = new Probe<Lines>(scope, host, 'identities', join(folder, 'ids.json'), `incus=${host.socket}`);
    await probe.see('the first list', 'devices', undefined, LIMIT);
  });
  after(async () => {
    for (const ending of endings) {
      await ending();
    }
  });

  test('LXD that is in use has the folder beside its socket that `auto` looks for', () => {
    assert.ok(existsSync(join(dirname(host.socket), 'database')));
  });

  test('an instance is known by its UUID and the name of its NIC, at the device that LXD says', async () => {
    await host.create('web');
    const id = `${await said('volatile.uuid')}/eth0`;
    await host.lxc('start', 'web');
    const device = byId(await see('the instance', (all) => all[id]?.guest === 'running'))[id]!;
    assert.equal(device.name, await said('volatile.eth0.host_name'));
    assert.deepEqual(device.identity, { kind: 'vm', id, name: 'web eth0', network: 'br0', provider: 'incus' });
  });

  test('a NIC that is plugged in is known, and a key of the instance gives its NICs their kind', async () => {
    const id = `${await said('volatile.uuid')}/eth1`;
    await host.lxc('config', 'set', 'web', 'user.mirrorplane.kind=nfv');
    await host.lxc('config', 'device', 'add', 'web', 'eth1', 'nic', 'nictype=bridged', 'parent=br0');
    const device = byId(await see('the new NIC', (all) => id in all))[id]!;
    assert.equal(device.identity?.kind, 'nfv');
    assert.equal(device.name, await said('volatile.eth1.host_name'));
  });

  test('an instance of the same name in another project is another interface', async () => {
    await host.lxc('project', 'create', 'blue', '--config', 'features.profiles=false');
    await host.create('web', 'blue');
    await host.lxc('start', 'web', '--project', 'blue');
    const id = `${await said('volatile.uuid', 'web', 'blue')}/eth0`;
    const other = `${await said('volatile.uuid')}/eth0`;
    const all = byId(await see('both', (seen) => id in seen && other in seen));
    assert.equal(all[id]?.identity?.name, 'blue/web eth0');
    assert.equal(all[other]?.identity?.name, 'web eth0');
    assert.notEqual(id, other);
  });

  test('identities hold while LXD is killed and back, and an instance that is started again keeps its ids', async () => {
    const id = `${await said('volatile.uuid')}/eth0`;
    const old = byId(probe.lines.at(-1)!.devices!)[id]!.ifindex;
    const from = probe.lines.length;
    await host.stop();
    await host.start();
    // A device that comes makes the agent ask.
    await host.lxc('config', 'device', 'add', 'web', 'eth2', 'nic', 'nictype=bridged', 'parent=br0');
    await see('what came since', (all) => `${id.slice(0, -1)}2` in all);
    assert.deepEqual(
      probe.lines.slice(from).filter(({ devices }) => byId(devices!)[id]?.ifindex !== old),
      [],
    );
    await host.lxc('restart', '--force', 'web');
    await see('it is back', (all) => (all[id]?.ifindex ?? old) > old && all[id]?.guest === 'running');
  });
});

function byId(devices: readonly Device[]): Record<string, Device> {
  return Object.fromEntries(devices.flatMap((device) => (device.identity ? [[device.identity.id, device]] : [])));
}
