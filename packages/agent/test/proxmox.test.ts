/**
 * The identity provider `proxmox` with real devices, and a folder laid out as Proxmox VE mounts it
 * on each node.
 */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Device } from '@mirrorplane/contract';
import { Namespace, Probe } from './namespace.ts';
import { isRoot, temporaryFolder } from './support.ts';

interface Lines {
  at: number;
  devices: Device[];
}

const skip = !isRoot && 'needs root';
const WEB = 'name: web-1\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1\n';

/** A cluster: the folders of its nodes, which all see. */
class Cluster {
  readonly folder: string;
  readonly #probes: Probe<Lines>[] = [];
  constructor(t: TestContext, name?: string) {
    // They write into the folder, and so end first.
    t.after(() => Promise.all(this.#probes.map((probe) => probe.stop())));
    this.folder = temporaryFolder(t);
    mkdirSync(join(this.folder, 'nodes'));
    if (name !== undefined) {
      writeFileSync(join(this.folder, 'corosync.conf'), `totem {\n  cluster_name: ${name}\n}\n`);
    }
  }

  /** The file of a guest on a node. */
  file(node: string, guest: string): string {
    return join(this.folder, 'nodes', node, guest);
  }

  /**
   * What one node mounts, with a network namespace for its devices, and what an agent sees there.
   */
  async node(t: TestContext, name: string, ...options: string[]) {
    for (const folder of ['qemu-server', 'lxc']) {
      mkdirSync(join(this.folder, 'nodes', name, folder), { recursive: true });
    }
    const mount = join(this.folder, `mount-${name}`);
    mkdirSync(mount);
    symlinkSync(join(this.folder, 'nodes'), join(mount, 'nodes'));
    symlinkSync(join(this.folder, 'corosync.conf'), join(mount, 'corosync.conf'));
    symlinkSync(`nodes/${name}`, join(mount, 'local'));
    const namespace = new Namespace(t);
    const file = join(this.folder, `${name}.json`);
    const probe = new Probe<Lines>(t, namespace, 'identities', file, `proxmox=${mount}`, ...options);
    this.#probes.push(probe);
    await probe.see('the first list', 'devices', undefined, 30_000);
    const see = (what: string, check: (said: Record<string, string>) => boolean) =>
      probe.see(what, 'devices', (devices) => check(said(devices)), 30_000);
    return { mount, namespace, probe, see };
  }
}

/** What is said of each device: its id with the guest, or the error. */
function said(devices: Device[]): Record<string, string> {
  return Object.fromEntries(
    devices.flatMap(({ name, identity, identityError, guest }) => {
      const text = identity ? `${identity.id} ${guest}` : identityError;
      return text === undefined ? [] : [[name, text]];
    }),
  );
}

const tap = (namespace: Namespace, name: string) => {
  namespace.ip('tuntap', 'add', name, 'mode', 'tap');
  namespace.ip('link', 'set', name, 'up');
};

const WEB_ID = 'pve/prod/100/bc-24-11-00-00-01';

test('the NICs of a VM and of a container are known by their devices, and those of the firewall are not', {
  skip,
}, async (t) => {
  const cluster = new Cluster(t, 'prod');
  const { namespace, see } = await cluster.node(t, 'pve1');
  writeFileSync(cluster.file('pve1', 'qemu-server/100.conf'), WEB);
  writeFileSync(
    cluster.file('pve1', 'lxc/101.conf'),
    'hostname: dns\nnet0: name=eth0,hwaddr=BC:24:11:00:00:02,bridge=vmbr0,type=veth\n',
  );
  tap(namespace, 'tap100i0');
  namespace.ip('link', 'add', 'veth101i0', 'type', 'veth', 'peer', 'name', 'ct-eth0');
  namespace.ip('link', 'add', 'fwbr100i0', 'type', 'bridge');
  namespace.ip('link', 'add', 'fwln100i0', 'type', 'veth', 'peer', 'name', 'fwpr100p0');
  const devices = await see('both', (all) => 'tap100i0' in all && 'veth101i0' in all);
  assert.deepEqual(said(devices), {
    tap100i0: `${WEB_ID} running`,
    veth101i0: 'pve/prod/101/bc-24-11-00-00-02 running',
  });
});

test('a NIC that is plugged in is known while its change is pending, and stays the same when it is done', {
  skip,
}, async (t) => {
  const cluster = new Cluster(t, 'prod');
  const { namespace, probe, see } = await cluster.node(t, 'pve1');
  const file = cluster.file('pve1', 'qemu-server/100.conf');
  const net1 = 'net1: virtio=BC:24:11:00:00:03,bridge=vmbr1';
  const id = 'pve/prod/100/bc-24-11-00-00-03 running';
  writeFileSync(file, `${WEB}\n[PENDING]\n${net1}\n`);
  tap(namespace, 'tap100i1');
  await see('it is pending', (all) => all.tap100i1 === id);
  const from = probe.lines.length;
  writeFileSync(`${file}.tmp`, `${WEB}tags: mirrorplane-nfv\n${net1}\n`);
  renameSync(`${file}.tmp`, file);
  await probe.see('it is done', 'devices', (all) => all.some(({ identity }) => identity?.kind === 'nfv'), 30_000);
  assert.ok(probe.lines.slice(from).every(({ devices }) => said(devices!).tap100i1 === id));
});

test('in a live migration the guest is absent at the target until its file is moved, and at the origin from then on', {
  skip,
}, async (t) => {
  const cluster = new Cluster(t, 'prod');
  const [from, to] = [await cluster.node(t, 'pve1'), await cluster.node(t, 'pve2')];
  writeFileSync(cluster.file('pve1', 'qemu-server/100.conf'), WEB);
  tap(from.namespace, 'tap100i0');
  await from.see('it runs', (all) => all.tap100i0 === `${WEB_ID} running`);
  tap(to.namespace, 'tap100i0');
  await to.see('it is to come', (all) => all.tap100i0 === `${WEB_ID} absent`);
  renameSync(cluster.file('pve1', 'qemu-server/100.conf'), cluster.file('pve2', 'qemu-server/100.conf'));
  await to.see('it runs there', (all) => all.tap100i0 === `${WEB_ID} running`);
  await from.see('it has left', (all) => all.tap100i0 === `${WEB_ID} absent`);
  from.namespace.ip('link', 'del', 'tap100i0');
  await from.see('the device is gone', (all) => !('tap100i0' in all));
});

test('two clusters, and a host that is in none, have other ids for the same guest, and a name that is given comes first', {
  skip,
}, async (t) => {
  const ids: string[] = [];
  for (const [name, ...options] of [['prod'], ['lab'], [undefined], ['prod', 'identityScope=old']] as const) {
    const cluster = new Cluster(t, name);
    const { namespace, see } = await cluster.node(t, 'pve1', ...options);
    writeFileSync(cluster.file('pve1', 'qemu-server/100.conf'), WEB);
    tap(namespace, 'tap100i0');
    const devices = await see('it runs', (all) => all.tap100i0?.startsWith('pve/') ?? false);
    ids.push(devices.find(({ identity }) => identity)!.identity!.id);
  }
  assert.deepEqual(
    ids,
    ['prod', 'lab', 'pve1', 'old'].map((scope) => `pve/${scope}/100/bc-24-11-00-00-01`),
  );
});

test('identities hold while the folder is not mounted, and what was written meanwhile is read', { skip }, async (t) => {
  const cluster = new Cluster(t, 'prod');
  const { mount, namespace, probe, see } = await cluster.node(t, 'pve1');
  writeFileSync(cluster.file('pve1', 'qemu-server/100.conf'), WEB);
  tap(namespace, 'tap100i0');
  await see('it runs', (all) => 'tap100i0' in all);
  const from = probe.lines.length;
  rmSync(join(mount, 'local'));
  rmSync(join(mount, 'nodes'));
  // A device that comes makes the agent read.
  tap(namespace, 'tap101i0');
  await probe.see('the new device', 'devices', (all) => all.some(({ name }) => name === 'tap101i0'), 30_000);
  writeFileSync(cluster.file('pve1', 'qemu-server/101.conf'), WEB.replaceAll('00:01', '00:04'));
  symlinkSync(join(cluster.folder, 'nodes'), join(mount, 'nodes'));
  symlinkSync('nodes/pve1', join(mount, 'local'));
  await see('the other one', (all) => all.tap101i0 === 'pve/prod/101/bc-24-11-00-00-04 running');
  assert.ok(probe.lines.slice(from).every(({ devices }) => said(devices!).tap100i0 === `${WEB_ID} running`));
});

test('a file that is missing or too large is an error of its guest alone', { skip }, async (t) => {
  const cluster = new Cluster(t, 'prod');
  const { namespace, see } = await cluster.node(t, 'pve1');
  writeFileSync(cluster.file('pve1', 'qemu-server/100.conf'), WEB);
  writeFileSync(cluster.file('pve1', 'qemu-server/102.conf'), `#${'x'.repeat(2 << 20)}\n${WEB}`);
  for (const name of ['tap100i0', 'tap101i0', 'tap102i0']) {
    tap(namespace, name);
  }
  const all = said(await see('all', (seen) => 'tap100i0' in seen && 'tap101i0' in seen && 'tap102i0' in seen));
  assert.equal(all.tap100i0, `${WEB_ID} running`);
  assert.match(all.tap101i0!, /there is no qemu-server\/101.conf on any node/);
  assert.match(all.tap102i0!, /102.conf is larger than 1048576 bytes/);
});
