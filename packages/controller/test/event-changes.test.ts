/** Which changes of interfaces, policies and states are events. */
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Event,
  type EventCause,
  type EventDraft,
  type InterfaceDevice,
  MAX_EVENT_REASONS,
} from '@mirrorplane/contract';
import { interfaceStep, type Whereabouts } from '../src/events/interface-changes.ts';
import { lastChangeOf, policyChanges } from '../src/events/policy-changes.ts';
import { type Judged, PolicyStates } from '../src/events/policy-states.ts';
import type { PolicyRecord } from '../src/store/records.ts';

const device = (node: string, ifindex = 5): InterfaceDevice => {
  return { node, name: `tap${ifindex}`, ifindex, mac: '02:00:00:00:00:05', mtu: 1500, up: true };
};

type Look = InterfaceDevice[] | { devices: InterfaceDevice[]; home: string };

/**
 * Compares these states one after the other. Returns the events of each step as `KIND node < from`.
 */
function steps(kind: 'vm' | 'edge', ...looks: Look[]): string[][] {
  let before: Whereabouts | undefined;
  return looks.map((look) => {
    const seen = Array.isArray(look) ? { devices: look } : look;
    const { events, next } = interfaceStep(before, { id: 'web-1/0', kind, ...seen });
    before = next;
    return events.map(({ kind: what, node, from }) => `${what} ${node}${from === undefined ? '' : ` < ${from}`}`);
  });
}
const A = device('a');
const B = device('b', 9);
const C = device('c', 7);
const at = (home: string, ...devices: InterfaceDevice[]) => ({ devices, home });
const CAME = ['interfaceAppeared a'];

const MOVES: [what: string, looks: Look[], expected: string[][]][] = [
  ['a device that comes, stays and goes', [[], [A], [A], []], [[], CAME, [], ['interfaceGone a']]],
  [
    'a live migration is over when the guest runs on the other node, whenever its old device goes',
    [[A], at('a', A, B), at('a', A, B), at('b', A, B), [B]],
    [CAME, ['interfaceMigrating b < a'], [], ['interfaceMigrated b < a'], []],
  ],
  [
    'a live migration of which only the devices are known is over when the old one goes',
    [[A], at('a', A, B), [B]],
    [CAME, ['interfaceMigrating b < a'], ['interfaceMigrated b < a']],
  ],
  [
    'a live migration that is given up',
    [[A], at('a', A, B), [A], [A]],
    [CAME, ['interfaceMigrating b < a'], ['interfaceStayed a'], []],
  ],
  ['a move with nothing in between', [[A], [B]], [CAME, ['interfaceMigrated b < a']]],
  ['a move with a gap', [[A], [], [B]], [CAME, ['interfaceGone a'], ['interfaceMigrated b < a']]],
  ['off and on again', [[A], [], [A]], [CAME, ['interfaceGone a'], CAME]],
  [
    'a second migration right after the first',
    [[A], at('a', A, B), at('b', A, B), at('b', B, C), at('c', C)],
    [
      CAME,
      ['interfaceMigrating b < a'],
      ['interfaceMigrated b < a'],
      ['interfaceMigrating c < b'],
      ['interfaceMigrated c < b'],
    ],
  ],
  ['a device that is replaced', [[A], [device('a', 6)]], [CAME, CAME]],
];
for (const [what, looks, expected] of MOVES) {
  test(`interfaces: ${what}`, () => assert.deepEqual(steps('vm', ...looks), expected));
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

/** Kinds and messages of the events when an operator changes the policy `ids`. */
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

test('policies: each kind of change has its own event, which names the changed fields', () => {
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

const ANN: EventCause = { kind: 'operator', name: 'ann' };
type Reason = Judged['status']['reasons'][number];

function judged(state: Judged['status']['state'], reasons: Reason[] = [], more: Partial<Judged> = {}): Judged {
  const status = { name: 'ids', uid: 'u1', state, reasons } as unknown as Judged['status'];
  return {
    status,
    createdAt: '2026-01-02T00:00:00.000Z',
    updatedAt: '2026-01-02T00:00:00.000Z',
    changedBy: () => ANN,
    ...more,
  };
}
const lost = (node: string, message = 'gone'): Reason => ({ code: 'NODE_DISCONNECTED', message, node });
const START = '2026-01-01T12:00:00.000Z';

const changes = (states: PolicyStates, all: Judged[], now = 0, awaited: string[] = []) =>
  states.changes(all, now, new Set(awaited));

/** `before > state by cause`. */
const brief = (drafts: EventDraft[]) =>
  drafts.map(({ previousState = '-', state, cause }) => `${previousState} > ${state} by ${cause.kind} ${cause.name}`);

test('states: reported when they or their reasons change, and not for a new number in a message', () => {
  const states = new PolicyStates(START);
  assert.deepEqual(brief(changes(states, [judged('active')])), ['- > active by operator ann']);
  assert.deepEqual(changes(states, [judged('active')]), []);
  assert.deepEqual(brief(changes(states, [judged('degraded', [lost('a')])])), ['active > degraded by agent a']);
  assert.deepEqual(changes(states, [judged('degraded', [lost('a', 'still gone')])]), []);
  const two = changes(states, [judged('degraded', [lost('a'), lost('b')])]);
  assert.deepEqual(brief(two), ['degraded > degraded by agent b']);
  assert.deepEqual([two[0]?.code, two[0]?.message], ['NODE_DISCONNECTED', 'degraded: gone (and 1 more)']);
  assert.deepEqual(brief(changes(states, [judged('active')])), ['degraded > active by controller controller']);
  const disabled = judged('disabled', [], { updatedAt: '2026-01-03T00:00:00.000Z' });
  assert.deepEqual(brief(changes(states, [disabled])), ['active > disabled by operator ann']);
});

test('states: a policy that was deleted and created again begins without an earlier state', () => {
  const states = new PolicyStates(START);
  changes(states, [judged('active')]);
  assert.deepEqual(changes(states, []), []);
  assert.deepEqual(brief(changes(states, [judged('active')])), ['- > active by operator ann']);
});

test('states: more reasons than an event holds are counted, and compared after a restart as well', () => {
  const reasons = Array.from({ length: MAX_EVENT_REASONS + 4 }, (_, index) => lost(`node-${index}`));
  const [event] = changes(new PolicyStates(START), [judged('degraded', reasons)]);
  assert.deepEqual([event?.reasons?.length, event?.count], [MAX_EVENT_REASONS, MAX_EVENT_REASONS + 4]);
  const kept: Event = { id: 1, at: '2026-01-02T00:00:01.000Z', ...event! };
  const policy = { uid: 'u1', name: 'ids', createdAt: '2026-01-02T00:00:00.000Z' };
  const states = new PolicyStates('2026-01-05T00:00:00.000Z');
  states.resume([policy], [kept]);
  assert.deepEqual(changes(states, [judged('degraded', reasons)]), []);
  assert.deepEqual(brief(changes(states, [judged('active')])), ['degraded > active by controller controller']);
});

test('states: a change has the cause of the last event of the policy, and none that nobody is known of', () => {
  const event = (kind: Event['kind'], name: string, cause: EventCause): Event => {
    return { id: 1, at: '2026-01-02T00:00:00.000Z', kind, object: { kind: 'policy', name }, message: '', cause };
  };
  const end: EventCause = { kind: 'controller', name: 'controller' };
  const newestFirst = [
    event('policyStateChanged', 'ids', { kind: 'agent', name: 'a' }),
    event('policyChanged', 'other', end),
    event('policyApprovalRequested', 'ids', ANN),
    event('policyRejected', 'ids', end),
  ];
  assert.deepEqual(lastChangeOf('ids', newestFirst), ANN);
  assert.deepEqual(lastChangeOf('ids', newestFirst.slice(3)), end);
  assert.equal(lastChangeOf('none', newestFirst), undefined);
  const states = new PolicyStates(START);
  const unknown = { changedBy: () => undefined };
  assert.deepEqual(brief(changes(states, [judged('active', [], unknown)])), ['- > active by controller controller']);
});

test('states: events of an earlier policy of the same name do not count for the new one', () => {
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
  assert.deepEqual(brief(changes(states, [judged('active')])), ['- > active by controller controller']);
});

test('states: a node that is behind is no news until it lasts', () => {
  const states = new PolicyStates(START);
  const pending = judged('degraded', [{ code: 'NODE_PENDING', message: 'wait', node: 'a' }]);
  assert.deepEqual([changes(states, [pending], 0), states.unsettled], [[], true]);
  assert.deepEqual(brief(changes(states, [judged('active')], 100)), ['- > active by operator ann']);
  assert.equal(states.unsettled, false);
  assert.deepEqual(changes(states, [pending], 1000), []);
  assert.deepEqual(changes(states, [pending], 5999), []);
  assert.deepEqual(brief(changes(states, [pending], 6000)), ['active > degraded by agent a']);
  assert.deepEqual(changes(states, [pending], 7000), []);
});

test('states: an agent that may be about to come back is no news, and another one that is gone is', () => {
  const states = new PolicyStates(START);
  changes(states, [judged('active')]);
  assert.deepEqual(changes(states, [judged('degraded', [lost('a'), lost('b')])], 0, ['a']), []);
  assert.deepEqual(brief(changes(states, [judged('degraded', [lost('b')])], 0, ['a'])), [
    'active > degraded by agent b',
  ]);
  assert.equal(changes(states, [judged('degraded', [lost('a')])]).length, 1);
});
