/**
 * The identity provider `open-vswitch` with a real switch, and with a real libvirt that plugs a
 * guest into it.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { Device, NodeProblem } from '@mirrorplane/contract';
import { domainXml, LibvirtHost, noLibvirt } from './libvirt-host.ts';
import { Namespace, Probe } from './namespace.ts';
import { noOpenVswitch, OpenVswitchHost } from './open-vswitch-host.ts';
import { isRoot, temporaryFolder } from './support.ts';

/** Milliseconds: room for a loaded machine. */
const LIMIT = 60_000;
const PORT = 'c83ca6c4-0d0b-4b57-8d2c-6a1f2c9d0e11';
const MAC = '52:54:00:00:00:01';

interface Lines {
  at: number;
  devices: Device[];
  problems: NodeProblem[];
}

const skip = isRoot ? noOpenVswitch && `needs ${noOpenVswitch}` : 'needs root';

/** A watched host with a switch. */
async function watched(scope: Pick<TestContext, 'after'>) {
  let host: OpenVswitchHost | undefined;
  let probe: Probe<Lines> | undefined;
  // It writes into the folder of the host, and so ends first.
  scope.after(() => probe?.stop());
  scope.after(() => host?.stop());
  const namespace = new Namespace(scope);
  const folder = temporaryFolder(scope);
  host = new OpenVswitchHost(namespace, join(folder, 'ovs'));
  await host.start();
  probe = new Probe<Lines>(
    scope,
    namespace,
    'identities',
    join(folder, 'identities.json'),
    `openVswitch=${host.socket}`,
  );
  await probe.see('the first list', 'devices', undefined, LIMIT);
  return { host, namespace, probe };
}

describe('open vswitch', { skip, timeout: 240_000 }, () => {
  const endings: (() => unknown)[] = [];
  const scope = { after: (ending: () => unknown) => void endings.push(ending) } as Pick<TestContext, 'after'>;
  let at: Awaited<ReturnType<typeof watched>>;

  before(async () => {
    at = await watched(scope);
  });
  after(async () => {
    for (const ending of endings) {
      await ending();
    }
  });

  const named = (devices: Device[], name: string) => devices.find((device) => device.name === name);
  const see = (what: string, check: (devices: Device[]) => boolean) => at.probe.see(what, 'devices', check, LIMIT);
  const tap = (name: string) => {
    at.namespace.ip('tuntap', 'add', name, 'mode', 'tap');
    at.namespace.ip('link', 'set', name, 'up');
  };
  const plug = (name: string, ...external: string[]) =>
    at.host.vsctl(
      'add-port',
      'br-int',
      name,
      '--',
      'set',
      'interface',
      name,
      ...external.map((id) => `external_ids:${id}`),
    );

  test('a port with an iface-id is that NIC, on the network of its bridge', async () => {
    tap('tap1');
    await plug('tap1', `iface-id=${PORT}`, `attached-mac="${MAC}"`, 'vm-uuid=vm-1', 'iface-status=active');
    const devices = await see('tap1', (all) => named(all, 'tap1')?.identity !== undefined);
    assert.deepEqual(named(devices, 'tap1')?.identity, {
      kind: 'vm',
      id: PORT,
      name: `vm-1 ${MAC}`,
      network: 'br-int',
      provider: 'open-vswitch',
    });
    assert.equal(named(devices, 'tap1')?.guest, undefined);
  });

  test('external_ids of ours give a port its id, kind, name and network', async () => {
    tap('tap2');
    const ours = [
      'mirrorplane-id=fw-1/wan',
      'mirrorplane-kind=nfv',
      'mirrorplane-name=wan',
      'mirrorplane-network=outside',
    ];
    await plug('tap2', 'iface-id=other', ...ours);
    const devices = await see('tap2', (all) => named(all, 'tap2')?.identity !== undefined);
    assert.deepEqual(named(devices, 'tap2')?.identity, {
      kind: 'nfv',
      id: 'fw-1/wan',
      name: 'wan',
      network: 'outside',
      provider: 'open-vswitch',
    });
  });

  test('a port that is inactive has no guest, until it is active', async () => {
    await at.host.vsctl('set', 'interface', 'tap1', 'external_ids:iface-status=inactive');
    await see('the guest is absent', (all) => named(all, 'tap1')?.guest === 'absent');
    await at.host.vsctl('set', 'interface', 'tap1', 'external_ids:iface-status=active');
    await see('it is not known to be absent', (all) => named(all, 'tap1')?.guest === undefined);
  });

  test('a value that cannot be used is an error of its device', async () => {
    await at.host.vsctl('set', 'interface', 'tap2', 'external_ids:mirrorplane-kind=pod');
    const devices = await see('an error', (all) => named(all, 'tap2')?.identityError !== undefined);
    assert.match(named(devices, 'tap2')!.identityError!, /kind in external_ids/);
    assert.equal(named(devices, 'tap2')?.identity, undefined);
    await at.host.vsctl('set', 'interface', 'tap2', 'external_ids:mirrorplane-kind=nfv');
    await see('the identity is back', (all) => named(all, 'tap2')?.identity?.kind === 'nfv');
  });

  test('an internal port is refused where it is named for us, and a vhost-user port is a problem', async () => {
    await at.host.vsctl(
      'add-port',
      'br-int',
      'int1',
      '--',
      'set',
      'interface',
      'int1',
      'type=internal',
      'external_ids:mirrorplane-id=int/0',
    );
    const devices = await see('int1', (all) => named(all, 'int1')?.identityError !== undefined);
    assert.match(named(devices, 'int1')!.identityError!, /directions are reversed/);
    // This switch is built without DPDK: the port is in the database, and the switch cannot open
    // it.
    await at.host.vsctl(
      '--no-wait',
      'add-port',
      'br-int',
      'vhu1',
      '--',
      'set',
      'interface',
      'vhu1',
      'type=dpdkvhostuserclient',
      'external_ids:iface-id=vhu/0',
    );
    const problems = await at.probe.see('a problem', 'problems', (all) => all.length > 0, LIMIT);
    assert.deepEqual(
      problems.map(({ code, interface: id }) => [code, id]),
      [['DEVICE_UNSUPPORTED', 'vhu/0']],
    );
  });

  test('a device that comes under the name of another has its identity only once the switch has opened it', async () => {
    await at.host.stopSwitch();
    const old = named(at.probe.lines.at(-1)!.devices!, 'tap1')!.ifindex;
    at.namespace.ip('link', 'del', 'tap1');
    tap('tap1');
    const devices = await see('the new device', (all) => (named(all, 'tap1')?.ifindex ?? old) !== old);
    assert.equal(named(devices, 'tap1')?.identity, undefined);
    at.host.startSwitch();
    await see('it is the NIC again', (all) => named(all, 'tap1')?.identity?.id === PORT);
  });

  test('identities hold through a kill of the database, and later changes are read afterwards', async () => {
    const from = at.probe.lines.length;
    await at.host.stopDatabase();
    await at.host.startDatabase();
    await at.host.vsctl('--no-wait', 'set', 'interface', 'tap1', 'external_ids:mirrorplane-name=back');
    await see('what was written since', (all) => named(all, 'tap1')?.identity?.name === 'back');
    const lost = at.probe.lines.slice(from).filter(({ devices }) => named(devices!, 'tap1')?.identity?.id !== PORT);
    assert.deepEqual(lost, []);
  });

  test("the switch's end of OpenStack's hybrid plugging is no NIC, and the tap behind it is the port", async () => {
    const [port, cut] = ['7a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d', '7a1b2c3d-4e'];
    tap(`tap${cut}`);
    at.namespace.ip('link', 'add', `qbr${cut}`, 'type', 'bridge');
    at.namespace.ip('link', 'add', `qvb${cut}`, 'type', 'veth', 'peer', 'name', `qvo${cut}`);
    for (const end of ['tap', 'qvb']) {
      at.namespace.ip('link', 'set', `${end}${cut}`, 'master', `qbr${cut}`);
    }
    for (const end of ['qbr', 'qvb', 'qvo']) {
      at.namespace.ip('link', 'set', `${end}${cut}`, 'up');
    }
    await plug(`qvo${cut}`, `iface-id=${port}`, `attached-mac="${MAC}"`, 'vm-uuid=vm-2', 'iface-status=active');
    const devices = await see('the port', (all) => all.some(({ identity }) => identity?.id === port));
    assert.deepEqual(
      devices.filter(({ identity }) => identity?.id === port).map(({ name }) => name),
      [`tap${cut}`],
    );
    for (const end of ['qbr', 'qvb', 'qvo']) {
      assert.deepEqual(
        [named(devices, `${end}${cut}`)?.identity, named(devices, `${end}${cut}`)?.identityError],
        [undefined, undefined],
      );
    }
    at.namespace.ip('link', 'del', `tap${cut}`);
    await see('nothing is the port without its tap', (all) => all.every(({ identity }) => identity?.id !== port));
  });

  test('a port that is only named like one of the hybrid plugging is a NIC by itself', async () => {
    tap('qvo00000000-00');
    await plug('qvo00000000-00', 'iface-id=11111111-2222-4333-8444-555555555555');
    await see('the port', (all) => named(all, 'qvo00000000-00')?.identity !== undefined);
  });

  test('a port that is unplugged is no NIC any more', async () => {
    await at.host.vsctl('del-port', 'br-int', 'tap1');
    await see('a device without identity', (all) => {
      const device = named(all, 'tap1');
      return device !== undefined && device.identity === undefined;
    });
  });
});

test('a NIC that libvirt plugs into Open vSwitch is known by both, and libvirt is believed', {
  skip: skip || (noLibvirt && `needs ${noLibvirt}`),
  timeout: 240_000,
}, async (t) => {
  const probes: Probe<Lines>[] = [];
  // They write into the folder of the host, and so end first.
  t.after(() => Promise.all(probes.map((probe) => probe.stop())));
  let ovs: OpenVswitchHost | undefined;
  t.after(() => ovs?.stop());
  const host = new LibvirtHost(t);
  // Where libvirt's own ovs-vsctl looks for it.
  ovs = new OpenVswitchHost(host.namespace, join(host.folder, 'run/openvswitch'));
  await Promise.all([host.start(), ovs.start()]);
  const uuid = '5d7c0f1a-2b3c-4d5e-8f90-0123456789ab';
  const watch = (libvirt: string) =>
    new Probe<Lines>(
      t,
      host.namespace,
      'identities',
      join(host.folder, `${libvirt}.json`.replaceAll('/', '-')),
      `libvirt=${libvirt}`,
      `openVswitch=${ovs!.socket}`,
    );
  probes.push(watch('off'), watch(host.uri));
  await Promise.all(probes.map((probe) => probe.see('the first list', 'devices', undefined, LIMIT)));
  const nic = `<interface type='bridge'><mac address='${MAC}'/><source bridge='br-int'/>
    <virtualport type='openvswitch'><parameters interfaceid='${PORT}'/></virtualport><model type='virtio'/></interface>`;
  await host.define('create', domainXml('web-1', uuid, nic));
  const seen = (devices: Device[]) => devices.find(({ name }) => name === 'vnet0');
  const bySwitch = await probes[0]!.see('the port', 'devices', (all) => seen(all)?.identity !== undefined, LIMIT);
  assert.deepEqual(seen(bySwitch)?.identity, {
    kind: 'vm',
    id: PORT,
    name: `${uuid} ${MAC}`,
    network: 'br-int',
    provider: 'open-vswitch',
  });
  const byBoth = await probes[1]!.see('the guest runs', 'devices', (all) => seen(all)?.guest === 'running', LIMIT);
  assert.equal(seen(byBoth)?.identity?.id, `${uuid}/52-54-00-00-00-01`);
});

test('a NIC that libvirt plugs as OpenStack does in hybrid mode is one interface, with the id that it has without the bridge', {
  skip: skip || (noLibvirt && `needs ${noLibvirt}`),
  timeout: 240_000,
}, async (t) => {
  let probe: Probe<Lines> | undefined;
  t.after(() => probe?.stop());
  let ovs: OpenVswitchHost | undefined;
  t.after(() => ovs?.stop());
  const host = new LibvirtHost(t);
  ovs = new OpenVswitchHost(host.namespace, join(host.folder, 'run/openvswitch'));
  await Promise.all([host.start(), ovs.start()]);
  const cut = PORT.slice(0, 11);
  const ip = (...args: string[]) => host.namespace.ip('link', ...args);
  ip('add', `qbr${cut}`, 'type', 'bridge');
  ip('add', `qvb${cut}`, 'type', 'veth', 'peer', 'name', `qvo${cut}`);
  ip('set', `qvb${cut}`, 'master', `qbr${cut}`);
  for (const end of ['qbr', 'qvb', 'qvo']) {
    ip('set', `${end}${cut}`, 'up');
  }
  const external = [`iface-id=${PORT}`, `attached-mac="${MAC}"`, 'vm-uuid=vm-1', 'iface-status=active'];
  const columns = external.map((id) => `external_ids:${id}`);
  await ovs.vsctl('add-port', 'br-int', `qvo${cut}`, '--', 'set', 'interface', `qvo${cut}`, ...columns);
  const file = join(host.folder, 'identities.json');
  probe = new Probe<Lines>(t, host.namespace, 'identities', file, `libvirt=${host.uri}`, `openVswitch=${ovs.socket}`);
  await probe.see('the first list', 'devices', undefined, LIMIT);
  const uuid = '5d7c0f1a-2b3c-4d5e-8f90-0123456789ab';
  const nic = `<interface type='bridge'><mac address='${MAC}'/><source bridge='qbr${cut}'/>
    <target dev='tap${cut}'/><model type='virtio'/></interface>`;
  await host.define('create', domainXml('web-1', uuid, nic));
  const runs = (all: Device[]) => all.some(({ guest }) => guest === 'running');
  const devices = await probe.see('the guest runs', 'devices', runs, LIMIT);
  assert.deepEqual(
    devices.flatMap(({ name, identity }) => (identity ? [[name, identity.id]] : [])),
    [[`tap${cut}`, `${uuid}/52-54-00-00-00-01`]],
  );
  assert.deepEqual(probe.lines.at(-1)?.problems, []);
});
