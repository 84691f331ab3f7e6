/**
 * The state of the data path, from a node program and the present devices. All cases share one small
 * node, so they stand in one file.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Capture, Delivery, NodeProgram } from '@mirrorplane/contract';
import { identify, type NodeDevice } from '../src/discovery/devices.ts';
import type { ForwardingEntry } from '../src/discovery/forwarding.ts';
import type { UnderlayState } from '../src/discovery/underlay.ts';
import { planArrivals } from '../src/reconcile/arrivals.ts';
import { captureStatuses } from '../src/reconcile/problems.ts';
import { hookOf, reconcile, thresholdOf } from '../src/reconcile/reconcile.ts';
import type { Surroundings } from '../src/reconcile/surroundings.ts';
import { link } from './support.ts';

const UNDERLAY: UnderlayState = {
  underlay: { device: 'underlay0', address: '10.98.0.11', mtu: 1600 },
  ifindex: 2,
  mac: '02:00:00:00:00:02',
  up: true,
};
const NO_UNDERLAY: UnderlayState = { underlay: undefined, why: 'there is no device underlay0', asked: false };

const LOCAL: Delivery = { id: 'p1/local', policy: 'p1', kind: 'local', interface: 'ids-1/0' };
const EDGE: Delivery = { id: 'p1/edge', policy: 'p1', kind: 'edge', interface: 'uplink', vlanId: 100 };
const ERSPAN: Delivery = {
  id: 'p1/erspan',
  policy: 'p1',
  kind: 'erspan',
  node: 'node-2',
  address: '10.98.0.12',
  remoteMtu: 1550,
  session: 7,
  generation: 3,
};

function capture(more: Partial<Capture> = {}): Capture {
  const base = { id: 'p1/web-1/0', policy: 'p1', source: 'web-1/0', kind: 'vm', sourceSlot: 3 } as const;
  return { ...base, direction: 'all', percent: 100, delivery: LOCAL.id, ...more };
}

function program(more: Partial<NodeProgram> = {}): NodeProgram {
  return {
    node: 'node-1',
    revision: 4,
    edges: [],
    copyVlans: [],
    standby: [],
    handingOver: [],
    captures: [],
    deliveries: [LOCAL],
    terminations: [],
    ...more,
  };
}

const DEVICES = identify(
  [
    link('tap-web', 5, { alias: 'mirrorplane:kind=vm;id=web-1/0' }),
    link('tap-ids', 6, { alias: 'mirrorplane:kind=vm;id=ids-1/0', mtu: 9000 }),
    link('edge0', 7, { linkType: '' }),
    link('tun0', 8, { linkType: 'tun', ethernet: false, alias: 'mirrorplane:kind=vm;id=tun-1/0' }),
  ],
  [{ interface: 'uplink', device: 'edge0' }],
).devices;

function around(more: Partial<Surroundings> = {}): Surroundings {
  return { devices: DEVICES, underlay: UNDERLAY, nextHops: new Map(), ...more };
}

const hooks: [kind: Capture['kind'], direction: 'inbound' | 'outbound', hook: string][] = [
  ['vm', 'inbound', 'egress'],
  ['vm', 'outbound', 'ingress'],
  ['nfv', 'inbound', 'egress'],
  ['nfv', 'outbound', 'ingress'],
  ['edge', 'inbound', 'ingress'],
  ['edge', 'outbound', 'egress'],
];
for (const [kind, direction, hook] of hooks) {
  test(`${direction} of a source of kind ${kind} is at ${hook}`, () => assert.equal(hookOf(kind, direction), hook));
}

const thresholds: [percent: number, threshold: number][] = [
  [0, 0],
  [0.01, 429497],
  [25, 2 ** 30],
  [33.33, 1431512600],
  [99.99, 4294537799],
  [100, 2 ** 32],
];
for (const [percent, threshold] of thresholds) {
  test(`${percent} percent is the threshold ${threshold}`, () => assert.equal(thresholdOf(percent), threshold));
}

test('direction all becomes one capture at each hook', () => {
  const { state } = reconcile(program({ captures: [capture({ percent: 25, skipVlanId: 100 })] }), around());
  const both = {
    policy: 'p1',
    source: 'web-1/0',
    ifindex: 5,
    mtu: 1500,
    threshold: 2 ** 30,
    skipVlanId: 100,
    sourceSlot: 3,
    edge: false,
  };
  assert.deepEqual(state.captures, [
    { id: 'p1/web-1/0/inbound', direction: 'inbound', hook: 'egress', delivery: LOCAL.id, ...both },
    { id: 'p1/web-1/0/outbound', direction: 'outbound', hook: 'ingress', delivery: LOCAL.id, ...both },
  ]);
});

const single: [direction: 'inbound' | 'outbound', hook: string][] = [
  ['inbound', 'egress'],
  ['outbound', 'ingress'],
];
for (const [direction, hook] of single) {
  test(`direction ${direction} becomes one capture`, () => {
    const { state } = reconcile(program({ captures: [capture({ direction })] }), around());
    assert.deepEqual(
      state.captures.map(({ id, hook: at }) => [id, at]),
      [[`p1/web-1/0/${direction}`, hook]],
    );
  });
}

test('an edge source is captured at its own device', () => {
  const edge = capture({ id: 'p1/uplink', source: 'uplink', kind: 'edge', direction: 'inbound' });
  const { state } = reconcile(program({ captures: [edge] }), around());
  assert.deepEqual([state.captures[0]?.ifindex, state.captures[0]?.hook], [7, 'ingress']);
});

test('a capture whose interface has no device here rests, and keeps its place', () => {
  const result = reconcile(program({ captures: [capture({ id: 'p1/gone', source: 'gone' })] }), around());
  assert.deepEqual(
    result.state.captures.map(({ id, ifindex }) => [id, ifindex]),
    [
      ['p1/gone/inbound', 0],
      ['p1/gone/outbound', 0],
    ],
  );
  assert.deepEqual(result.waiting, ['p1/gone']);
  assert.deepEqual(captureStatuses(result, []), []);
});

test('a capture on a device without Ethernet header is refused with DEVICE_UNSUPPORTED', () => {
  const result = reconcile(program({ captures: [capture({ id: 'p1/tun', source: 'tun-1/0' })] }), around());
  assert.ok(result.state.captures.every(({ ifindex }) => ifindex === 0));
  assert.deepEqual(captureStatuses(result, []), [
    {
      capture: 'p1/tun',
      device: 'tun0',
      state: 'refused',
      code: 'DEVICE_UNSUPPORTED',
      message: 'tun0 is a tun device, which carries no Ethernet frames: use the tap or veth of the guest instead',
    },
  ]);
});

const deliveries: [outcome: string, delivery: Delivery, more: Partial<Surroundings>, expected: object][] = [
  [
    'a local delivery goes into its device with the MTU of that',
    LOCAL,
    {},
    { kind: 'local', id: 'p1/local', policy: 'p1', ifindex: 6, mtu: 9000 },
  ],
  [
    'a local delivery whose device has gone has none',
    LOCAL,
    { devices: [] },
    { kind: 'local', id: 'p1/local', policy: 'p1', ifindex: 0, mtu: 0 },
  ],
  [
    'an edge delivery carries its VLAN ID',
    EDGE,
    {},
    { kind: 'edge', id: 'p1/edge', policy: 'p1', ifindex: 7, mtu: 1500, vlanId: 100 },
  ],
  [
    'ERSPAN takes the smaller MTU of both ends, and no next hop until it is known',
    ERSPAN,
    {},
    { ...erspanEntry(), mtu: 1550 },
  ],
  [
    'ERSPAN knows the MTU of the destination beside that of the underlay',
    { ...ERSPAN, destinationMtu: 1500, lanes: true },
    {},
    { ...erspanEntry(), mtu: 1550, destinationMtu: 1500, lanes: true },
  ],
  [
    'ERSPAN takes the MTU of this end where that is smaller',
    ERSPAN,
    { underlay: { ...UNDERLAY, underlay: { device: 'underlay0', address: '10.98.0.11', mtu: 1500 } } },
    { ...erspanEntry(), mtu: 1500 },
  ],
  [
    'ERSPAN without underlay has no device',
    ERSPAN,
    { underlay: NO_UNDERLAY },
    { ...erspanEntry(), ifindex: 0, mtu: 1550, sourceAddress: '0.0.0.0' },
  ],
];
function erspanEntry() {
  const base = { id: 'p1/erspan', policy: 'p1', kind: 'erspan', address: '10.98.0.12', session: 7, generation: 3 };
  return { ...base, ifindex: 2, sourceAddress: '10.98.0.11' };
}
for (const [outcome, delivery, more, expected] of deliveries) {
  test(outcome, () => {
    const { state } = reconcile(program({ deliveries: [delivery] }), around(more));
    assert.deepEqual(state.deliveries, [expected]);
  });
}

test('a termination is handed on, and the mirror device is that of the underlay', () => {
  const termination = {
    id: 't',
    policy: 'p2',
    node: 'node-2',
    address: '10.98.0.12',
    session: 9,
    generation: 1,
    delivery: LOCAL.id,
  };
  const { state } = reconcile(program({ terminations: [termination] }), around());
  assert.deepEqual(state.terminations, [{ ...termination, ownAddress: '10.98.0.11' }]);
  assert.equal(state.mirrorDevice, 2);
});

test('a termination checks hops only of senders that are known to send with the highest TTL, and the way back of all', () => {
  const [known, earlier] = [
    { id: 'p1/from/node-2', policy: 'p1', node: 'node-2', address: '10.98.0.12', session: 9, secret: 5 },
    { id: 'p1/from/node-3', policy: 'p1', node: 'node-3', address: '10.98.0.13', session: 9 },
  ].map((more) => ({ ...more, generation: 1, delivery: LOCAL.id }));
  const { state } = reconcile(
    program({ terminations: [known!, earlier!] }),
    around({ maxHops: 2, noWayBack: new Set(['10.98.0.13']) }),
  );
  const ownAddress = '10.98.0.11';
  assert.deepEqual(state.terminations, [
    { ...known, ownAddress, leastTtl: 253 },
    { ...earlier, ownAddress, hasWayBack: false },
  ]);
});

test('without underlay there is no mirror device', () => {
  assert.equal(reconcile(program(), around({ underlay: NO_UNDERLAY })).state.mirrorDevice, 0);
});

const down = (name: string): NodeDevice[] =>
  DEVICES.map((device) => (device.name === name ? { ...device, up: false } : device));
const problems: [outcome: string, more: Partial<NodeProgram>, surroundings: Partial<Surroundings>, codes: string[]][] =
  [
    ['nothing in the way is no problem', {}, {}, []],
    ['ERSPAN without underlay', { deliveries: [ERSPAN] }, { underlay: NO_UNDERLAY }, ['NODE_UNDERLAY_UNKNOWN']],
    ['no underlay and no ERSPAN is no problem', {}, { underlay: NO_UNDERLAY }, []],
    [
      'a mirror device that was asked for and is not there is a problem before a policy needs it',
      {},
      { underlay: { ...NO_UNDERLAY, asked: true } as UnderlayState },
      ['NODE_UNDERLAY_UNKNOWN'],
    ],
    ['the mirror device is down', { deliveries: [ERSPAN] }, { underlay: { ...UNDERLAY, up: false } }, ['DEVICE_DOWN']],
    ['a next hop that is still looked up is no problem', { deliveries: [ERSPAN] }, {}, []],
    [
      'a next hop that does not answer',
      { deliveries: [ERSPAN] },
      { nextHops: new Map([['10.98.0.12', { state: 'unresolved', via: '10.98.0.1' }]]) },
      ['NEIGHBOUR_UNKNOWN'],
    ],
    [
      'no route',
      { deliveries: [ERSPAN] },
      { nextHops: new Map([['10.98.0.12', { state: 'noRoute', why: 'no route' }]]) },
      ['ROUTE_MISSING'],
    ],
    ['the destination is down', {}, { devices: down('tap-ids') }, ['DEVICE_DOWN']],
    ['a destination that is absent is seen by the controller', {}, { devices: [] }, []],
  ];
for (const [outcome, more, surroundings, codes] of problems) {
  test(`problems: ${outcome}`, () => {
    const result = reconcile(program(more), around(surroundings));
    assert.deepEqual(
      result.problems.map(({ code }) => code),
      codes,
    );
  });
}

test('copies for a device that cannot be mirrored go nowhere, and never to its ifindex', () => {
  const { state } = reconcile(program({ deliveries: [{ ...LOCAL, interface: 'tun-1/0' }] }), around());
  assert.deepEqual(
    state.deliveries.map(({ ifindex }) => ifindex),
    [0],
  );
});

test("a macvtap device is the guest's own end: the guest's packets are captured at egress", () => {
  const alias = 'mirrorplane:kind=vm;id=mv-1/0';
  const { devices } = identify([link('macvtap0', 9, { linkType: 'macvtap', alias }), link('tap-ids', 6)], []);
  const { state } = reconcile(program({ captures: [capture({ id: 'p1/mv', source: 'mv-1/0' })] }), around({ devices }));
  assert.deepEqual(
    state.captures.map(({ direction, hook, ifindex }) => [direction, hook, ifindex]),
    [
      ['inbound', 'ingress', 9],
      ['outbound', 'egress', 9],
    ],
  );
});

test('a macvtap device gets no copies, and the policy shows the reason', () => {
  const alias = 'mirrorplane:kind=vm;id=mv-1/0';
  const { devices } = identify([link('macvtap0', 9, { linkType: 'macvtap', alias })], []);
  const { state, problems: found } = reconcile(
    program({ deliveries: [{ ...LOCAL, interface: 'mv-1/0' }] }),
    around({ devices }),
  );
  assert.equal(state.deliveries[0]?.ifindex, 0);
  assert.deepEqual(
    found.map(({ code, policy, interface: id }) => [code, policy, id]),
    [['DEVICE_UNSUPPORTED', 'p1', 'mv-1/0']],
  );
});

test('a capture is refused if all its hooks are, and continues with the reason if one is left', () => {
  const result = reconcile(program({ captures: [capture(), capture({ id: 'p1/ids', source: 'ids-1/0' })] }), around());
  const outbound = { id: 'p1/web-1/0/outbound', ifindex: 5, code: 'HOOK_OCCUPIED', message: 'taken' } as const;
  const inbound = { ...outbound, id: 'p1/web-1/0/inbound' };
  const why = { code: 'HOOK_OCCUPIED', message: 'taken' };
  const web = { capture: 'p1/web-1/0', device: 'tap-web' };
  const ids = { capture: 'p1/ids', device: 'tap-ids', state: 'capturing' };
  assert.deepEqual(captureStatuses(result, [outbound]), [{ ...web, state: 'capturing', ...why }, ids]);
  assert.deepEqual(captureStatuses(result, [outbound, inbound]), [{ ...web, state: 'refused', ...why }, ids]);
  // Unicast frames for the guest are captured at the ports of its bridge, independently of the
  // guest's own device.
  const arriving = reconcile(program({ captures: [capture({ direction: 'inbound' })] }), around());
  const [status] = captureStatuses(arriving, [{ ...inbound, arrives: true }]);
  assert.deepEqual([status?.state, status?.code], ['capturing', 'HOOK_OCCUPIED']);
  assert.match(status?.message ?? '', /no flooded frames: taken$/);
  assert.equal(captureStatuses(arriving, [inbound])[0]?.state, 'refused');
  // The device disappeared during the attachment.
  assert.deepEqual(captureStatuses(result, [{ ...outbound, gone: true }]), [{ ...web, state: 'refused', ...why }, ids]);
});

/** The devices, with the given state of one interface's guest. */
function guestOf(id: string, guest: 'running' | 'absent' | undefined): NodeDevice[] {
  return DEVICES.map((device) => (device.identity?.id === id && guest ? { ...device, guest } : device));
}

test('a source stands by while its guest is on another node', () => {
  for (const guest of ['running', 'absent', undefined] as const) {
    const { state } = reconcile(program({ captures: [capture()] }), around({ devices: guestOf('web-1/0', guest) }));
    const standby = state.captures.map((hook) => hook.standby ?? false);
    assert.deepEqual(standby, [guest === 'absent', guest === 'absent'], String(guest));
  }
});

test('the captures at a cable do not stand by for a guest that is expected, those at a tap do', () => {
  for (const [linkType, standby] of [
    ['veth', false],
    ['netkit', false],
    ['tun', true],
  ] as const) {
    const devices = guestOf('web-1/0', 'absent').map((device) => ({ ...device, linkType, expected: true }));
    const { state } = reconcile(program({ captures: [capture()] }), around({ devices }));
    assert.deepEqual(
      state.captures.map((hook) => hook.standby ?? false),
      [standby, standby],
      linkType,
    );
  }
});

test('a guest that has moved to another bridge is looked up on the new bridge only', () => {
  const inbound = reconcile(program({ captures: [capture()] }), around()).state.captures[0]!;
  const captures = [5, 6].map((ifindex) => ({ ...inbound, hook: 'egress' as const, ifindex }));
  const mac = '02:00:00:00:00:01';
  const stale = { bridge: 20, mac, port: 5 };
  const links = [
    ...[link('tap-web', 5, { master: 21 }), link('tap-db', 6, { master: 20 })],
    ...[7, 8, 9, 10].map((ifindex) => link(`port${ifindex}`, ifindex, { master: ifindex < 9 ? 20 : 21 })),
    ...[20, 21].map((ifindex) => link(`br${ifindex}`, ifindex, { linkType: 'bridge' })),
  ];
  const arrivals = (...entries: ForwardingEntry[]) => planArrivals(captures, links, entries).arrivals;
  assert.deepEqual(arrivals(stale), []);
  const now = { bridge: 21, mac, port: 5 };
  assert.deepEqual(arrivals(stale, now), [{ bridge: 21, mac, ifindex: 5 }]);
});

test('a port that does not forward yet is no place where unicast arrives for its guest', () => {
  const inbound = { ...reconcile(program({ captures: [capture()] }), around()).state.captures[0]!, ifindex: 5 };
  const forwarding = [{ bridge: 20, mac: '02:00:00:00:00:01', port: 5 }];
  for (const forwards of [true, false]) {
    const ports = [link('tap-web', 5, { master: 20, forwarding: forwards }), link('eth0', 7, { master: 20 })];
    const others = [link('eth1', 8, { master: 20 }), link('br0', 20, { linkType: 'bridge' })];
    const { arrivals, captures } = planArrivals([{ ...inbound, hook: 'egress' }], [...ports, ...others], forwarding);
    assert.deepEqual(
      arrivals.map(({ ifindex }) => ifindex),
      forwards ? [5] : [],
    );
    assert.equal(captures.length, 1);
  }
});

const onward: Delivery = {
  ...LOCAL,
  duringHandover: { interface: 'ids-1/0', delivery: ERSPAN.id },
};
const choices: [what: string, deliveries: Delivery[], guest: 'running' | 'absent' | undefined, used: string][] = [
  ['a destination that has left gets its copies where it is', [onward, ERSPAN], 'absent', ERSPAN.id],
  ['a destination that may be here gets them here', [onward, ERSPAN], undefined, LOCAL.id],
  ['a destination that has come back gets them here', [onward, ERSPAN], 'running', LOCAL.id],
];
for (const [what, deliveries, guest, used] of choices) {
  test(what, () => {
    const [first] = deliveries.filter(({ duringHandover }) => duringHandover);
    const termination = {
      id: 't',
      policy: 'p1',
      node: 'node-3',
      address: '10.98.0.13',
      session: 9,
      generation: 1,
      delivery: first!.id,
    };
    const { state } = reconcile(
      program({ captures: [capture({ delivery: first!.id })], deliveries, terminations: [termination] }),
      around({ devices: guestOf('ids-1/0', guest) }),
    );
    const chosen = [...state.captures, ...state.terminations].map(({ delivery }) => delivery);
    assert.deepEqual(chosen, [used, used, used]);
  });
}

test('copies for a destination without a device here go to its new node', () => {
  const devices = DEVICES.filter(({ identity }) => identity?.id !== 'ids-1/0');
  const { state } = reconcile(program({ captures: [capture()], deliveries: [onward, ERSPAN] }), around({ devices }));
  assert.deepEqual([...new Set(state.captures.map(({ delivery }) => delivery))], [ERSPAN.id]);
});

test('the delivery of an arriving destination says so, and its feedback is dropped unless the policy allows it', () => {
  const of = (standby: NodeProgram['standby'], allowFeedback?: true) => {
    const deliveries: Delivery[] = [{ ...LOCAL, ...(allowFeedback && { allowFeedback }) }];
    const [delivery] = reconcile(program({ deliveries, standby }), around()).state.deliveries;
    return delivery?.kind === 'local' ? [delivery.arriving ?? false, delivery.allowFeedback ?? false] : undefined;
  };
  assert.deepEqual(of([{ interface: 'ids-1/0', role: 'target' }]), [true, false]);
  assert.deepEqual(of([{ interface: 'ids-1/0', role: 'origin' }]), [false, false]);
  assert.deepEqual(of([], true), [false, true]);
});

test('copies are held for a destination behind a tap that may leave, and let go when it has left or its tap is gone', () => {
  const handoverOf = (
    deliveries: Delivery[],
    guest: 'running' | 'absent' | 'gone',
    linkType: string,
    standby: NodeProgram['standby'] = [],
  ) => {
    const devices = guestOf('ids-1/0', guest === 'gone' ? 'absent' : guest)
      .filter(({ identity }) => guest !== 'gone' || identity?.id !== 'ids-1/0')
      .map((device) => ({ ...device, linkType }));
    const { state } = reconcile(program({ deliveries, standby }), around({ devices }));
    const local = state.deliveries.find(({ kind }) => kind === 'local');
    return local?.kind === 'local' ? local.handover : undefined;
  };
  const handover = { interface: 'ids-1/0', target: ERSPAN.node, relay: ERSPAN.id };
  assert.deepEqual(handoverOf([onward, ERSPAN], 'running', 'tun'), { ...handover, released: false });
  assert.deepEqual(
    handoverOf([onward, ERSPAN], 'absent', 'tun'),
    { ...handover, released: false },
    'it has stopped, and does not run elsewhere yet',
  );
  const left = [{ interface: 'ids-1/0', role: 'origin' as const }];
  assert.deepEqual(handoverOf([onward, ERSPAN], 'absent', 'tun', left), { ...handover, released: true });
  assert.deepEqual(handoverOf([onward, ERSPAN], 'gone', 'tun'), { ...handover, released: true });
  assert.equal(handoverOf([onward, ERSPAN], 'running', 'veth'), undefined, 'nobody tells what is read behind a veth');
  assert.equal(handoverOf([LOCAL, ERSPAN], 'running', 'tun'), undefined, 'it does not migrate');
});

test('reports every policy with throttled copies at a device, and no other policy', () => {
  const throttled = new Set([2]);
  const other: Delivery = { ...ERSPAN, id: 'p2/local', policy: 'p2', kind: 'local', interface: 'ids-1/0' } as Delivery;
  const deliveries = [ERSPAN, EDGE, other];
  const { state, problems } = reconcile(program({ deliveries }), around({ throttled, nextHops: new Map() }));
  assert.equal(state.protect, true);
  assert.deepEqual(
    problems.filter(({ code }) => code === 'UPLINK_BUSY').map(({ policy }) => policy),
    ['p1'],
  );
  const off = reconcile(program({ deliveries }), around());
  assert.equal(off.state.protect, false);
  assert.ok(!off.problems.some(({ code }) => code === 'UPLINK_BUSY'));
});

test('a node says of a mirror device that service traffic is not protected there, and blames no policy', () => {
  const { problems } = reconcile(program({ deliveries: [ERSPAN] }), around({ unprotected: new Set([2]) }));
  const [problem, ...more] = problems.filter(({ code }) => code === 'UPLINK_UNPROTECTED');
  assert.deepEqual([problem?.policy, more], [undefined, []]);
  assert.match(problem?.message ?? '', /--uplink-rate/);
});

test('a node that loses packets says so once for every policy that it captures for, where it follows its CPUs', () => {
  const busy = (cpuThrottled: boolean | undefined) => {
    const captures = [capture(), capture({ id: 'again' })];
    const { state, problems } = reconcile(program({ captures, deliveries: [ERSPAN] }), around({ cpuThrottled }));
    return [state.protectCpu, problems.filter(({ code }) => code === 'CPU_BUSY').map(({ policy }) => policy)];
  };
  assert.deepEqual(busy(true), [true, [capture().policy]]);
  assert.deepEqual(busy(false), [true, []]);
  assert.deepEqual(busy(undefined), [false, []]);
});
