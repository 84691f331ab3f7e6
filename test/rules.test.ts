/** The rules of a policy, through the whole product: HTTP, planner, store and agents. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { useLab } from './support/lab.ts';
import {
  activeEventually,
  allCopied,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  programRevision,
  refusals,
  refusedPolicy,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping, sendFrames } from './support/traffic.ts';

const lab = useLab();
const PINGS = 10;
const BASE: PolicyInput = { name: 'base', sources: ['web-1/0'], destination: 'ids-1/0' };

test('a policy with many faults is refused once, with every reason and its field', async () => {
  const problem = await refusedPolicy(lab(), {
    name: 'Not a name',
    sources: ['web-1/0', 'nobody/0', 'web-1/0', 'other-1/0'],
    destination: 'web-1/0',
    direction: 'sideways',
    percent: 100.001,
    vlanId: 100,
  });
  assert.equal(problem.code, 'POLICY_INVALID');
  assert.deepEqual(refusals(problem), [
    'POLICY_NAME_INVALID name',
    'POLICY_SOURCE_NOT_FOUND sources[1]',
    'POLICY_SOURCE_REPEATED sources[2]',
    'POLICY_CROSS_DOMAIN sources[3]',
    'POLICY_DESTINATION_IS_SOURCE destination',
    'POLICY_DIRECTION_INVALID direction',
    'POLICY_PERCENT_INVALID percent',
    'POLICY_VLAN_NOT_ALLOWED vlanId',
  ]);
  for (const { message } of problem.errors) {
    assert.ok(message.length > 20, message);
  }
});

const REFUSED: [title: string, change: Partial<PolicyInput>, expected: string[]][] = [
  ['no source', { sources: [] }, ['POLICY_NO_SOURCES sources']],
  ['a source that does not exist', { sources: ['nobody/0'] }, ['POLICY_SOURCE_NOT_FOUND sources[0]']],
  ['a destination that does not exist', { destination: 'nobody/0' }, ['POLICY_DESTINATION_NOT_FOUND destination']],
  ['a source that is the destination', { sources: ['ids-1/0'] }, ['POLICY_DESTINATION_IS_SOURCE destination']],
  [
    'virtual and edge sources together',
    { sources: ['web-1/0', 'edge-3'], destination: 'edge-1', vlanId: 100 },
    ['POLICY_SOURCE_KINDS_MIXED sources'],
  ],
  ['an edge source and a virtual destination', { sources: ['edge-3'] }, ['POLICY_PHYSICAL_TO_VIRTUAL destination']],
  ['an edge destination without VLAN ID', { destination: 'edge-1' }, ['POLICY_VLAN_REQUIRED vlanId']],
  ['a virtual destination with VLAN ID', { vlanId: 100 }, ['POLICY_VLAN_NOT_ALLOWED vlanId']],
  ['VLAN ID 0', { destination: 'edge-1', vlanId: 0 }, ['POLICY_VLAN_INVALID vlanId']],
  ['VLAN ID 4095', { destination: 'edge-1', vlanId: 4095 }, ['POLICY_VLAN_INVALID vlanId']],
  [
    'a VLAN ID that the trunk does not carry',
    { destination: 'edge-1', vlanId: 999 },
    ['POLICY_VLAN_NOT_IN_TRUNK vlanId'],
  ],
  ['a source in another communication domain', { sources: ['other-1/0'] }, ['POLICY_CROSS_DOMAIN sources[0]']],
  ['a destination in another communication domain', { destination: 'other-1/0' }, ['POLICY_CROSS_DOMAIN sources[0]']],
  ['percent above 100', { percent: 100.01 }, ['POLICY_PERCENT_INVALID percent']],
  ['percent below 0', { percent: -0.01 }, ['POLICY_PERCENT_INVALID percent']],
  ['percent with three decimals', { percent: 33.333 }, ['POLICY_PERCENT_INVALID percent']],
  ['a direction of no kind', { direction: 'both' }, ['POLICY_DIRECTION_INVALID direction']],
];

for (const [title, change, expected] of REFUSED) {
  test(`refuses ${title} with ${expected.map((one) => one.split(' ')[0]).join(', ')}`, async () => {
    assert.deepEqual(refusals(await refusedPolicy(lab(), { ...BASE, ...change })), expected);
  });
}

test('refuses 1025 sources with POLICY_TOO_MANY_SOURCES', async () => {
  const sources = Array.from({ length: 1025 }, (_, i) => `vm-${i}/0`);
  const problem = await refusedPolicy(lab(), { ...BASE, sources });
  assert.equal(problem.errors.length, 1026);
  assert.equal(problem.errors[0]?.code, 'POLICY_TOO_MANY_SOURCES');
});

test('a refused policy leaves nothing behind', async () => {
  assert.deepEqual((await lab().api('GET', '/api/v1/policies')).body.items, []);
});

test('refuses a source that another policy has, be that one disabled', async () => {
  await createPolicy(lab(), { ...BASE, name: 'owner', enabled: false });
  try {
    const problem = await refusedPolicy(lab(), { ...BASE, destination: 'mon-3/0' });
    assert.deepEqual(refusals(problem), ['POLICY_SOURCE_IN_USE sources[0]']);
    assert.match(problem.errors[0]!.message, /"owner"/);
  } finally {
    await deletePolicy(lab(), 'owner');
  }
});

test('refuses a chain of policies that would bring copies back to their source, and names the chain', async () => {
  await createPolicy(lab(), { name: 'one', sources: ['web-1/0'], destination: 'web-2/0' });
  await createPolicy(lab(), { name: 'two', sources: ['web-2/0'], destination: 'db-1/0' });
  try {
    const problem = await refusedPolicy(lab(), { name: 'three', sources: ['db-1/0'], destination: 'web-1/0' });
    assert.deepEqual(refusals(problem), ['POLICY_CYCLE destination']);
    for (const name of ['web-1/0', 'web-2/0', 'db-1/0', '"one"', '"two"']) {
      assert.ok(problem.errors[0]!.message.includes(name), `${name} in: ${problem.errors[0]!.message}`);
    }
    await withPolicy(lab(), { name: 'three', sources: ['db-1/0'], destination: 'mon-3/0' }, async () => undefined);
  } finally {
    await deletePolicy(lab(), 'one');
    await deletePolicy(lab(), 'two');
  }
});

test('a dry run answers as the real one would and changes nothing: no policy, no program, no copy', async () => {
  // When another policy is active, node-1 has carried out all earlier changes.
  await withPolicy(lab(), { name: 'other', sources: ['web-2/0'], destination: 'ids-1/0' }, async () => {
    const before = await programRevision(lab(), 'node-1');
    const { status, body } = await lab().api('POST', '/api/v1/policies?dryRun=true', BASE);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.type, 'virtual');
    assert.equal((await lab().api('GET', '/api/v1/policies/base')).status, 404);
    const refused = await refusedPolicy(lab(), { ...BASE, percent: 101 }, '?dryRun=true');
    assert.deepEqual(refusals(refused), ['POLICY_PERCENT_INVALID percent']);
    const seen = await watch(lab(), { source: { host: 'web-1' }, destination: { host: 'ids-1' } }, async (captures) => {
      await ping(lab(), 'web-1', 'app-1', PINGS);
      await captures.source.waitFor(2 * PINGS);
    });
    assert.deepEqual([seen.source.packets, seen.destination.packets], [2 * PINGS, 0]);
    assert.equal(await programRevision(lab(), 'node-1'), before);
  });
});

test('a change that lost a race is refused with 412, and the policy stays as the first one made it', async () => {
  await withPolicy(lab(), BASE, async () => {
    const path = '/api/v1/policies/base';
    const etag = String((await lab().api('GET', path)).headers.etag);
    const patch = (percent: number) =>
      lab().api('PATCH', path, { percent }, { 'if-match': etag, 'content-type': 'application/merge-patch+json' });
    assert.equal((await patch(50)).status, 200);
    const second = await patch(75);
    assert.deepEqual([second.status, second.body.code], [412, 'PRECONDITION_FAILED']);
    assert.equal((await lab().api('GET', path)).body.percent, 50);
  });
});

test('a call without the token is refused with 401', async () => {
  const { status, body } = await lab().api('GET', '/api/v1/policies', undefined, { authorization: 'Bearer wrong' });
  assert.deepEqual([status, body.code], [401, 'UNAUTHENTICATED']);
});

test('an interface that is declared before its VM runs is accepted, waits, and is captured when the VM appears', async () => {
  const spec = { kind: 'vm', name: 'late VM', pool: 'pool-a' };
  const declared = await lab().api('PUT', `/api/v1/interfaces/${encodeURIComponent('late-1/0')}`, spec);
  assert.equal(declared.status, 201, JSON.stringify(declared.body));
  await createPolicy(lab(), { name: 'late', sources: ['late-1/0'], destination: 'ids-1/0' });
  try {
    // Before it is planned for the first time, there are no reasons.
    const waiting = await statusEventually(lab(), 'late', 'waiting, and no node behind', ({ state, reasons }) => {
      return state === 'waiting' && reasons.length > 0 && !reasons.some(({ code }) => code === 'NODE_PENDING');
    });
    assert.deepEqual(
      waiting.reasons.map(({ code, interface: id }) => [code, id]),
      [['SOURCE_ABSENT', 'late-1/0']],
    );
    // The VM starts: its device appears on node-1, with the identity set before it comes up.
    const alias = 'mirrorplane:kind=vm;id=late-1/0;name=late-1 eth0;network=blue';
    const make = `
      link add name tap-late address 02:01:00:00:00:63 type veth peer name late0 address 02:00:00:00:00:63
      link set tap-late alias "${alias}"
      link set tap-late master br0 up
      link set late0 up`;
    await lab().exec('node-1', ['ip', '-batch', '-'], { input: `${make.trim()}\n` });
    const status = await activeEventually(lab(), 'late');
    assert.deepEqual(
      status.sources[0]?.devices.map(({ node, name }) => [node, name]),
      [['node-1', 'tap-late']],
    );
    // It sends once, to a VM with an address that the bridges know.
    const frame = `${lab().mac('app-1').replaceAll(':', '')}02000000006388b5${'00'.repeat(46)}`;
    const seen = await watch(lab(), { destination: { host: 'ids-1' } }, async (captures) => {
      await sendFrames(lab(), 'node-1', 'late0', [frame]);
      await captures.destination.waitFor(1);
      const { totals } = await countedEventually(lab(), 'late', 1);
      assert.deepEqual(packets(totals), allCopied(1));
    });
    assert.equal(seen.destination.packets, 1);
    await lab().exec('node-1', ['ip', 'link', 'delete', 'tap-late']);
    await statusEventually(lab(), 'late', 'waiting again', ({ state }) => state === 'waiting');
  } finally {
    await lab().exec('node-1', ['ip', 'link', 'delete', 'tap-late'], { check: false });
    await deletePolicy(lab(), 'late');
  }
});
