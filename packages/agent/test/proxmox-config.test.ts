/** NICs in the configuration of Proxmox VE guests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterName, guestClaim, guestDevice, parseGuestConfig } from '../src/discovery/proxmox-config.ts';

/** As `qm` writes it: what is now, what waits for the next start, a snapshot. */
const VM = `#net9%3A virtio=00:00:00:00:00:09 in the description
boot: order=scsi0;net0
cores: 2
memory: 2048
meta: creation-qemu=9.0.2,ctime=1731000000
name: web-1
net0: virtio=BC:24:11:0A:0B:0C,bridge=vmbr0,firewall=1
net1: model=e1000,macaddr=bc:24:11:0a:0b:0d,bridge=vmbr1,tag=7,trunks=8;9
net2: virtio=02:00:00:00:00:02,link_down=1
parent: before
scsi0: local-lvm:vm-100-disk-0,size=32G
smbios1: uuid=0e1d8f2c-8f0a-4d40-9a53-3a3f0b6cc9a1
tags: front;mirrorplane-nfv

[PENDING]
net0: virtio=BC:24:11:FF:FF:FF,bridge=vmbr9
net3: virtio=BC:24:11:0A:0B:0E,bridge=vmbr0
name: later

[before]
name: then
net0: virtio=BC:24:11:EE:EE:EE,bridge=vmbr8
net4: virtio=BC:24:11:EE:EE:EF,bridge=vmbr8
snaptime: 1731000001
tags: then
`;

/** As `pct` writes it. */
const CONTAINER = `arch: amd64
hostname: dns-1
net0: name=eth0,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:00:00:01,ip=dhcp,type=veth
ostype: debian
unprivileged: 1
lxc.idmap: u 0 100000 65536
`;

const identity = (name: string, config: string) => {
  const claim = guestClaim(guestDevice(name)!, parseGuestConfig(config), 'prod', 'running');
  return 'identity' in claim ? claim.identity : claim.error;
};

test('a tap and a veth of Proxmox name the guest and the NIC', () => {
  assert.deepEqual(guestDevice('tap100i0'), { name: 'tap100i0', folder: 'qemu-server', vmid: '100', key: 'net0' });
  assert.deepEqual(guestDevice('veth999999999i31'), {
    name: 'veth999999999i31',
    folder: 'lxc',
    vmid: '999999999',
    key: 'net31',
  });
});

test('devices of the firewall, bridges, and devices of others are no NICs of guests', () => {
  for (const name of ['fwbr100i0', 'fwln100i0', 'fwpr100p0', 'vmbr0', 'tap100', 'tap0', 'veth1a2b3c', 'xtap100i0']) {
    assert.equal(guestDevice(name), undefined, name);
  }
});

test('a NIC is named by cluster, guest and MAC address, with the name, bridge and VLAN of its configuration', () => {
  assert.deepEqual(identity('tap100i0', VM), {
    kind: 'nfv',
    id: 'pve/prod/100/bc-24-11-0a-0b-0c',
    name: 'web-1 net0',
    network: 'vmbr0',
    provider: 'proxmox',
  });
  assert.deepEqual(identity('tap100i1', VM), {
    kind: 'nfv',
    id: 'pve/prod/100/bc-24-11-0a-0b-0d',
    name: 'web-1 net1',
    network: 'vmbr1.7',
    provider: 'proxmox',
  });
});

test('a NIC without a bridge has no network', () => {
  assert.deepEqual(identity('tap100i2', VM), {
    kind: 'nfv',
    id: 'pve/prod/100/02-00-00-00-00-02',
    name: 'web-1 net2',
    provider: 'proxmox',
  });
});

test('a NIC that is being plugged is read from the pending changes, and one of a snapshot is not there', () => {
  assert.match(JSON.stringify(identity('tap100i3', VM)), /bc-24-11-0a-0b-0e/);
  assert.equal(identity('tap100i4', VM), 'web-1 net4: 100.conf has no net4');
});

test('a container has its name and its MAC address', () => {
  assert.deepEqual(identity('veth101i0', CONTAINER), {
    kind: 'vm',
    id: 'pve/prod/101/bc-24-11-00-00-01',
    name: 'dns-1 net0',
    network: 'vmbr0',
    provider: 'proxmox',
  });
});

test('a NIC without a MAC address is an error of its device', () => {
  assert.equal(identity('tap7i0', 'name: x\nnet0: virtio,bridge=vmbr0\n'), 'x net0: net0 in 7.conf has no MAC address');
});

test('a guest without a name is shown by its number, and a name that is too long is cut', () => {
  const net = 'net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n';
  assert.equal((identity('tap7i0', net) as { name: string }).name, '7 net0');
  assert.equal((identity('tap7i0', `name: ${'x'.repeat(500)}\n${net}`) as { name: string }).name.length, 128);
});

test('the name of a cluster is read from corosync.conf', () => {
  const conf = 'nodelist {\n  node {\n    name: pve1\n  }\n}\n\ntotem {\n  cluster_name: prod-1\n  version: 2\n}\n';
  assert.equal(clusterName(conf), 'prod-1');
  assert.equal(clusterName('totem {\n}\n'), undefined);
});

test('the largest possible file is read at once, with any spaces in it', () => {
  const spaces = ' '.repeat(1_000_000);
  const from = performance.now();
  assert.equal(parseGuestConfig(`description: a${spaces}b\n[a]${spaces}b\nname: web-1${spaces}\n`).name, 'web-1');
  assert.equal(clusterName(`${spaces.replaceAll(' ', '\n')}\n  cluster_name: prod\n`), 'prod');
  // Where each space is a place to begin from, it takes more than an hour.
  assert.ok(performance.now() - from < 20_000);
});
