/** The numbers in the status of a policy. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { PolicyStatus, type TerminationReport } from '@mirrorplane/contract';
import { type NodeReport, observe, type PreviousReport, plan, statusFrom } from '@mirrorplane/planner';
import { inventoryOf, type ShortInventory } from './golden.ts';
import { capture, count, counted, counts, healthy, inShort, scenePolicy, statusOf } from './reports.ts';

/** The count without 50 bytes of outer headers a packet. */
const inner = (packets: number) => ({ packets, bytes: count(packets).bytes - 50 * packets });

const up1 = healthy(['web-1/0']);
const up2 = healthy(['web-2/0']);

/**
 * node-1 copies 10 + 20 locally; node-2 copies 7 of 12 into ERSPAN, of which 6 arrive and 5 are
 * delivered.
 */
const node1 = counted(
  {
    captures: [capture('web-1/0', 'inbound', counts(10)), capture('web-1/0', 'outbound', counts(20))],
    deliveries: [{ delivery: 'u-p/local', policy: 'u-p', sent: count(30) }],
    terminations: [
      {
        termination: 'u-p/from/node-2',
        policy: 'u-p',
        node: 'node-2',
        received: count(6),
        delivered: count(5),
        relayed: count(0),
        dropped: { destinationDown: count(1) },
      },
    ],
  },
  '2026-01-01T00:00:09.000Z',
);
const node2 = counted({
  captures: [capture('web-2/0', 'outbound', counts(7, { sampledOut: 3, dropped: { cloneFailed: 2 } }))],
  deliveries: [{ delivery: 'u-p/to/node-1', policy: 'u-p', sent: count(7) }],
});
const nodes = { 'node-1': { ...up1, ...node1 }, 'node-2': { ...up2, ...node2 } };

test('totals are sums over sources, directions and nodes, and add up', () => {
  const { totals } = statusOf({ nodes });
  assert.deepEqual(totals, counts(37, { sampledOut: 3, dropped: { cloneFailed: 2 } }));
});

test('delivered counts copies made on the node of the destination, and copies that arrived from other nodes', () => {
  assert.deepEqual(statusOf({ nodes }).delivered, count(10 + 20 + 5));
});

test('policies between two nodes are degraded for as long as the receiver refuses copies of the sender', () => {
  const sender = '10.9.0.2'; // node-2
  const refusing = (staleSession: number) => {
    const others = { wrongAddress: 0, wrongSecret: 0, wrongDevice: 0, tooFar: 0, oddHeader: 0 };
    const counters = counted({ ...node1.counters, peers: [{ address: sender, staleSession, ...others }] });
    return { ...nodes, 'node-1': { ...up1, ...counters } };
  };
  const codes = (now: number, before: number) => {
    const old = Object.entries(refusing(before)).map(
      ([node, { counters }]) => [node, { counters: counters! }] as const,
    );
    return inShort(statusOf({ nodes: refusing(now), previous: new Map(old) }));
  };
  assert.deepEqual(codes(7, 5), ['degraded', 'COPIES_UNPROVEN @node-1']);
  assert.deepEqual(codes(7, 7), ['active']);
});

test('delivered is unknown while the node of the destination has reported no counters', () => {
  assert.equal(statusOf({ nodes: { 'node-1': up1, 'node-2': nodes['node-2'] } }).delivered, null);
  assert.deepEqual(statusOf({ nodes: { 'node-1': nodes['node-1'], 'node-2': up2 } }).delivered, count(35));
  assert.deepEqual(statusOf({ nodes: { 'node-1': { ...up1, ...counted({}) }, 'node-2': up2 } }).delivered, count(0));
});

test('a source has its counters by direction, summed over nodes, and none where none were reported', () => {
  const moved = counted({
    ...node2.counters,
    captures: [...node2.counters!.captures, capture('web-1/0', 'inbound', counts(4))],
  });
  const { sources } = statusOf({ nodes: { ...nodes, 'node-2': { ...up2, ...moved } } });
  assert.deepEqual(sources[0]!.inbound, counts(14));
  assert.deepEqual(sources[0]!.outbound, counts(20));
  assert.equal(sources[1]!.inbound, undefined);
  assert.equal(sources[1]!.outbound!.copied.packets, 7);
});

test('a path shows how many copies left and how many arrived', () => {
  assert.deepEqual(statusOf({ nodes }).paths, [
    {
      from: 'node-2',
      to: 'node-1',
      sent: count(7),
      sentInner: inner(7),
      received: count(6),
      delivered: count(5),
      lost: null,
    },
  ]);
});

test('counters that one end of a path has not reported are unknown', () => {
  assert.deepEqual(statusOf({ nodes: { 'node-1': up1, 'node-2': nodes['node-2'] } }).paths, [
    { from: 'node-2', to: 'node-1', sent: count(7), sentInner: inner(7), received: null, delivered: null, lost: null },
  ]);
  assert.deepEqual(statusOf({}).paths, [
    { from: 'node-2', to: 'node-1', sent: null, sentInner: null, received: null, delivered: null, lost: null },
  ]);
});

/**
 * Lost copies if node-2 has sent these numbers at these seconds of the minute, and node-1 has
 * counted `got` when it was read at second 9.
 */
function lostOf(sent: [second: number, packets: number][], got: Partial<TerminationReport>) {
  const readings = sent.map(([second, packets]) => ({
    at: `2026-01-01T00:00:0${second}.000Z`,
    packets: new Map([['u-p/to/node-1', packets]]),
  }));
  const [termination] = node1.counters!.terminations;
  const report = { ...termination!, dropped: {}, ...got };
  const receiver = counted({ ...node1.counters, terminations: [report] }, '2026-01-01T00:00:09.000Z');
  const status = statusOf({
    nodes: { 'node-1': { ...up1, ...receiver }, 'node-2': { ...up2, ...node2, sent: readings } },
  });
  assert.equal(status.lost, status.paths[0]!.lost);
  return status.lost;
}

test('a busy path shows no lost copies: the sender is compared at a moment before the receiver was read', () => {
  const delivered = count(900);
  assert.equal(
    lostOf(
      [
        [7, 700],
        [8, 800],
        [9, 1000],
      ],
      { delivered },
    ),
    0,
  );
});

test('copies that were sent and did not arrive are lost, without the relayed ones', () => {
  assert.equal(lostOf([[8, 1000]], { delivered: count(900) }), 100);
  assert.equal(lostOf([[8, 1000]], { delivered: count(900), relayed: count(60) }), 40);
});

test('losses by sequence numbers are known at once, and so are copies that the receiver could not deliver', () => {
  const delivered = count(2000);
  assert.equal(lostOf([[8, 1000]], { delivered, missing: count(210_817), late: count(17) }), 210_800);
  assert.equal(lostOf([[8, 1000]], { delivered, dropped: { destinationDown: count(3) } }), 3);
});

test('losses are unknown while the last report of the sender is older than the one of the receiver', () => {
  assert.equal(lostOf([], { delivered: count(900) }), null);
  assert.equal(lostOf([[9, 1000]], { delivered: count(900) }), null);
});

/**
 * node-2 has sent `sent` packets. When node-1 was read at second 9, it had delivered `arrived` of
 * them. When node-2 was read, node-1 had delivered `arrivedBefore`.
 */
interface PathReading {
  sent: number;
  arrived: number;
  arrivedBefore: number;
  missing?: number;
}

function pathReports({ sent, arrived, arrivedBefore, missing = 0 }: PathReading) {
  const [termination] = node1.counters!.terminations;
  const end = (packets: number) => {
    const amounts = { received: count(packets), delivered: count(packets), missing: count(missing) };
    return { ...termination!, dropped: {}, ...amounts };
  };
  const left = { delivery: 'u-p/to/node-1', policy: 'u-p', sent: count(sent) };
  const reading = { at: '2026-01-01T00:00:07.500Z', terminations: new Map([['u-p/from/node-2', end(arrivedBefore)]]) };
  return {
    'node-1': { ...up1, ...counted({ terminations: [end(arrived)] }, '2026-01-01T00:00:09.000Z') },
    'node-2': {
      ...up2,
      ...counted({ deliveries: [left] }, '2026-01-01T00:00:08.000Z'),
      sent: [{ at: '2026-01-01T00:00:08.000Z', packets: new Map([['u-p/to/node-1', sent]]) }],
      arrivedBefore: new Map([['node-1', reading]]),
    },
  };
}

/** The status, with earlier reports to compare. */
function lately(before: PathReading, now: PathReading) {
  const previous = Object.entries(pathReports(before)).map(([node, report]): [string, PreviousReport] => {
    const { counters, arrivedBefore } = report as NodeReport;
    return [node, { counters: counters!, ...(arrivedBefore && { arrivedBefore }) }];
  });
  return statusOf({ nodes: pathReports(now), previous: new Map(previous) });
}

test('a path that keeps losing copies degrades its policy, and earlier losses do not', () => {
  const before = { sent: 1000, arrived: 900, arrivedBefore: 900 };
  const status = lately(before, { sent: 2000, arrived: 1500, arrivedBefore: 1500 });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_LOST @node-1']);
  assert.match(
    status.reasons[0]!.message,
    /^400 copies from node "node-2" to node "node-1" were lost recently, 500 in all/,
  );
  assert.deepEqual(inShort(lately(before, { sent: 2000, arrived: 1900, arrivedBefore: 1900 })), ['active']);
});

test('earlier losses of a path do not count as new ones when its nodes are read at different moments', () => {
  // The receiver is read 7 copies after the sender each time, and misses 19 that were lost long
  // ago.
  const before = { sent: 1000, arrived: 988, arrivedBefore: 980, missing: 19 };
  assert.deepEqual(inShort(lately(before, { sent: 2000, arrived: 1988, arrivedBefore: 1980, missing: 19 })), [
    'active',
  ]);
  assert.deepEqual(inShort(lately(before, { sent: 2000, arrived: 1984, arrivedBefore: 1977, missing: 22 })), [
    'degraded',
    'COPIES_LOST @node-1',
  ]);
});

test('more copies at a receiver than were sent to it degrade the policy', () => {
  const reports = pathReports({ sent: 2000, arrived: 2000, arrivedBefore: 2000 });
  const surplus = new Map([
    ['u-p/to/node-1', 12],
    ['u-other/to/node-1', 7],
  ]);
  const previous = new Map(Object.entries(reports).map(([node, { counters }]) => [node, { counters: counters! }]));
  const status = statusOf({ nodes: { ...reports, 'node-2': { ...reports['node-2'], surplus } }, previous });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_SURPLUS @node-1']);
  assert.match(
    status.reasons[0]!.message,
    /^12 more copies have arrived at node "node-1" than node "node-2" has sent to it/,
  );
  assert.deepEqual(inShort(statusOf({ nodes: reports, previous })), ['active']);
});

test('a path shows what had arrived before its sender was read: never more than was sent', () => {
  const status = lately({ sent: 0, arrived: 0, arrivedBefore: 0 }, { sent: 2000, arrived: 2030, arrivedBefore: 1990 });
  assert.deepEqual(
    status.paths.map(({ sent, received, delivered }) => [sent, received, delivered]),
    [[count(2000), count(1990), count(1990)]],
  );
  assert.deepEqual(status.delivered, count(1990));
  assert.equal(status.countersAt, '2026-01-01T00:00:07.500Z');
});

test('while its sender is away, a path shows what arrives all the same', () => {
  const nodes = pathReports({ sent: 2000, arrived: 2030, arrivedBefore: 1990 });
  const status = statusOf({ nodes: { ...nodes, 'node-2': { ...nodes['node-2'], connected: false } } });
  assert.deepEqual([status.delivered, status.paths[0]!.delivered, status.stale], [count(2030), count(2030), true]);
});

test('arrived copies are unknown until the sender has been read after the receiver', () => {
  const nodes = pathReports({ sent: 2000, arrived: 2030, arrivedBefore: 1990 });
  const status = statusOf({ nodes: { ...nodes, 'node-2': { ...nodes['node-2'], arrivedBefore: new Map() } } });
  assert.deepEqual([status.delivered, status.paths[0]!.sent, status.paths[0]!.delivered], [null, count(2000), null]);
});

test('a destination that sends copies on degrades its policy while copies come back', () => {
  const after = (before: number, now: number, policy = {}) => {
    const reports = (feedback: number) => {
      const left = { delivery: 'u-p/local', policy: 'u-p', sent: count(1000), feedback: count(feedback) };
      return { 'node-1': { ...up1, ...counted({ deliveries: [left] }) }, 'node-2': up2 };
    };
    const earlier = { counters: reports(before)['node-1'].counters! };
    const previous = new Map([['node-1', earlier]]);
    return statusOf({ policy, nodes: reports(now), previous });
  };
  const status = after(30, 42);
  assert.deepEqual(inShort(status), ['degraded', 'DESTINATION_SENDS_COPIES ids-1/0 @node-1']);
  assert.match(
    status.reasons[0]!.message,
    /^"ids-1\/0" recently sent 12 frames .* dropped at its port: stop bridging and forwarding in the monitor/,
  );
  assert.deepEqual(status.feedback, count(42));
  assert.match(
    after(30, 42, { allowFeedback: true }).reasons[0]!.message,
    /allowed by the policy, and not copied again/,
  );
  const quiet = after(42, 42);
  assert.deepEqual([...inShort(quiet), quiet.feedback], ['active', count(42)]);
  assert.equal(after(0, 0).feedback, undefined);
});

test('a path is listed while it has a source, or where it carried something, and no other', () => {
  const policy = { sources: ['web-1/0'] };
  assert.deepEqual(statusOf({ policy }).paths, []);
  const idle = counted({ deliveries: [{ delivery: 'u-p/to/node-1', policy: 'u-p', sent: count(0) }] });
  assert.deepEqual(statusOf({ policy, nodes: { 'node-1': up1, 'node-2': { ...up2, ...idle } } }).paths, []);
  assert.equal(statusOf({ policy, nodes }).paths.length, 1);
});

test('the time of the counters is that of the oldest report in the sums', () => {
  assert.equal(statusOf({ nodes }).countersAt, '2026-01-01T00:00:05.000Z');
  // A node that must capture but does not report it yet counts too: its report is older than the
  // policy.
  const early = { ...up2, ...counted({}, '2025-01-01T00:00:00.000Z') };
  assert.equal(
    statusOf({ nodes: { 'node-1': nodes['node-1'], 'node-2': early } }).countersAt,
    '2025-01-01T00:00:00.000Z',
  );
  assert.equal(statusOf({ nodes: { 'node-1': nodes['node-1'], 'node-2': up2 } }).countersAt, null);
  assert.equal(statusOf({}).countersAt, null);
});

test('counters of other policies are not counted', () => {
  const other = counted({ captures: [{ ...capture('fw-1/0', 'inbound', counts(99)), policy: 'u-other' }] });
  const status = statusOf({ nodes: { 'node-1': { ...up1, ...other }, 'node-2': up2 } });
  assert.equal(status.totals.copied.packets, 0);
  assert.deepEqual(status.delivered, count(0));
});

test('drops degrade a policy with a reason for each node, naming reasons and numbers', () => {
  const status = statusOf({ nodes });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_DROPPED @node-1', 'COPIES_DROPPED @node-2']);
  assert.match(status.reasons[0]!.message, /"node-1" dropped 1 copies \(destinationDown 1\)/);
  assert.match(status.reasons[1]!.message, /"node-2" dropped 2 copies \(cloneFailed 2\)/);
});

test('drops of before do not degrade a policy, an increase does, by its amount', () => {
  const before = new Map([
    ['node-1', { counters: node1.counters! }],
    ['node-2', { counters: node2.counters! }],
  ]);
  assert.deepEqual(inShort(statusOf({ nodes, previous: before })), ['active']);
  const more = counted({ captures: [capture('web-2/0', 'outbound', counts(9, { dropped: { cloneFailed: 5 } }))] });
  const status = statusOf({ nodes: { ...nodes, 'node-2': { ...up2, ...more } }, previous: before });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_DROPPED @node-2']);
  assert.match(status.reasons[0]!.message, /dropped 3 copies \(cloneFailed 3\)/);
});

test('after a new epoch, all drops are new', () => {
  const before = new Map([['node-2', { counters: { ...node2.counters!, epoch: 'e0' } }]]);
  const status = statusOf({ nodes: { 'node-1': up1, 'node-2': nodes['node-2'] }, previous: before });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_DROPPED @node-2']);
});

test('copies that are too big for the destination name its MTU, and the one that is needed', () => {
  const lost = counted({
    captures: [capture('web-2/0', 'inbound', counts(8, { dropped: { tooBigForDestination: 2 } }))],
  });
  const inventory: ShortInventory = { interfaces: { 'web-2/0': { kind: 'vm', on: ['node-2'], mtu: 9000 } } };
  const status = statusOf({ nodes: { 'node-1': up1, 'node-2': { ...up2, ...lost } }, inventory });
  assert.match(
    status.reasons[0]!.message,
    /\(tooBigForDestination 2\): raise the MTU of the destination "[^"]+", now 1500, to 9000$/,
  );
});

test('truncated copies degrade a policy, and the message says which MTU is needed', () => {
  const cut = counted({ captures: [capture('web-2/0', 'inbound', counts(8, { truncated: 3 }))] });
  const scene = { nodes: { 'node-1': up1, 'node-2': { ...up2, ...cut } } };
  const inventory: ShortInventory = { interfaces: { 'web-2/0': { kind: 'vm', on: ['node-2'], mtu: 9000 } } };
  const status = statusOf({ ...scene, inventory });
  assert.deepEqual(inShort(status), ['degraded', 'COPIES_TRUNCATED @node-2']);
  assert.match(status.reasons[0]!.message, /cut 3 copies .*MTU 1600.* to 9050/);
  assert.match(status.reasons[0]!.message, /, and the MTU of the destination "[^"]+", now 1500, to 9000$/);
  assert.deepEqual(inShort(statusOf({ ...scene, previous: new Map([['node-2', { counters: cut.counters! }]]) })), [
    'active',
  ]);
});

test('a status has the shape of the contract, and one observation gives the same each time', () => {
  const policy = scenePolicy();
  const inventory = inventoryOf();
  const policyPlan = plan([policy], inventory).policies.get('u-p')!;
  const reports = new Map(Object.entries(nodes));
  const observation = observe(inventory, reports);
  const single = statusFrom(policy, policyPlan, observation);
  assert.deepEqual(PolicyStatus.parse(single), single);
  assert.deepEqual(statusFrom(policy, policyPlan, observation), single);
  assert.deepEqual(statusFrom(policy, policyPlan, observe(inventory, reports)), single);
});

test('copies that a destination got on its earlier node stay in the delivered ones', () => {
  const before = counted({ deliveries: [{ delivery: 'u-p/local', policy: 'u-p', sent: count(9) }] });
  assert.deepEqual(statusOf({ nodes: { ...nodes, 'node-2': { ...up2, ...before } } }).delivered, count(9 + 30 + 5));
});

test('the tag that an edge puts into a copy is not in the bytes that were delivered', () => {
  // The second delivery has the copies of senders that still used the edge as it was before a
  // change.
  for (const delivery of ['u-p/edge', 'u-p/edge/before']) {
    const edge = counted({ deliveries: [{ delivery, policy: 'u-p', sent: { packets: 2, bytes: 208 } }] });
    assert.deepEqual(statusOf({ nodes: { 'node-1': { ...up1, ...edge }, 'node-2': up2 } }).delivered, count(2));
  }
});

test('a destination whose guest does not read what it is given degrades its policy, and is not blamed on the mirror', () => {
  const reading = (isSlow: boolean) => () => ({ read: 610, unread: 390.4, isSlow });
  const after = (nodes: Record<string, object>) =>
    statusOf({ nodes: { 'node-1': { ...up1, ...nodes['node-1'] }, 'node-2': { ...up2, ...nodes['node-2'] } } });
  const slow = after({ 'node-1': { readingOf: reading(true) }, 'node-2': { readingOf: reading(true) } });
  assert.deepEqual(inShort(slow), ['degraded', 'DESTINATION_SLOW ids-1/0 @node-1']);
  assert.match(
    slow.reasons[0]!.message,
    /^"ids-1\/0" is slow: its device ".*" on node "node-1" dropped 390 packets a second of 1000 that .* lost none: give the monitor/,
  );
  assert.equal(slow.lost, after({}).lost);
  assert.deepEqual(inShort(after({ 'node-1': { readingOf: reading(false) } })), ['active']);
  assert.deepEqual(inShort(after({ 'node-1': { readingOf: () => undefined } })), ['active'], 'not known');
});
