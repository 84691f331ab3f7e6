/** NICs in the XML of a libvirt domain. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { InterfaceId } from '@mirrorplane/contract';
import { guestState, parseDomain } from '../src/discovery/libvirt-domain.ts';
import { parseEvent } from '../src/discovery/libvirt-events.ts';

/** What `virsh dumpxml` of libvirt 9.0 has said of a running domain. */
const XML = readFileSync(new URL('fixtures/domain-running.xml', import.meta.url), 'utf8');
const UUID = '5d7c0f1a-2b3c-4d5e-8f90-0123456789ab';

const claimOf = (device: string, xml = XML) =>
  parseDomain(xml, 'running').claims.find((claim) => claim.device === device);

test('a NIC on a bridge is the UUID of its domain and its MAC address, on the network of that bridge', () => {
  assert.deepEqual(claimOf('vnet0'), {
    device: 'vnet0',
    mac: '52:54:00:00:00:01',
    life: '1',
    guest: 'running',
    identity: {
      kind: 'vm',
      id: `${UUID}/52-54-00-00-00-01`,
      name: 'web-1 net0',
      network: 'br0',
      provider: 'libvirt',
    },
  });
  assert.ok(InterfaceId.safeParse(`${UUID}/52-54-00-00-00-01`).success);
});

test('a NIC on a network of libvirt has the name of that network', () => {
  const claim = claimOf('vnet1');
  assert.equal(claim && 'identity' in claim && claim.identity.network, 'blue');
});

test('the metadata of a domain names a NIC and its kind', () => {
  const claim = claimOf('wan0');
  assert.deepEqual(claim && 'identity' in claim && claim.identity, {
    kind: 'nfv',
    id: 'fw-1/wan',
    name: 'web-1 net1',
    provider: 'libvirt',
  });
});

test('children without a name space, as virsh metadata writes them, are read too', () => {
  const xml = XML.replace('<mp:interface ', "<interface name='the wan' network='outside' ");
  const claim = claimOf('wan0', xml);
  assert.deepEqual(claim && 'identity' in claim && [claim.identity.name, claim.identity.network], [
    'the wan',
    'outside',
  ]);
});

test('metadata of another name space is not ours', () => {
  const claim = claimOf('wan0', XML.replace('urn:mirrorplane', 'urn:other'));
  assert.equal(claim && 'identity' in claim && claim.identity.id, `${UUID}/52-54-00-00-00-02`);
});

test('an id in the metadata that cannot be used is an error of its device', () => {
  const claim = claimOf('wan0', XML.replace('fw-1/wan', 'fw 1'));
  assert.match(claim && 'error' in claim ? claim.error : '', /web-1 net1: id in the metadata: use 1 to 128/);
});

test('the kind edge in the metadata is an error of its device', () => {
  const claim = claimOf('wan0', XML.replace('kind="nfv"', 'kind="edge"'));
  assert.match(claim && 'error' in claim ? claim.error : '', /write vm or nfv/);
});

test('a NIC without a device of the kernel is a problem, and no claim', () => {
  for (const type of ['user', 'hostdev', 'vhostuser', 'vdpa']) {
    const { claims, problems } = parseDomain(XML.replace("'user'", `'${type}'`), 'running');
    assert.equal(claims.length, 3);
    assert.deepEqual(
      problems.map(({ code, interface: id }) => [code, id]),
      [['DEVICE_UNSUPPORTED', `${UUID}/52-54-00-00-00-04`]],
    );
  }
});

test('two domains of one name on two hosts are two interfaces', () => {
  const other = claimOf('vnet0', XML.replace(UUID, '11111111-2222-4333-8444-555555555555'));
  const id = other && 'identity' in other ? other.identity.id : '';
  assert.equal(id, '11111111-2222-4333-8444-555555555555/52-54-00-00-00-01');
});

test('XML that is not a domain is refused', () => {
  assert.throws(() => parseDomain('<network/>', undefined), /not the XML of a domain/);
  assert.throws(() => parseDomain('<domain><name>', undefined));
  assert.throws(() => parseDomain('<domain><name>a</name></domain>', undefined), /has no UUID/);
});

test('the guest is here while it runs or its operator has paused it, and absent while a migration has paused it', () => {
  const states: [state: number, reason: number, guest: string | undefined][] = [
    [0, 0, undefined],
    [1, 1, 'running'],
    [1, 2, 'running'],
    [3, 1, 'running'],
    [3, 2, 'absent'],
    [3, 5, 'running'],
    [3, 11, 'absent'],
    [3, 12, 'absent'],
    [4, 1, 'running'],
    [5, 4, 'absent'],
    [6, 1, 'absent'],
    [7, 0, 'running'],
  ];
  for (const [state, reason, guest] of states) {
    assert.equal(guestState({ state, reason }), guest, `${state} ${reason}`);
  }
});

test('events of a migration tell where the guest is, and those of a pause do not', () => {
  const line = (detail: string) => parseEvent(`event 'lifecycle' for domain 'web-1': ${detail}`);
  assert.deepEqual(line('Started Migrated'), { domain: 'web-1', guest: 'absent' });
  assert.deepEqual(line('Resumed Migrated'), { domain: 'web-1', guest: 'running' });
  assert.deepEqual(line('Suspended Migrated'), { domain: 'web-1', guest: 'absent' });
  assert.deepEqual(line('Suspended Post-copy'), { domain: 'web-1', guest: 'absent' });
  assert.deepEqual(line('Stopped Migrated'), { domain: 'web-1', guest: 'absent' });
  assert.deepEqual(line('Suspended Paused'), { domain: 'web-1' });
  assert.deepEqual(line('Defined Added'), { domain: 'web-1' });
});

test('events that tell nothing of identities are left out', () => {
  assert.equal(parseEvent("event 'migration-iteration' for domain 'web-1': iteration: '3'"), undefined);
  assert.equal(parseEvent("event 'balloon-change' for domain 'web-1': 1024 KiB"), undefined);
  assert.equal(parseEvent('\toperation: 5'), undefined);
  assert.deepEqual(parseEvent("event 'job-completed' for domain 'web-1':"), { domain: 'web-1' });
});
