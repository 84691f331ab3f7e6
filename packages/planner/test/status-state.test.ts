/** The state of a policy and of its sources, with the reasons. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { capture, counted, counts, healthy, inShort, type Scene, statusOf } from './reports.ts';

const up1 = healthy(['web-1/0']);
const up2 = healthy(['web-2/0']);
const refused = (id: string, code?: string) =>
  healthy([], { captures: [{ capture: `u-p/${id}`, device: 'dev1', state: 'refused', ...(code && { code }) }] });
const inPart = (id: string) =>
  healthy([], { captures: [{ capture: `u-p/${id}`, device: 'dev1', state: 'capturing', code: 'HOOK_OCCUPIED' }] });
const problem = (code: string, fields: object = {}) => ({ problems: [{ code, message: 'of some kind', ...fields }] });
const asleep = { kind: 'vm', pool: 'pool-a' } as const;
const toEdge = { destination: 'edge-1', vlanId: 100, type: 'virtual-to-physical' } as const;

/** Title, scene, state and reasons in short. */
const cases: [string, Scene, string[]][] = [
  [
    'fails where the device of every source cannot be mirrored, and says so once for each',
    {
      policy: { sources: ['web-2/0'] },
      nodes: {
        'node-1': healthy([]),
        'node-2': {
          ...refused('web-2/0', 'DEVICE_UNSUPPORTED'),
          ...problem('DEVICE_UNSUPPORTED', { interface: 'web-2/0' }),
        },
      },
    },
    ['failed', 'DEVICE_UNSUPPORTED web-2/0 @node-2'],
  ],
  [
    'fails where the device of the destination cannot take copies',
    { nodes: { 'node-1': { ...up1, ...problem('DEVICE_UNSUPPORTED', { interface: 'ids-1/0' }) }, 'node-2': up2 } },
    ['failed', 'DEVICE_UNSUPPORTED ids-1/0 @node-1'],
  ],
  [
    'says of a source without device that a node cannot mirror its NIC',
    {
      inventory: { interfaces: { 'web-2/0': asleep } },
      nodes: { 'node-1': up1, 'node-2': healthy([], problem('DEVICE_UNSUPPORTED', { interface: 'web-2/0' })) },
    },
    ['degraded', 'SOURCE_ABSENT web-2/0', 'DEVICE_UNSUPPORTED web-2/0 @node-2'],
  ],
  [
    'does not believe a node of another pool about a source without device',
    {
      inventory: { interfaces: { 'web-2/0': asleep } },
      nodes: { 'node-1': up1, 'node-3': healthy([], problem('DEVICE_UNSUPPORTED', { interface: 'web-2/0' })) },
    },
    ['degraded', 'SOURCE_ABSENT web-2/0'],
  ],
  [
    'says of a source without device that it was on a node that is revoked',
    {
      inventory: { interfaces: { 'web-2/0': asleep } },
      nodes: { 'node-1': up1, 'node-2': { ...healthy([]), connected: false, revoked: ['web-2/0', 'web-1/0'] } },
    },
    ['degraded', 'SOURCE_ABSENT web-2/0', 'NODE_REVOKED web-2/0 @node-2'],
  ],
  [
    'is degraded where the NIC of a source handles flows itself',
    { nodes: { 'node-1': up1, 'node-2': { ...up2, ...problem('OFFLOAD_UNSEEN', { interface: 'web-2/0' }) } } },
    ['degraded', 'OFFLOAD_UNSEEN web-2/0 @node-2'],
  ],
  [
    'is active where the NIC of the destination handles flows itself',
    { nodes: { 'node-1': { ...up1, ...problem('OFFLOAD_UNSEEN', { interface: 'ids-1/0' }) }, 'node-2': up2 } },
    ['active'],
  ],
  ['is active where every source is captured and all is reported', {}, ['active']],
  ['is active with an edge destination that has a device', { policy: toEdge }, ['active']],
  ['is disabled without reasons, whatever nodes say', { policy: { enabled: false }, nodes: {} }, ['disabled']],
  [
    'waits while the destination has no device',
    { inventory: { interfaces: { 'ids-1/0': asleep } } },
    ['waiting', 'DESTINATION_ABSENT ids-1/0'],
  ],
  [
    'waits while an edge destination has no device, and names its node where that is not connected',
    {
      policy: toEdge,
      inventory: { interfaces: { 'edge-1': { kind: 'edge', edge: { node: 'node-1', device: 'eth1' } } } },
      nodes: { 'node-2': up2 },
    },
    ['waiting', 'DESTINATION_ABSENT edge-1', 'NODE_DISCONNECTED @node-1'],
  ],
  [
    'waits while no source has a device',
    { inventory: { interfaces: { 'web-1/0': asleep, 'web-2/0': null } } },
    ['waiting', 'SOURCE_ABSENT web-1/0', 'SOURCE_ABSENT web-2/0'],
  ],
  [
    'is degraded while one source has no device',
    { inventory: { interfaces: { 'web-1/0': asleep } } },
    ['degraded', 'SOURCE_ABSENT web-1/0'],
  ],
  [
    'is degraded while the agent of a source node is not connected',
    { nodes: { 'node-1': up1, 'node-2': { ...up2, connected: false } } },
    ['degraded', 'NODE_DISCONNECTED @node-2'],
  ],
  [
    'is degraded while the agent of the destination node has never connected',
    { nodes: { 'node-2': up2 } },
    ['degraded', 'NODE_DISCONNECTED @node-1'],
  ],
  [
    'does not care for a node of the pool that has no source now',
    { policy: { sources: ['web-1/0'] }, nodes: { 'node-1': up1 } },
    ['active'],
  ],
  [
    'is degraded while a node runs an older program',
    { nodes: { 'node-1': up1, 'node-2': { ...up2, programRevision: 4 } } },
    ['degraded', 'NODE_PENDING @node-2'],
  ],
  [
    'is degraded, with one reason a node, before the first program is applied',
    { nodes: { 'node-1': up1, 'node-2': { connected: true, captures: [], problems: [] } } },
    ['degraded', 'NODE_PENDING @node-2'],
  ],
  [
    'is degraded while an up to date node says nothing of a capture',
    { nodes: { 'node-1': up1, 'node-2': healthy([]) } },
    ['degraded', 'NODE_PENDING web-2/0 @node-2'],
  ],
  [
    'is degraded while a node refuses one of two captures, with the code of the node',
    { nodes: { 'node-1': up1, 'node-2': refused('web-2/0', 'HOOK_OCCUPIED') } },
    ['degraded', 'HOOK_OCCUPIED web-2/0 @node-2'],
  ],
  [
    'is degraded while a node captures its only source in part',
    { policy: { sources: ['web-2/0'] }, nodes: { 'node-1': healthy([]), 'node-2': inPart('web-2/0') } },
    ['degraded', 'HOOK_OCCUPIED web-2/0 @node-2'],
  ],
  [
    'shows CAPTURE_REFUSED where a node gives no code of the catalogue',
    { nodes: { 'node-1': up1, 'node-2': refused('web-2/0', 'toString') } },
    ['degraded', 'CAPTURE_REFUSED web-2/0 @node-2'],
  ],
  [
    'has failed where every capture is refused',
    { nodes: { 'node-1': refused('web-1/0'), 'node-2': refused('web-2/0') } },
    ['failed', 'CAPTURE_REFUSED web-1/0 @node-1', 'CAPTURE_REFUSED web-2/0 @node-2'],
  ],
  [
    'has failed where one source is absent and the other refused',
    {
      inventory: { interfaces: { 'web-1/0': asleep } },
      nodes: { 'node-1': healthy([]), 'node-2': refused('web-2/0') },
    },
    ['failed', 'SOURCE_ABSENT web-1/0', 'CAPTURE_REFUSED web-2/0 @node-2'],
  ],
  [
    'has failed where planning leaves no source: all are in another domain now',
    { inventory: { interfaces: { 'ids-1/0': { kind: 'vm', on: ['node-4'] } } } },
    ['failed', 'POLICY_CROSS_DOMAIN web-1/0', 'POLICY_CROSS_DOMAIN web-2/0', 'NODE_DISCONNECTED @node-4'],
  ],
  [
    'is degraded where planning leaves out one source',
    { inventory: { nodes: { 'node-2': { pool: 'pool-a' } } }, nodes: { 'node-1': up1 } },
    ['degraded', 'NODE_UNDERLAY_UNKNOWN @node-2'],
  ],
  [
    'has failed where the destination has a problem on its node',
    { nodes: { 'node-1': { ...up1, ...problem('DEVICE_DOWN', { interface: 'ids-1/0' }) }, 'node-2': up2 } },
    ['failed', 'DEVICE_DOWN ids-1/0 @node-1'],
  ],
  [
    'has failed where the whole node of the destination has a problem',
    { nodes: { 'node-1': { ...up1, ...problem('ATTACH_FAILED') }, 'node-2': up2 } },
    ['failed', 'ATTACH_FAILED @node-1'],
  ],
  [
    'is degraded where the node of one of two sources has a problem',
    { nodes: { 'node-1': up1, 'node-2': { ...up2, ...problem('ROUTE_MISSING') } } },
    ['degraded', 'ROUTE_MISSING @node-2'],
  ],
  [
    'is degraded where the node of the destination has lost its underlay, and one of two sources is there',
    { nodes: { 'node-1': { ...up1, ...problem('NODE_UNDERLAY_UNKNOWN') }, 'node-2': up2 } },
    ['degraded', 'NODE_UNDERLAY_UNKNOWN @node-1'],
  ],
  [
    'has failed where the node of the destination has lost its underlay, and all sources are on others',
    {
      policy: { sources: ['web-2/0'] },
      nodes: { 'node-1': { ...healthy([]), ...problem('NODE_UNDERLAY_UNKNOWN') }, 'node-2': up2 },
    },
    ['failed', 'NODE_UNDERLAY_UNKNOWN @node-1'],
  ],
  [
    'is active where a node has lost its underlay, and nothing of the policy crosses it',
    {
      policy: { sources: ['web-1/0'] },
      nodes: { 'node-1': { ...up1, ...problem('NODE_UNDERLAY_UNKNOWN') } },
    },
    ['active'],
  ],
  [
    'has failed where the nodes of all sources have a problem',
    {
      policy: { sources: ['web-2/0'] },
      nodes: { 'node-1': healthy([]), 'node-2': { ...up2, ...problem('ROUTE_MISSING', { policy: 'u-p' }) } },
    },
    ['failed', 'ROUTE_MISSING @node-2'],
  ],
  [
    'is degraded only, while a neighbour is unknown, for IP packets are sent all the same',
    {
      policy: { sources: ['web-2/0'] },
      nodes: { 'node-1': healthy([]), 'node-2': { ...up2, ...problem('NEIGHBOUR_UNKNOWN') } },
    },
    ['degraded', 'NEIGHBOUR_UNKNOWN @node-2'],
  ],
  [
    'is degraded only, while copies are throttled for service traffic',
    {
      policy: { sources: ['web-2/0'] },
      nodes: { 'node-1': healthy([]), 'node-2': { ...up2, ...problem('UPLINK_BUSY') } },
    },
    ['degraded', 'UPLINK_BUSY @node-2'],
  ],
  [
    'does not care for a problem of a node in spite of which it copies as it should',
    { nodes: { 'node-1': { ...up1, ...problem('UPLINK_UNPROTECTED') }, 'node-2': up2 } },
    ['active'],
  ],
  [
    'does not care for a guest of the node that nobody understands: its own interfaces are known',
    { nodes: { 'node-1': { ...up1, ...problem('IDENTITY_UNREADABLE') }, 'node-2': up2 } },
    ['active'],
  ],
  [
    'does not care for problems of sending where nothing is sent: on the node of the destination',
    { nodes: { 'node-1': { ...up1, ...problem('ROUTE_MISSING') }, 'node-2': up2 } },
    ['active'],
  ],
  [
    'does not care for problems of other policies and interfaces',
    {
      nodes: {
        'node-1': { ...up1, ...problem('ATTACH_FAILED', { policy: 'u-other' }) },
        'node-2': { ...up2, ...problem('DEVICE_DOWN', { interface: 'fw-2/0' }) },
      },
    },
    ['active'],
  ],
  [
    'does not care for nodes that it does not use',
    { nodes: { 'node-1': up1, 'node-2': up2, 'node-3': healthy([], problem('ATTACH_FAILED')) } },
    ['active'],
  ],
  [
    'is active with copies sampled out, for that is what the percent asks for',
    {
      nodes: {
        'node-1': { ...up1, ...counted({ captures: [capture('web-1/0', 'inbound', counts(1, { sampledOut: 9 }))] }) },
        'node-2': up2,
      },
    },
    ['active'],
  ],
];

for (const [title, scene, expected] of cases) {
  test(`a policy ${title}`, () => {
    assert.deepEqual(inShort(statusOf(scene)), expected);
  });
}

test('every source has its own state', () => {
  const { sources } = statusOf({
    policy: { sources: ['web-1/0', 'web-2/0', 'asleep/0', 'fw-1/0', 'fw-2/0', 'web-4/0'] },
    nodes: { 'node-1': up1, 'node-2': refused('web-2/0') },
  });
  assert.deepEqual(
    sources.map(({ interface: id, state, devices }) => [id, state, devices.map(({ node }) => node)]),
    [
      ['web-1/0', 'capturing', ['node-1']],
      ['web-2/0', 'refused', ['node-2']],
      ['asleep/0', 'waiting', []],
      ['fw-1/0', 'pending', ['node-1']],
      ['fw-2/0', 'pending', ['node-2']],
      ['web-4/0', 'refused', ['node-4']],
    ],
  );
  const disabled = statusOf({ policy: { enabled: false } });
  assert.deepEqual(
    disabled.sources.map(({ state }) => state),
    ['disabled', 'disabled'],
  );
  const waiting = statusOf({ inventory: { interfaces: { 'ids-1/0': asleep } } });
  assert.deepEqual(
    waiting.sources.map(({ state }) => state),
    ['waiting', 'waiting'],
  );
});

test('a migrating source that one of two nodes refuses is capturing, and gives a reason', () => {
  const status = statusOf({
    policy: { sources: ['web-1/0'] },
    inventory: { interfaces: { 'web-1/0': { kind: 'vm', on: ['node-1', 'node-2'] } } },
    nodes: { 'node-1': up1, 'node-2': refused('web-1/0') },
  });
  assert.equal(status.sources[0]!.state, 'capturing');
  assert.deepEqual(inShort(status), ['degraded', 'CAPTURE_REFUSED web-1/0 @node-2']);
});

test('a status is stale while a node of its policy is not connected', () => {
  assert.equal(statusOf({}).stale, false);
  assert.equal(statusOf({ nodes: { 'node-1': up1, 'node-2': { ...up2, connected: false } } }).stale, true);
  assert.equal(
    statusOf({ nodes: { 'node-1': up1, 'node-2': up2, 'node-3': { ...up2, connected: false } } }).stale,
    false,
  );
});
