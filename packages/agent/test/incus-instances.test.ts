/** NICs in what Incus and LXD say of their instances. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInstance } from '../src/discovery/incus-instances.ts';

const UUID = 'a962b716-ef29-4b81-8736-a018062da669';
/** Values as LXD 5.0.2 gave them for a container that runs. */
const instance = (more: object = {}, config: Record<string, string> = {}) => ({
  architecture: 'x86_64',
  config: {
    'volatile.eth0.host_name': 'veth4067017f',
    'volatile.eth0.hwaddr': '00:16:3e:69:5b:2e',
    'volatile.eth0.name': 'eth0',
    'volatile.last_state.power': 'RUNNING',
    'volatile.uuid': UUID,
    ...config,
  },
  expanded_config: config,
  expanded_devices: {
    eth0: { nictype: 'bridged', parent: 'br0', type: 'nic' },
    root: { path: '/', pool: 'default', type: 'disk' },
  },
  name: 'c1',
  status: 'Running',
  status_code: 103,
  location: 'none',
  type: 'container',
  project: 'default',
  ...more,
});

const claim = (listed: unknown, member?: string) => readInstance(listed, member).claims[0];

test('a NIC that runs has the UUID and its key as id, and is where its device is', () => {
  assert.deepEqual(readInstance(instance(), undefined), {
    claims: [
      {
        device: 'veth4067017f',
        guest: 'running',
        mac: '00:16:3e:69:5b:2e',
        identity: { kind: 'vm', id: `${UUID}/eth0`, name: 'c1 eth0', network: 'br0', provider: 'incus' },
      },
    ],
    problems: [],
  });
});

test('in a cluster the guest is at the member that has it, and absent at the others', () => {
  assert.equal(claim(instance({ location: 'one' }), 'one')?.guest, 'running');
  assert.equal(claim(instance({ location: 'one' }), 'two')?.guest, 'absent');
  assert.equal(claim(instance({ location: 'one', status: 'Starting' }), 'one')?.guest, 'absent');
});

test('a managed network is the network of a NIC, and an address that was given its MAC address', () => {
  const devices = { lan: { type: 'nic', network: 'lxdbr0', hwaddr: '00:16:3E:00:00:01' } };
  const said = claim(instance({ expanded_devices: devices }, { 'volatile.lan.host_name': 'tap1a2b3c4d' }));
  assert.deepEqual(
    [said?.device, said?.mac, said && 'identity' in said && said.identity.network],
    ['tap1a2b3c4d', '00:16:3e:00:00:01', 'lxdbr0'],
  );
});

test('the kind comes from the instance or its profiles, and a wrong one is an error of the device', () => {
  const kind = (value: string) => claim(instance({ expanded_config: { 'user.mirrorplane.kind': value } }));
  const nfv = kind('nfv');
  assert.equal(nfv && 'identity' in nfv && nfv.identity.kind, 'nfv');
  for (const wrong of ['router', 'edge']) {
    const said = kind(wrong);
    assert.match(said && 'error' in said ? said.error : '', /^c1 eth0: kind/);
  }
});

test('a NIC that leaves no device on the host is a problem while its instance runs here', () => {
  const devices = { eth0: { type: 'nic', nictype: 'sriov', parent: 'eno1' } };
  const { claims, problems } = readInstance(instance({ expanded_devices: devices }), undefined);
  assert.deepEqual(claims, []);
  assert.deepEqual(
    problems.map(({ code, message }) => [code, /^c1 eth0: it is passed through/.test(message)]),
    [['DEVICE_UNSUPPORTED', true]],
  );
  const stopped = instance({ expanded_devices: devices, status: 'Stopped' });
  assert.deepEqual(readInstance(stopped, undefined), { claims: [], problems: [] });
});

test('an instance without a UUID is an error of its device, and one that is not understood is refused', () => {
  const { config, ...rest } = instance();
  const { 'volatile.uuid': _, ...without } = config as Record<string, string>;
  const said = claim({ ...rest, config: without });
  assert.match(said && 'error' in said ? said.error : '', /has no volatile.uuid/);
  assert.throws(() => readInstance({ name: 'c2' }, undefined));
  assert.throws(() => readInstance(null, undefined));
});
