/** The order in which the two ends of a path change. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Policy } from '@mirrorplane/contract';
import { type InForce, type PlannedProgram, plan, type Sessions, type Staged, stage } from '@mirrorplane/planner';
import fc from 'fast-check';
import { inventoryOf, policyOf } from './golden.ts';
import { type Cluster, inventory, moved, NODES, order, policy, settled } from './staging-cluster.ts';

test('a sender makes no copy before its receiver is ready for it', () => {
  const cluster = settled();
  cluster.policies = [policy(['a1'], 'a2')];
  cluster.tell();
  cluster.apply('node-1');
  cluster.tell();
  cluster.apply('node-1');
  assert.equal(cluster.pathOf('a1'), undefined);
  cluster.apply('node-2');
  cluster.tell();
  cluster.apply('node-1');
  assert.equal(cluster.pathOf('a1'), 'a2');
});

test('a receiver ends when its sender has confirmed that it has ended, for a policy that is deleted or disabled', () => {
  for (const rest of [[], [policy(['a1'], 'a2', { enabled: false })]]) {
    const cluster = settled(policy(['a1'], 'a2'));
    cluster.policies = rest;
    cluster.tell();
    cluster.apply('node-2');
    assert.equal(cluster.pathOf('a1'), 'a2');
    cluster.apply('node-1');
    assert.equal(cluster.pathOf('a1'), undefined);
    assert.equal(cluster.fromFirst.length, 1);
    cluster.settle();
    assert.equal(cluster.kernel('node-2')!.terminations.length, 0);
    assert.deepEqual(cluster.kernel('node-2')!.deliveries, []);
  }
});

test('a receiver that has not confirmed the end of its termination is not ready for the next one', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.policies = [policy(['a1'], 'a2', { enabled: false })];
  cluster.tell();
  cluster.apply(...NODES);
  cluster.tell(); // node-2 may end now
  cluster.policies = [policy(['a1'], 'a2')];
  cluster.tell();
  cluster.apply('node-1');
  cluster.take('node-2');
  assert.deepEqual(cluster.fromFirst, []);
  assert.equal(cluster.pathOf('a1'), undefined);
  cluster.settle();
  assert.equal(cluster.pathOf('a1'), 'a2');
});

test('a destination that changes to another node takes over without a moment in which copies are lost', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.policies = [policy(['a1'], 'a3')];
  const seen = new Set<string | undefined>();
  for (const node of ['node-2', 'node-1', 'node-2', 'node-3', 'node-2', 'node-1', 'node-2']) {
    cluster.tell();
    cluster.apply(node);
    seen.add(cluster.pathOf('a1'));
  }
  assert.deepEqual([...seen], ['a2', 'a3']);
  cluster.settle();
  assert.deepEqual(cluster.kernel('node-2')!.terminations, []);
});

test('a destination that changes on its node has both ways in until the sender uses the new one', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.policies = [policy(['a1'], 'b2')];
  cluster.tell();
  cluster.apply('node-2');
  assert.equal(cluster.pathOf('a1'), 'a2');
  const ways = cluster.fromFirst.map(({ delivery }) => delivery);
  assert.deepEqual(ways.sort(), ['u-p/local', 'u-p/local/before']);
  cluster.tell();
  cluster.apply('node-1');
  assert.equal(cluster.pathOf('a1'), 'b2');
  cluster.settle();
  assert.equal(cluster.fromFirst.length, 1);
});

test('a destination that changes twice on its node has a way in for each that the sender may still use', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  for (const destination of ['b2', 'c2']) {
    cluster.policies = [policy(['a1'], destination)];
    cluster.tell();
    cluster.apply('node-2');
    cluster.tell(); // the sender is told, and does nothing yet
    assert.equal(cluster.pathOf('a1'), 'a2');
  }
  const ways = cluster.fromFirst.map(({ delivery }) => delivery);
  assert.deepEqual(ways.sort(), ['u-p/local', 'u-p/local/before', 'u-p/local/before/before']);
  for (let round = 0; round < 3; round++) {
    cluster.tell();
    cluster.apply('node-1');
    cluster.tell();
    cluster.apply('node-2');
  }
  assert.equal(cluster.pathOf('a1'), 'c2');
  cluster.settle();
  assert.equal(cluster.fromFirst.length, 1);
});

test('a disconnected sender delays no node: its receiver ends at once', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.away.add('node-1');
  cluster.policies = [];
  const { waiting } = cluster.tell();
  assert.deepEqual(
    waiting.filter((step) => step.includes('node-1')),
    [],
  );
  cluster.apply('node-2');
  assert.equal(cluster.pathOf('a1'), 'lost');
});

test('a step that has waited for too long ends: the sender stops, and the receiver too', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.policies = [policy(['a1'], 'a3')];
  const { waiting } = cluster.tell();
  assert.ok(waiting.some((step) => step.startsWith('node-1 sends')));
  assert.ok(waiting.some((step) => step.startsWith('node-2 receives u-p/from/node-1')));
  cluster.tell(waiting);
  cluster.apply('node-1', 'node-2');
  assert.equal(cluster.pathOf('a1'), undefined);
  assert.deepEqual(cluster.fromFirst, []);
  cluster.settle();
  assert.equal(cluster.pathOf('a1'), 'a3');
});

test('a destination that migrates to a node of its sources is still received from there at the old node until that one knows', () => {
  const before = plan([policy(['a1'], 'a2')], inventory).programs;
  const [first, second] = [before.get('node-1')!, before.get('node-2')!];
  const end = second.deliveries.find(({ id }) => id === 'u-p/local');
  assert.ok(end && end.kind !== 'erspan');
  // The plan while a2 has its home on node-1 and its old device still exists.
  const away = { ...end, duringHandover: { interface: 'a2', delivery: 'u-p/to/node-1', when: 'absent' as const } };
  const planned = new Map([
    ['node-1', { ...first, deliveries: [end] }],
    ['node-2', { ...second, deliveries: [away], terminations: [] }],
  ]);
  const known = (program: PlannedProgram) => ({
    confirmed: program,
    last: program,
    possible: [program],
    connected: true,
  });
  const received = (sender: PlannedProgram) => {
    const inForce = new Map([
      ['node-1', known(sender)],
      ['node-2', known(second)],
    ]);
    const { deliveries, terminations } = stage(planned, inForce).programs.get('node-2')!;
    assert.deepEqual(deliveries, [away]);
    return terminations.filter(({ node }) => node === 'node-1').map(({ delivery }) => delivery);
  };
  assert.deepEqual(received(first), ['u-p/local']);
  assert.deepEqual(received(planned.get('node-1')!), []);
});

test('copies for an earlier destination never come out at one that migrates', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  // b2 has its home on node-3, and its earlier device is still on node-2.
  cluster.inventory = {
    ...inventory,
    interfaces: inventory.interfaces.map((item) =>
      item.id === 'b2'
        ? { ...item, home: 'node-3', devices: [...item.devices, { ...item.devices[0]!, node: 'node-3' }] }
        : item,
    ),
  };
  cluster.policies = [policy(['a1'], 'b2')];
  cluster.tell();
  cluster.apply('node-2', 'node-3');
  assert.equal(cluster.pathOf('a1'), 'a2');
  assert.equal(cluster.fromFirst.length, 2);
  cluster.settle();
  assert.equal(cluster.fromFirst.length, 1);
});

test('a delivery that stays for a while after a handover names no other one', () => {
  const cluster = settled();
  // a2 moves from node-2 to node-3, and both have a device.
  cluster.inventory = moved({ a2: ['node-2', 'node-3'] });
  cluster.policies = [policy(['b2'], 'a2')];
  cluster.settle();
  assert.ok(cluster.kernel('node-2')!.deliveries.some(({ duringHandover }) => duringHandover));
  cluster.inventory = moved({ a2: ['node-3'] });
  cluster.policies = [policy(['b2'], 'a1')];
  const { deliveries } = cluster.tell().programs.get('node-2')!;
  assert.deepEqual(
    deliveries.map(({ id, duringHandover }) => [id, duringHandover]),
    [['u-p/local', undefined]],
  );
  cluster.settle();
  assert.equal(cluster.pathOf('b2'), 'a1');
});

test('a destination that moves before its new node is ready is delivered to where it was until then', () => {
  for (const between of [{ a2: ['node-3', 'node-2'] }, { a2: ['node-3'] }]) {
    const cluster = settled(policy(['a1'], 'a2'));
    const first = cluster.kernel('node-1')!.captures.map(({ delivery }) => delivery);
    // Its second device and its guest are seen in one moment, so nothing was prepared.
    cluster.inventory = moved(between);
    cluster.tell();
    cluster.apply('node-1');
    cluster.tell();
    cluster.apply('node-1');
    const now = cluster.kernel('node-1')!.captures.map(({ delivery }) => delivery);
    assert.deepEqual([now, cluster.pathOf('a1')], [first, 'a2']);
    cluster.apply('node-3');
    cluster.tell();
    cluster.apply('node-1');
    assert.notDeepEqual(
      cluster.kernel('node-1')!.captures.map(({ delivery }) => delivery),
      first,
    );
    assert.equal(cluster.pathOf('a1'), 'a2');
  }
});

test('a way that a node was told to relay by is not ready because it is still there', () => {
  const moving = plan([policy(['b2'], 'a2')], moved({ a2: ['node-2', 'node-3'] })).programs;
  // No other node sends to node-2, which relays to node-3 while a2 moves there. Then a2 is there.
  const relaying: PlannedProgram = { ...moving.get('node-2')!, terminations: [] };
  const captures = relaying.captures.map((capture) => ({ ...capture, delivery: 'u-p/to/node-3' }));
  const planned = new Map([...moving, ['node-2', { ...relaying, captures }]]);
  const unready = { ...moving.get('node-3')!, terminations: [] };
  const known = (program: PlannedProgram) => ({
    confirmed: program,
    last: program,
    possible: [program],
    connected: true,
  });
  for (let round = 0, last = relaying; round < 3; round++) {
    const inForce = new Map([
      ['node-2', known(last)],
      ['node-3', known(unready)],
    ]);
    last = stage(planned, inForce).programs.get('node-2')!;
    assert.deepEqual([...new Set(last.captures.map(({ delivery }) => delivery))], ['u-p/local'], `round ${round}`);
  }
});

test('a destination that moves after its new node is ready changes with one program of each sender', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.inventory = moved({ a2: ['node-2', 'node-3'] });
  cluster.settle();
  cluster.inventory = moved({ a2: ['node-3', 'node-2'] });
  assert.deepEqual(cluster.tell().waiting, []);
  cluster.apply('node-1');
  assert.equal(cluster.pathOf('a1'), 'a2');
  const [capture] = cluster.kernel('node-1')!.captures;
  assert.equal(capture!.delivery, 'u-p/to/node-3');
});

test('a node that was the destination before keeps receiving until senders use the one that migrates', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.inventory = moved({ b3: ['node-1', 'node-3'] });
  cluster.policies = [policy(['a1', 'b2'], 'b3')];
  for (const node of ['node-2', 'node-3', 'node-2', 'node-1', 'node-2', 'node-3']) {
    cluster.tell();
    cluster.apply(node);
    assert.notEqual(cluster.pathOf('a1'), 'lost', node);
  }
  cluster.settle();
  assert.equal(cluster.pathOf('a1'), 'b3');
});

test('a node with an unknown state gets the planned program at once', () => {
  const planned = plan([policy(['a1'], 'a2')], inventory).programs;
  const { programs, waiting } = stage(planned, new Map());
  assert.deepEqual([programs, waiting], [planned, []]);
});

/** Where a destination is: its home, and perhaps a second device. */
const place = fc.uniqueArray(fc.constantFrom(...NODES), { minLength: 1, maxLength: 2 });

const change = fc.record({
  places: fc.record({ c1: place, c2: place, c3: place }, { requiredKeys: [] }),
  policies: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('p', 'q', 'r'),
      sources: fc.uniqueArray(fc.constantFrom('a1', 'a2', 'a3', 'b1', 'b2', 'b3'), { minLength: 1, maxLength: 3 }),
      destination: fc.constantFrom('c1', 'c2', 'c3'),
      enabled: fc.boolean(),
    }),
    { selector: ({ name }) => name, maxLength: 3 },
  ),
  order,
});

/** One policy that is switched off and on, and from one destination to another. */
const turn = fc.record({
  places: fc.record({ c2: place }, { requiredKeys: [] }),
  policies: fc.tuple(
    fc.record({
      name: fc.constant('p'),
      sources: fc.constant(['a1']),
      destination: fc.constantFrom('c2', 'c2', 'c3'),
      enabled: fc.boolean(),
    }),
  ),
  order,
});

/** Interfaces are elsewhere now. Nodes that they have left relay their copies. */
function move(cluster: Cluster, places: Readonly<Record<string, readonly string[] | undefined>>): void {
  const before = cluster.inventory;
  cluster.inventory = moved(places);
  cluster.origins = new Map(
    cluster.inventory.interfaces.flatMap(({ id, home }): [string, string][] => {
      const was = before.interfaces.find((item) => item.id === id)?.home;
      return home && was && was !== home ? [[id, was]] : [];
    }),
  );
}

const changes = fc.oneof(
  fc.array(change, { minLength: 1, maxLength: 5 }),
  fc.array(turn, { minLength: 3, maxLength: 10 }),
);

test('any change, with any order of confirmations: no copy is lost on a path, and none arrives at another destination', () => {
  fc.assert(
    fc.property(changes, (all) => {
      const cluster = settled();
      const ends = new Map<string, Set<string>>();
      for (const { policies, places, order: acts } of all) {
        move(cluster, places);
        // A source belongs to one policy at most: the first one that names it.
        const taken = new Set<string>();
        cluster.policies = policies.flatMap(({ sources, ...rest }) => {
          const own = sources.filter((id) => !taken.has(id));
          for (const id of own) {
            taken.add(id);
          }
          return own.length > 0 ? [policyOf({ ...rest, sources: own })] : [];
        });
        for (const { sources, destination } of cluster.policies) {
          for (const id of sources) {
            ends.set(id, (ends.get(id) ?? new Set()).add(destination));
          }
        }
        for (const [act, node] of acts) {
          cluster.tell();
          cluster[act](node);
          for (const [source, allowed] of ends) {
            const end = cluster.pathOf(source);
            assert.ok(end === undefined || allowed.has(end), `${source} comes out at ${end}`);
          }
        }
      }
      cluster.origins = new Map();
      cluster.settle();
      const wanted = cluster.policies.filter(({ enabled }) => enabled);
      for (const source of ends.keys()) {
        const of = wanted.find(({ sources }) => sources.includes(source));
        assert.equal(cluster.pathOf(source), of?.destination);
      }
    }),
    { numRuns: 300 },
  );
});

const stay = fc.record({
  places: fc.record({ c2: place }, { requiredKeys: [] }),
  order,
});

test('a policy is copied for without a gap, wherever its destination moves', () => {
  fc.assert(
    fc.property(fc.array(stay, { minLength: 1, maxLength: 6 }), (all) => {
      const sources = ['a1', 'b2'];
      const cluster = settled(policy(sources, 'c2'));
      for (const { places, order: acts } of all) {
        // One that moves again before all nodes know it is not captured for a moment.
        cluster.origins = new Map();
        cluster.settle();
        move(cluster, places);
        for (const [act, node] of acts) {
          cluster.tell();
          cluster[act](node);
          for (const source of sources) {
            assert.equal(cluster.pathOf(source), 'c2', source);
          }
        }
      }
      cluster.origins = new Map();
      cluster.settle();
      assert.deepEqual(
        sources.map((id) => cluster.pathOf(id)),
        ['c2', 'c2'],
      );
    }),
    { numRuns: 300 },
  );
});

test('a guest is captured for an edge when nodes that mirror edges know its copies, or have been waited for too long', () => {
  const edge = (node: string) => ({ kind: 'edge' as const, on: [node], edge: { node, device: 'eth1' } });
  const guest = (last: string) => ({ kind: 'vm' as const, on: ['node-2'], guestMacs: [`02:00:00:00:0a:${last}`] });
  const cluster = inventoryOf(
    {
      pools: { 'pool-a': 'east' },
      nodes: Object.fromEntries(NODES.map((name, i) => [name, { pool: 'pool-a', underlay: `10.9.0.${i + 1}` }])),
      interfaces: { 'edge-1': edge('node-1'), 'edge-3': edge('node-3'), a: guest('01'), b: guest('02') },
    },
    {},
  );
  const mirror = policyOf({ name: 'e', sources: ['edge-1'], destination: 'edge-3', vlanId: 300 });
  const fabric = (...sources: string[]) => policyOf({ name: 'x', sources, destination: 'edge-3', vlanId: 100 });
  const known = new Map<string, InForce>();
  let sessions: Sessions = {};
  const tell = (policies: Policy[], expired: string[] = []) => {
    const planned = plan(policies, cluster, sessions);
    sessions = planned.sessions;
    return stage(planned.programs, known, new Set(expired));
  };
  const apply = ({ programs }: Staged, ...nodes: string[]) => {
    for (const node of nodes) {
      const program = programs.get(node)!;
      known.set(node, { connected: true, confirmed: program, last: program, possible: [program] });
    }
  };
  const sources = ({ programs }: Staged) =>
    programs.get('node-2')!.captures.flatMap(({ skipVlanId, source }) => (skipVlanId === 100 ? [source] : []));

  apply(tell([mirror]), ...NODES);
  const begins = [mirror, fabric('a')];
  apply(tell(begins), 'node-3');
  const waits = ['node-1 makes copies with VLAN ID 100', 'node-2 makes copies with VLAN ID 100'];
  assert.deepEqual([sources(tell(begins)), tell(begins).waiting.includes(waits[1]!)], [[], true]);
  assert.deepEqual(sources(tell(begins, waits)), ['a'], 'waited for too long');
  known.set('node-1', { ...known.get('node-1')!, connected: false });
  assert.deepEqual(sources(tell(begins)), ['a'], 'nobody waits for a node that is away');
  known.set('node-1', { ...known.get('node-1')!, connected: true });
  apply(tell(begins), 'node-1');
  assert.deepEqual(sources(tell(begins)), ['a']);
  apply(tell(begins), ...NODES);

  const more = [mirror, fabric('a', 'b')];
  assert.deepEqual(sources(tell(more)), ['a'], 'one goes on while the other waits');
  apply(tell(more), 'node-1');
  assert.deepEqual(sources(tell(more)), ['a', 'b']);
  apply(tell(more), ...NODES);
  assert.deepEqual(tell(more).waiting, []);
});
