import assert from 'node:assert/strict';
import test from 'node:test';
import { type Event, type EventDraft, type InterfaceDevice, MAX_EVENT_REASONS } from '@mirrorplane/contract';
import { interfaceChanges, type Whereabouts, whereabouts } from '../src/events/interface-changes.ts';
import { policyChanges } from '../src/events/policy-changes.ts';
import { type Judged, PolicyStates } from '../src/events/policy-states.ts';
import type { PolicyRecord } from '../src/resources.ts';

const device = (node: string, ifindex = 5): InterfaceDevice => {
  return { node, name: `tap${ifindex}`, ifindex, mac: '02:00:00:00:00:05', mtu: 1500, up: true };
};

/** Goes through these sets of devices, and gives the events of each step, as `KIND node < from`. */
function steps(kind: 'vm' | 'edge', ...sets: InterfaceDevice[][]): string[][] {
  let before: Whereabouts | undefined;
  return sets.map((devices) => {
    const events = interfaceChanges(before, { id: 'web-1/0', kind, devices });
    before = whereabouts({ id: 'web-1/0', kind, devices }, before);
    return events.map(({ kind: what, node, from }) => `${what} ${node}${from === undefined ? '' : ` < ${from}`}`);
  });
}
const A = device('a');
const B = device('b', 9);
const C = device('c', 7);

for (const [what, sets, expected] of [
  ['a device that comes, stays and goes', [[], [A], [A], []], [[], ['interfaceAppeared a'], [], ['interfaceGone a']]],
  [
    'a live migration, in which there are two for a while',
    [[A], [A, B], [A, B], [B]],
    [['interfaceAppeared a'], ['interfaceMigrating b < a'], [], ['interfaceMigrated b < a']],
  ],
  [
    'a live migration that is given up',
    [[A], [A, B], [A]],
    [['interfaceAppeared a'], ['interfaceMigrating b < a'], ['interfaceStayed a']],
  ],
  ['a move with nothing in between', [[A], [B]], [['interfaceAppeared a'], ['interfaceMigrated b < a']]],
  ['a move with a gap', [[A], [], [B]], [['interfaceAppeared a'], ['interfaceGone a'], ['interfaceMigrated b < a']]],
  [
    'a second migration right after the first',
    [[A], [A, B], [B, C], [C]],
    [['interfaceAppeared a'], ['interfaceMigrating b < a'], ['interfaceMigrating c < b'], ['interfaceMigrated c < a']],
  ],
  ['a device that is replaced', [[A], [device('a', 6)]], [['interfaceAppeared a'], ['interfaceAppeared a']]],
] as const) {
  test(`interfaces: ${what}`, () => {
    assert.deepEqual(steps('vm', ...sets.map((set) => [...set])), expected);
  });
}

test('interfaces: an edge tells of its device alone', () => {
  const changed = ['edgeDeviceChanged a'];
  assert.deepEqual(steps('edge', [], [A], [A], [device('a', 6)], []), [[], changed, [], changed, changed]);
});

const record = (more: Partial<PolicyRecord> = {}): PolicyRecord => ({
  name: 'ids',
  description: '',
  sources: ['web-1/0'],
  destination: 'ids-1/0',
  direction: 'all',
  percent: 100,
  enabled: true,
  type: 'virtual',
  uid: 'u1',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  ...more,
});

/** Kinds and messages of what an operator does to the policy `ids`. */
function done(before: PolicyRecord | undefined, after: PolicyRecord | undefined): string[] {
  const key = 'policies/ids';
  const op = after ? ({ type: 'put', key, value: after } as const) : ({ type: 'delete', key } as const);
  const other = { type: 'put', key: 'nodes/ids', value: {} } as const;
  return policyChanges([op, other], () => before, 'admin').map(({ kind, message, cause, object }) => {
    assert.deepEqual(
      [cause, object],
      [
        { kind: 'operator', name: 'admin' },
        { kind: 'policy', name: 'ids' },
      ],
    );
    return `${kind}: ${message}`;
  });
}

test('policies: each way to change one is an event of its own, that says what was changed', () => {
  assert.deepEqual(done(undefined, record()), [
    'policyCreated: the policy was created: 1 source to ids-1/0, all, 100 %',
  ]);
  assert.deepEqual(done(record(), undefined), ['policyDeleted: the policy was deleted']);
  assert.deepEqual(done(record(), record({ updatedAt: 'later' })), []);
  assert.deepEqual(done(record(), record({ enabled: false })), ['policyDisabled: the policy was disabled']);
  assert.deepEqual(done(record({ enabled: false }), record({ percent: 25, vlanId: 7, sources: ['a', 'b'] })), [
    'policyChanged: the policy was changed: sources, percent 100 to 25, vlanId none to 7',
    'policyEnabled: the policy was enabled',
  ]);
});

type Reason = Judged['status']['reasons'][number];

function judged(state: Judged['status']['state'], reasons: Reason[] = [], more: Partial<Judged> = {}): Judged {
  const status = { name: 'ids', uid: 'u1', state, reasons } as unknown as Judged['status'];
  return { status, createdAt: '2026-01-02T00:00:00.000Z', updatedAt: '2026-01-02T00:00:00.000Z', ...more };
}
const lost = (node: string, message = 'gone'): Reason => ({ code: 'NODE_DISCONNECTED', message, node });
const START = '2026-01-01T12:00:00.000Z';

/** `before > state by cause`. */
const brief = (drafts: EventDraft[]) =>
  drafts.map(({ previousState = '-', state, cause }) => `${previousState} > ${state} by ${cause.kind} ${cause.name}`);

test('states: told when they change, or their reasons do, and not when only a number in a message does', () => {
  const states = new PolicyStates(START);
  assert.deepEqual(brief(states.changes([judged('active')])), ['- > active by operator admin']);
  assert.deepEqual(states.changes([judged('active')]), []);
  assert.deepEqual(brief(states.changes([judged('degraded', [lost('a')])])), ['active > degraded by agent a']);
  assert.deepEqual(states.changes([judged('degraded', [lost('a', 'still gone')])]), []);
  const two = states.changes([judged('degraded', [lost('a'), lost('b')])]);
  assert.deepEqual(brief(two), ['degraded > degraded by agent b']);
  assert.deepEqual([two[0]?.code, two[0]?.message], ['NODE_DISCONNECTED', 'degraded: gone (and 1 more)']);
  assert.deepEqual(brief(states.changes([judged('active')])), ['degraded > active by controller controller']);
  const disabled = judged('disabled', [], { updatedAt: '2026-01-03T00:00:00.000Z' });
  assert.deepEqual(brief(states.changes([disabled])), ['active > disabled by operator admin']);
});

test('states: a policy that was deleted and created anew begins without a state before', () => {
  const states = new PolicyStates(START);
  states.changes([judged('active')]);
  assert.deepEqual(states.changes([]), []);
  assert.deepEqual(brief(states.changes([judged('active')])), ['- > active by operator admin']);
});

test('states: more reasons than an event holds are counted, and compared after a restart as well', () => {
  const reasons = Array.from({ length: MAX_EVENT_REASONS + 4 }, (_, index) => lost(`node-${index}`));
  const [event] = new PolicyStates(START).changes([judged('degraded', reasons)]);
  assert.deepEqual([event?.reasons?.length, event?.count], [MAX_EVENT_REASONS, MAX_EVENT_REASONS + 4]);
  const kept: Event = { id: 1, at: '2026-01-02T00:00:01.000Z', ...event! };
  const policy = { uid: 'u1', name: 'ids', createdAt: '2026-01-02T00:00:00.000Z' };
  const states = new PolicyStates('2026-01-05T00:00:00.000Z');
  states.resume([policy], [kept]);
  assert.deepEqual(states.changes([judged('degraded', reasons)]), []);
  assert.deepEqual(brief(states.changes([judged('active')])), ['degraded > active by controller controller']);
});

test('states: what was told of an earlier policy of the same name is not taken for this one', () => {
  const earlier: Event = {
    id: 1,
    at: '2026-01-01T00:00:00.000Z',
    kind: 'policyStateChanged',
    object: { kind: 'policy', name: 'ids' },
    message: 'active',
    cause: { kind: 'controller', name: 'controller' },
    state: 'active',
  };
  const states = new PolicyStates('2026-01-05T00:00:00.000Z');
  states.resume([{ uid: 'u1', name: 'ids', createdAt: '2026-01-02T00:00:00.000Z' }], [earlier]);
  assert.deepEqual(brief(states.changes([judged('active')])), ['- > active by controller controller']);
});
