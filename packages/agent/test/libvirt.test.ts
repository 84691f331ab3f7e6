/**
 * The identity provider `libvirt` with two real libvirt daemons and QEMU guests that migrate
 * between them.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Device, NodeProblem } from '@mirrorplane/contract';
import { domainXml, LibvirtHost, noLibvirt } from './libvirt-host.ts';
import { Probe } from './namespace.ts';
import { ip, isRoot } from './support.ts';

const UUID = '5d7c0f1a-2b3c-4d5e-8f90-0123456789ab';
const NICS = `
  <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='virtio'/></interface>
  <interface type='ethernet'><mac address='52:54:00:00:00:02'/><target dev='wan0'/><model type='virtio'/></interface>
  <interface type='network'><mac address='52:54:00:00:00:03'/><source network='blue'/><model type='virtio'/></interface>
  <interface type='user'><mac address='52:54:00:00:00:04'/><model type='virtio'/></interface>`;
const METADATA = `<m:interfaces xmlns:m='urn:mirrorplane:interfaces:1'>
  <m:interface mac='52:54:00:00:00:02' id='fw-1/wan' kind='nfv'/></m:interfaces>`;
/** The interfaces of the domain, in the order of its NICs. */
const IDS = [`${UUID}/52-54-00-00-00-01`, 'fw-1/wan', `${UUID}/52-54-00-00-00-03`];

/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;

interface Lines {
  /** Milliseconds since the epoch. */
  at: number;
  devices: Device[];
  problems: NodeProblem[];
}

const skip = isRoot ? noLibvirt && `needs ${noLibvirt}` : 'needs root';

describe('libvirt', { skip, timeout: 240_000 }, () => {
  const endings: (() => unknown)[] = [];
  const scope = { after: (ending: () => unknown) => void endings.push(ending) } as Pick<TestContext, 'after'>;
  after(async () => {
    const errors: unknown[] = [];
    for (const ending of endings) {
      try {
        await ending();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw new AggregateError(errors);
    }
  });
  // They write into the folders of the hosts, and so end first.
  const probeScope = { after: (ending: () => unknown) => void endings.unshift(ending) } as typeof scope;
  const hosts: LibvirtHost[] = [];
  const probes: Probe<Lines>[] = [];
  const watch = (host: LibvirtHost) =>
    new Probe<Lines>(
      probeScope,
      host.namespace,
      'identities',
      join(host.folder, 'identities.json'),
      `libvirt=${host.uri}`,
    );
  const start = async (host: LibvirtHost) => {
    await host.start();
    await host.define('net-define', "<network><name>blue</name><forward mode='bridge'/><bridge name='br1'/></network>");
    await host.virsh('net-start', 'blue');
  };

  before(async () => {
    hosts.push(new LibvirtHost(scope), new LibvirtHost(scope));
    await Promise.all(hosts.map(start));
    probes.push(...hosts.map(watch));
    await Promise.all(probes.map((probe) => probe.see('a first list', 'devices', undefined, LIMIT)));
  });

  /** id and guest of every device that has an identity. */
  const guests = (devices: Device[]) =>
    Object.fromEntries(devices.flatMap(({ identity, guest }) => (identity ? [[identity.id, guest]] : [])));
  const see = (host: number, what: string, check: (guests: Record<string, string | undefined>) => boolean) =>
    probes[host]!.see(what, 'devices', (devices) => check(guests(devices)), LIMIT);
  const all = (guest: string) => (seen: Record<string, string | undefined>) => IDS.every((id) => seen[id] === guest);
  const none = (seen: Record<string, string | undefined>) => Object.keys(seen).length === 0;

  const write = (metadata: string) => {
    const where = ['--live', '--uri', 'urn:mirrorplane:interfaces:1', '--key', 'm'];
    return hosts[0]!.virsh('metadata', 'web-1', ...where, '--set', metadata);
  };
  const name = (mac: string, id: string) => write(`<interfaces><interface mac='${mac}' id='${id}'/></interfaces>`);
  const nameAgain = () => write(METADATA.replaceAll('m:', '').replace(':m', ''));

  test('the NICs of a domain are known before its guest runs, and run when it does', async () => {
    await hosts[0]!.define('define', domainXml('web-1', UUID, NICS, { metadata: METADATA }));
    await hosts[0]!.virsh('start', 'web-1');
    const devices = await see(0, 'all run', all('running'));
    const first = probes[0]!.lines.find((line) => IDS[0]! in guests(line.devices ?? []));
    assert.deepEqual(guests(first!.devices!), { [IDS[0]!]: 'absent', [IDS[1]!]: 'absent', [IDS[2]!]: 'absent' });
    const identities = devices.flatMap(({ name, identity }) =>
      identity ? [[name, identity.kind, identity.name, identity.network]] : [],
    );
    assert.deepEqual(identities, [
      ['vnet0', 'vm', 'web-1 net0', 'br0'],
      ['wan0', 'nfv', 'web-1 net1', undefined],
      ['vnet1', 'vm', 'web-1 net2', 'blue'],
    ]);
  });

  test('a NIC of type user is reported as a problem, and is no device', () => {
    const { problems, devices } = probes[0]!.lines.at(-1)!;
    assert.deepEqual(
      problems?.map(({ code, interface: id }) => [code, id]),
      [['DEVICE_UNSUPPORTED', `${UUID}/52-54-00-00-00-04`]],
    );
    assert.equal(devices?.filter(({ identity }) => identity).length, 3);
  });

  test('a guest that its operator pauses is still here', async () => {
    const from = probes[0]!.lines.length;
    await hosts[0]!.virsh('suspend', 'web-1');
    // Something that is seen for certain, so that the pause was read too.
    await name('52:54:00:00:00:01', 'web-1/0');
    await see(0, 'the id of the metadata', (seen) => seen['web-1/0'] === 'running' && !(IDS[0]! in seen));
    await nameAgain();
    await see(0, 'the ids of before', all('running'));
    assert.match(await hosts[0]!.virsh('domstate', '--reason', 'web-1'), /paused \(user\)/);
    assert.ok(
      probes[0]!.lines.slice(from).every((line) => !Object.values(guests(line.devices ?? [])).includes('absent')),
    );
    await hosts[0]!.virsh('resume', 'web-1');
  });

  test('a NIC that is plugged into a running guest is known', async () => {
    await hosts[0]!.virsh(
      'attach-interface',
      'web-1',
      'bridge',
      'br0',
      '--mac',
      '52:54:00:00:00:05',
      '--model',
      'virtio',
      '--live',
    );
    await see(0, 'the new NIC', (seen) => seen[`${UUID}/52-54-00-00-00-05`] === 'running');
  });

  test('a NIC keeps its identity when its device is renamed and libvirt is read again', async () => {
    hosts[0]!.namespace.ip('link', 'set', 'vnet1', 'name', 'moved0');
    await name('52:54:00:00:00:01', 'web-1/0');
    const devices = await probes[0]!.see('what was read', 'devices', (all) => 'web-1/0' in guests(all), LIMIT);
    assert.equal(devices.find((device) => device.identity?.id === IDS[2])?.name, 'moved0');
    hosts[0]!.namespace.ip('link', 'set', 'moved0', 'name', 'vnet1');
    await nameAgain();
    await see(0, 'the ids of before', all('running'));
  });

  test('identities hold through a kill of libvirtd, and changes of that time are read afterwards', async () => {
    const from = probes[0]!.lines.length;
    await hosts[0]!.stop('SIGKILL');
    await hosts[0]!.start();
    await name('52:54:00:00:00:01', 'back/0');
    await see(0, 'what was written after the restart', (seen) => 'back/0' in seen);
    const lost = probes[0]!.lines.slice(from).filter((line) => !(IDS[2]! in guests(line.devices ?? [])));
    assert.deepEqual(lost, []);
    await nameAgain();
    await see(0, 'the ids of before', all('running'));
  });

  test('an agent that starts while libvirtd is down knows the identities of before', async () => {
    await probes[0]!.stop();
    await hosts[0]!.stop();
    probes[0] = watch(hosts[0]!);
    const devices = await probes[0].see('the first list', 'devices', undefined, LIMIT);
    assert.ok(all('running')(guests(devices)));
    await hosts[0]!.start();
  });

  test('a live migration keeps the ids: absent at the target, then running there, and never running on both', async () => {
    const from = probes.map((probe) => probe.lines.length);
    await hosts[0]!.virsh(
      'migrate',
      '--live',
      '--persistent',
      '--undefinesource',
      'web-1',
      hosts[1]!.uri,
      '--migrateuri',
      `unix://${join(hosts[1]!.folder, 'run/migration')}`,
    );
    await see(1, 'all run at the target', all('running'));
    await see(0, 'nothing is left at the source', none);
    const changes = probes
      .flatMap((probe, host) =>
        probe.lines.slice(from[host]!).map((line) => ({ host, at: line.at!, seen: guests(line.devices!) })),
      )
      .sort((a, b) => a.at - b.at);
    const target = changes.filter(({ host }) => host === 1).map(({ seen }) => seen[IDS[0]!]);
    assert.deepEqual([...new Set(target)], [undefined, 'absent', 'running']);
    const now: (string | undefined)[] = ['running', undefined];
    for (const { host, seen } of changes) {
      now[host] = seen[IDS[0]!];
      assert.ok(!now.every((guest) => guest === 'running'), 'running on both');
    }
  });

  test('another domain of the same name on the other host is another interface, and its macvtap can be a source alone', async () => {
    const uuid = '11111111-2222-4333-8444-555555555555';
    hosts[0]!.namespace.ip('link', 'add', 'lower0', 'type', 'veth', 'peer', 'name', 'lower1');
    const nics = `<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>
      <interface type='direct'><mac address='52:54:00:00:00:06'/><source dev='lower0' mode='bridge'/></interface>`;
    await hosts[0]!.define('create', domainXml('web-1', uuid, nics));
    await see(0, 'the other one runs', (seen) => seen[`${uuid}/52-54-00-00-00-01`] === 'running');
    const { devices } = probes[0]!.lines.at(-1)!;
    assert.ok(!(IDS[0]! in guests(devices!)));
    const direct = devices!.find(({ linkType }) => linkType === 'macvtap');
    assert.match(direct?.identity?.id ?? '', /52-54-00-00-00-06$/);
    assert.equal(direct?.notMirrorable?.guest, undefined);
    assert.match(direct?.notMirrorable?.destination ?? '', /is a macvtap device/);
    await hosts[0]!.virsh('destroy', 'web-1');
    await see(0, 'it is gone', none);
  });

  test('no process of ours outlives an agent that is killed', async () => {
    const listening = () =>
      readdirSync('/proc').filter((pid) => {
        const file = `/proc/${pid}/cmdline`;
        return /^\d+$/.test(pid) && existsSync(file) && readFileSync(file, 'utf8').includes(`${hosts[1]!.uri}\0event`);
      });
    assert.equal(listening().length, 1);
    await probes[1]!.stop('SIGKILL');
    await until('virsh has ended', () => listening().length === 0);
    assert.equal(
      ip('-n', hosts[1]!.namespace.name, '-o', 'link', 'show', 'vnet0').split('\n').length,
      2,
      'the guest runs on',
    );
  });
});
