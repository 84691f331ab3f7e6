/** Which topologies can be built, and their names and addresses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLab, defaultTopology, identityAlias, makeVm } from '@mirrorplane/lab';
import { topologyProblems } from '../src/check.ts';

test('every size of the standard topology can be built', () => {
  for (const options of [
    {},
    { nodes: 1 },
    { nodes: 32 },
    { vmsPerNode: 500 },
    { devicesPerNode: 4096 },
    { switch: false },
  ]) {
    assert.deepEqual(topologyProblems(defaultTopology(options)), [], JSON.stringify(options));
  }
});

test('addresses stay in a /24 while they fit and widen to a /16 beyond', () => {
  assert.equal(defaultTopology().vmPrefixLength, 24);
  const large = defaultTopology({ vmsPerNode: 200 });
  assert.equal(large.vmPrefixLength, 16);
  assert.equal(large.permanentNeighbours, false);
  const addresses = large.vms.map((vm) => vm.address);
  assert.equal(new Set(addresses).size, addresses.length);
  assert.ok(!addresses.some((a) => a?.endsWith('.0') || a?.endsWith('.255')));
});

test('a VM keeps its MAC and address when other parts of the lab change', () => {
  const find = (t: ReturnType<typeof defaultTopology>) => t.vms.find((vm) => vm.name === 'db-1');
  assert.deepEqual(find(defaultTopology({ nodes: 2, vmsPerNode: 3 })), find(defaultTopology()));
  assert.equal(find(defaultTopology())?.mac, '02:00:00:00:00:03');
});

test('the identity alias is what the alias provider reads', () => {
  assert.equal(
    identityAlias(makeVm('fw-1', 'nfv', 'node-1', 8)),
    'mirrorplane:kind=nfv;id=fw-1/0;name=fw-1 eth0;network=blue;mac=02:00:00:00:00:08',
  );
});

test('a topology that cannot be built is refused with every reason, before anything is made', async () => {
  const topology = defaultTopology({ underlayMtu: 100 });
  topology.vms.push(makeVm('a-name-too-long', 'vm', 'node-9', 1));
  await assert.rejects(createLab({ name: 'nope1', bare: true, topology }), (error: Error) => {
    for (const reason of [
      /MTU 100/,
      /node-9, which does not exist/,
      /VM index 1 is there twice/,
      /tap-a-name-too-long/,
    ]) {
      assert.match(error.message, reason);
    }
    return true;
  });
});

test('a lab name that could run into another is refused', async () => {
  for (const name of ['', 'a-b', 'Upper', 'toolong7', '1st', '../x']) {
    await assert.rejects(createLab({ name, bare: true }), /lab name/);
  }
});
