/** Which devices of a node are listed, and with which identity. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identify, ownership } from '../src/discovery/devices.ts';
import type { Claim } from '../src/discovery/provider.ts';
import type { Link } from '../src/netlink/link.ts';
import { link } from './support.ts';

const ALIAS = 'mirrorplane:kind=vm;id=web-1/0';

test('a device with an alias has the identity that the alias says', () => {
  const { devices, problems } = identify([link('tap1', 5, { alias: ALIAS })], []);
  assert.deepEqual(devices[0]?.identity, { kind: 'vm', id: 'web-1/0', name: '', provider: 'alias' });
  assert.deepEqual(problems, []);
});

test('a device without an alias is listed without identity', () => {
  const { devices } = identify([link('eth0', 2, { linkType: '' })], []);
  assert.equal(devices[0]?.name, 'eth0');
  assert.equal(devices[0]?.identity, undefined);
});

test('an alias that is not understood becomes the identity error of its device', () => {
  const { devices } = identify([link('tap1', 5, { alias: 'mirrorplane:kind=pod;id=a' })], []);
  assert.match(devices[0]?.identityError ?? '', /kind "pod"/);
  assert.equal(devices[0]?.identity, undefined);
});

test('loopback, tunnels without claim and the helper pair are not listed', () => {
  const links = [link('lo', 1, { ethernet: false }), link('tun0', 4, { ethernet: false, linkType: 'tun' })];
  const renamed = link('foo', 9, { alias: 'mirrorplane:helper' });
  const { devices } = identify([...links, link('mirror0', 8), link('mirror1', 7), renamed], []);
  assert.deepEqual(devices, []);
});

test('a device of the operator that is called mirror0 and is no veth is listed', () => {
  assert.equal(identify([link('mirror0', 8, { linkType: 'tun' })], []).devices.length, 1);
});

test('a tunnel with an identity is listed as one that carries no Ethernet', () => {
  const { devices } = identify([link('tun0', 4, { ethernet: false, alias: ALIAS })], []);
  assert.equal(devices[0]?.ethernet, false);
});

test('of two devices with one id the lowest ifindex has it, and the other is a problem', () => {
  const { devices, problems } = identify([link('tap1', 5, { alias: ALIAS }), link('tap2', 6, { alias: ALIAS })], []);
  assert.equal(devices[0]?.identity?.id, 'web-1/0');
  assert.equal(devices[1]?.identity, undefined);
  assert.match(devices[1]?.identityError ?? '', /tap1 has it/);
  assert.deepEqual(
    problems.map(({ code, interface: id }) => [code, id]),
    [['INTERFACE_DUPLICATE', 'web-1/0']],
  );
});

test('of two devices with one id the one that had it before keeps it', () => {
  const later = link('tap2', 6, { alias: ALIAS });
  const before = ownership(identify([later], []).devices);
  const { devices } = identify([link('tap1', 5, { alias: ALIAS }), later], [], before);
  assert.deepEqual(
    devices.map((device) => device.identity?.id),
    [undefined, 'web-1/0'],
  );
});

test('when the owner of an id goes, the other device gets it', () => {
  const [tap1, tap2] = [link('tap1', 5, { alias: ALIAS }), link('tap2', 6, { alias: ALIAS })];
  const before = ownership(identify([tap1, tap2], []).devices);
  assert.equal(identify([tap2], [], before).devices[0]?.identity?.id, 'web-1/0');
});

test('an edge declared by device name is that device', () => {
  const { devices } = identify([link('edge0', 3, { linkType: '' })], [{ interface: 'uplink', device: 'edge0' }]);
  assert.deepEqual(devices[0]?.identity, { kind: 'edge', id: 'uplink', name: '', provider: 'declared' });
});

test('an edge declared by MAC address is the one device that has it', () => {
  const { devices } = identify([link('a', 3), link('b', 4)], [{ interface: 'uplink', mac: '02:00:00:00:00:04' }]);
  assert.deepEqual(
    devices.map((device) => device.identity?.id),
    [undefined, 'uplink'],
  );
});

test('a burnt-in MAC address comes before those that bond and slaves share', () => {
  const mac = '02:00:00:00:00:03';
  const links = [
    link('bond0', 2, { mac, linkType: 'bond' }),
    link('nic1', 3, { mac, permanentMac: mac, linkType: '' }),
    link('nic2', 4, { mac, permanentMac: '02:00:00:00:00:04', linkType: '' }),
  ];
  const { devices } = identify(links, [{ interface: 'uplink', mac }]);
  assert.equal(devices.find((device) => device.identity)?.name, 'nic1');
});

test('a MAC address that a NIC shares with a bridge above it is the NIC', () => {
  const mac = '02:00:00:00:00:03';
  const links = [link('br0', 2, { mac, linkType: 'bridge' }), link('nic1', 3, { mac, linkType: '' })];
  assert.equal(identify(links, [{ interface: 'uplink', mac }]).devices[1]?.identity?.id, 'uplink');
});

test('a MAC address that two equal devices have binds neither, and is a problem', () => {
  const mac = '02:00:00:00:00:03';
  const { devices, problems } = identify(
    [link('a', 3, { mac }), link('b', 4, { mac })],
    [{ interface: 'uplink', mac }],
  );
  assert.ok(devices.every((device) => device.identity === undefined));
  assert.match(problems[0]?.message ?? '', /a and b have the MAC address/);
});

test('a device that is declared and has an alias is the edge, and says that its alias is ignored', () => {
  const { devices } = identify([link('edge0', 3, { alias: ALIAS })], [{ interface: 'uplink', device: 'edge0' }]);
  assert.equal(devices[0]?.identity?.kind, 'edge');
  assert.match(devices[0]?.identityError ?? '', /alias is ignored/);
});

test('a device that is declared as two edges is the first, and a problem', () => {
  const edges = [
    { interface: 'uplink', device: 'edge0' },
    { interface: 'other', mac: '02:00:00:00:00:03' },
  ];
  const { devices, problems } = identify([link('edge0', 3)], edges);
  assert.equal(devices[0]?.identity?.id, 'uplink');
  assert.equal(problems[0]?.interface, 'other');
});

const nic = (device: string, id: string, guest?: 'running' | 'absent'): Claim => ({
  device,
  identity: { kind: 'vm', id, name: '', provider: 'libvirt' },
  ...(guest && { guest }),
});

test('a device that only a provider knows has the identity and the guest that it says', () => {
  const { devices } = identify([link('tap1', 5)], [], new Map(), () => [nic('tap1', 'a', 'absent')]);
  assert.equal(devices[0]?.identity?.id, 'a');
  assert.equal(devices[0]?.guest, 'absent');
});

test('an alias is believed before a provider, which still says where the guest is', () => {
  const { devices } = identify([link('tap1', 5, { alias: ALIAS })], [], new Map(), () => [nic('tap1', 'a', 'running')]);
  assert.equal(devices[0]?.identity?.id, 'web-1/0');
  assert.equal(devices[0]?.guest, 'running');
});

test('a declared edge is believed before a provider, and has no guest', () => {
  const claims = () => [nic('eth1', 'a', 'running')];
  const { devices } = identify([link('eth1', 5)], [{ interface: 'uplink', device: 'eth1' }], new Map(), claims);
  assert.equal(devices[0]?.identity?.id, 'uplink');
  assert.equal(devices[0]?.guest, undefined);
});

test('of two providers the first one is believed, and the guest is where the first one says that knows it', () => {
  const { devices } = identify([link('tap1', 5)], [], new Map(), () => [nic('tap1', 'a'), nic('tap1', 'b', 'absent')]);
  assert.equal(devices[0]?.identity?.id, 'a');
  assert.equal(devices[0]?.guest, 'absent');
});

test('a device with an absent guest loses its interface to a device with a running guest', () => {
  const [tap1, tap2] = [link('tap1', 5), link('tap2', 6)];
  const claimsOf = ({ name }: Link) => [nic(name, 'a', name === 'tap1' ? 'absent' : 'running')];
  const { devices } = identify([tap1, tap2], [], new Map([['a', 5]]), claimsOf);
  assert.deepEqual(
    devices.map(({ identity, guest }) => [identity?.id, guest]),
    [
      [undefined, undefined],
      ['a', 'running'],
    ],
  );
});
