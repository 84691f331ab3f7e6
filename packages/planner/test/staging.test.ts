/** The order in which the two ends of a path change. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Policy } from '@mirrorplane/contract';
import {
  type Chance,
  type InForce,
  type PlannedProgram,
  plan,
  SECRET_LIFE_MS,
  type Sessions,
  type Staged,
  stage,
} from '@mirrorplane/planner';
import fc from 'fast-check';
import { inventoryOf, policyOf } from './golden.ts';

const NODES = ['node-1', 'node-2', 'node-3'];
const inventory = inventoryOf(
  {
    pools: { 'pool-a': 'east' },
    nodes: Object.fromEntries(NODES.map((name, i) => [name, { pool: 'pool-a', underlay: `10.9.0.${i + 1}` }])),
    interfaces: Object.fromEntries(
      NODES.flatMap((name, i) =>
        ['a', 'b', 'c'].map((letter) => [`${letter}${i + 1}`, { kind: 'vm' as const, on: [name] }] as const),
      ),
    ),
  },
  {},
);

/**
 * Nodes that apply sent programs when the test says so, and a controller that remembers the sent
 * programs.
 */
class Cluster {
  #sessions: Sessions = {};
  readonly #told = new Map(NODES.map((node) => [node, [] as PlannedProgram[]]));
  /**
   * Index in `#told` of the program in the kernel, and of the program that the node has confirmed.
   */
  readonly #runs = new Map(NODES.map((node) => [node, -1]));
  readonly #confirmed = new Map(NODES.map((node) => [node, -1]));
  readonly away = new Set<string>();
  policies: Policy[] = [];
  inventory = inventory;
  chance: Chance | undefined;

  /** Plans, and sends the nodes the programs that are allowed now. */
  tell(expired: readonly string[] = []): Staged {
    const planned = plan(this.policies, this.inventory, this.#sessions, new Map(), this.chance);
    this.#sessions = planned.sessions;
    const staged = stage(planned.programs, this.#inForce(), new Set(expired));
    for (const [node, program] of staged.programs) {
      const told = this.#told.get(node)!;
      if (JSON.stringify(told.at(-1)) !== JSON.stringify(program)) {
        told.push(program);
      }
    }
    return staged;
  }

  #inForce(): Map<string, InForce> {
    return new Map(
      NODES.map((node) => {
        const told = this.#told.get(node)!;
        const known = this.#confirmed.get(node)!;
        const confirmed = told[known];
        const last = told.at(-1);
        const connected = !this.away.has(node);
        const possible = told.slice(Math.max(0, known));
        return [node, { possible, connected, ...(confirmed && { confirmed }), ...(last && { last }) }];
      }),
    );
  }

  /** The kernel of a node gets the newest sent program, and the node confirms it. */
  apply(...nodes: string[]): void {
    for (const node of nodes.filter((name) => !this.away.has(name))) {
      this.#runs.set(node, this.#told.get(node)!.length - 1);
      this.confirm(node);
    }
  }

  /** The kernel of a node gets the next sent program, and the node has not confirmed it yet. */
  take(node: string): void {
    this.#runs.set(node, Math.min(this.#runs.get(node)! + 1, this.#told.get(node)!.length - 1));
  }

  /** A node confirms the program in its kernel. */
  confirm(node: string): void {
    this.#confirmed.set(node, this.#runs.get(node)!);
  }

  /** Sends and applies until no change waits. */
  settle(): void {
    for (let i = 0; i < 10; i++) {
      this.tell();
      this.apply(...NODES);
    }
    assert.deepEqual(this.tell().waiting, []);
  }

  kernel(node: string): PlannedProgram | undefined {
    return this.#told.get(node)![this.#runs.get(node)!];
  }

  /**
   * The termination on node-2 for node-1. A source is captured on every node of its pool, so node-2
   * has other terminations too.
   */
  get fromFirst() {
    return this.kernel('node-2')!.terminations.filter(({ node }) => node === 'node-1');
  }

  /** The place where the copies of a source arrive now; undefined if the source is not captured. */
  pathOf(source: string): string | undefined {
    for (const node of NODES) {
      const program = this.kernel(node);
      const capture = program?.captures.find((one) => one.source === source && NODES[Number(source[1]) - 1] === node);
      const delivery = program?.deliveries.find(({ id }) => id === capture?.delivery);
      if (!delivery) {
        continue;
      }
      if (delivery.kind !== 'erspan') {
        return delivery.interface;
      }
      const there = this.kernel(delivery.node);
      const end = there?.terminations.find(
        (one) => one.node === node && one.session === delivery.session && one.generation === delivery.generation,
      );
      const way = there?.deliveries.find(({ id }) => id === end?.delivery);
      return way && way.kind !== 'erspan' ? way.interface : 'lost';
    }
    return undefined;
  }
}

const policy = (sources: string[], destination: string, more: Partial<Policy> = {}) =>
  policyOf({ name: 'p', sources, destination, ...more });

function settled(...policies: Policy[]): Cluster {
  const cluster = new Cluster();
  cluster.settle(); // the nodes are there before the policies
  cluster.policies = policies;
  cluster.settle();
  return cluster;
}

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
  const moving = (nodes: string[]) => ({
    ...inventory,
    interfaces: inventory.interfaces.map((item) =>
      item.id === 'a2'
        ? { ...item, home: nodes[0]!, devices: nodes.map((node) => ({ ...item.devices[0]!, node })) }
        : item,
    ),
  });
  cluster.inventory = moving(['node-2', 'node-3']);
  cluster.policies = [policy(['b2'], 'a2')];
  cluster.settle();
  assert.ok(cluster.kernel('node-2')!.deliveries.some(({ duringHandover }) => duringHandover));
  cluster.inventory = moving(['node-3']);
  cluster.policies = [policy(['b2'], 'a1')];
  const { deliveries } = cluster.tell().programs.get('node-2')!;
  assert.deepEqual(
    deliveries.map(({ id, duringHandover }) => [id, duringHandover]),
    [['u-p/local', undefined]],
  );
  cluster.settle();
  assert.equal(cluster.pathOf('b2'), 'a1');
});

test('a node with an unknown state gets the planned program at once', () => {
  const planned = plan([policy(['a1'], 'a2')], inventory).programs;
  const { programs, waiting } = stage(planned, new Map());
  assert.deepEqual([programs, waiting], [planned, []]);
});

const order = fc.array(fc.tuple(fc.constantFrom('apply', 'take', 'confirm'), fc.constantFrom(...NODES)), {
  maxLength: 12,
});
const change = fc.record({
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

const changes = fc.oneof(
  fc.array(change, { minLength: 1, maxLength: 5 }),
  fc.array(turn, { minLength: 3, maxLength: 10 }),
);

test('any change, with any order of confirmations: no copy is lost on a path, and none arrives at another destination', () => {
  fc.assert(
    fc.property(changes, (all) => {
      const cluster = settled();
      const ends = new Map<string, Set<string>>();
      for (const { policies, order: acts } of all) {
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

/** The inventory, with agents that send secrets on some nodes. */
function proving(...nodes: string[]): typeof inventory {
  const all = inventory.nodes.map((node) =>
    nodes.includes(node.name) ? { ...node, underlay: { ...node.underlay!, proves: true as const } } : node,
  );
  return { ...inventory, nodes: all };
}

/** Whether a copy of node-1 for the policy would be believed on node-2 now. */
function isBelieved(cluster: Cluster): boolean {
  const sent = cluster.kernel('node-1')!.deliveries.find((one) => one.kind === 'erspan' && one.node === 'node-2');
  assert.ok(sent?.kind === 'erspan');
  return cluster.fromFirst.some(
    ({ session, generation, secret }) =>
      session === sent.session && generation === sent.generation && (secret ?? sent.secret) === sent.secret,
  );
}

/** Applies what nodes are told in every order of single steps, and looks after each of them. */
function inSteps(cluster: Cluster, look: () => void): void {
  for (const node of ['node-2', 'node-1', 'node-1', 'node-2', 'node-3', 'node-2', 'node-1', 'node-2']) {
    cluster.tell();
    look();
    cluster.take(node);
    look();
    cluster.confirm(node);
    look();
  }
  cluster.settle();
  look();
}

test('a receiver checks the secret only when the sender has confirmed that it sends it', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  cluster.chance = { draw: (bound) => bound - 1, now: 1 };
  inSteps(cluster, () => assert.ok(isBelieved(cluster)));
  assert.equal(cluster.fromFirst[0]!.secret, undefined, 'an earlier agent sends none');
  cluster.inventory = proving('node-1');
  inSteps(cluster, () => assert.ok(isBelieved(cluster)));
  assert.equal(cluster.fromFirst[0]!.secret, 2047);
  cluster.away.add('node-1');
  cluster.tell();
  cluster.apply(...NODES);
  assert.ok(isBelieved(cluster));
});

/** A policy whose copies have a secret since the time 1. */
function withSecret(): { cluster: Cluster; chance: Chance } {
  const chance: Chance = { draw: (bound) => Math.floor(bound / 2), now: 1 };
  const cluster = new Cluster();
  cluster.inventory = proving(...NODES);
  cluster.chance = chance;
  cluster.settle();
  cluster.policies = [policy(['a1'], 'a2')];
  cluster.settle();
  return { cluster, chance };
}

test('a policy gets another session and secret after a day, and no step of it loses a copy', () => {
  const { cluster, chance } = withSecret();
  const [before] = cluster.fromFirst;
  cluster.chance = { ...chance, now: SECRET_LIFE_MS };
  cluster.settle();
  assert.deepEqual(cluster.fromFirst, [before], 'not earlier');
  cluster.chance = { draw: () => 7, now: SECRET_LIFE_MS + 1 };
  inSteps(cluster, () => assert.ok(isBelieved(cluster)));
  const [after, ...more] = cluster.fromFirst;
  assert.deepEqual([after!.session, after!.secret, more], [before!.session + 1, 7, []]);
});

test('secrets that a host knows which was cut off are changed at once, and stay afterwards', () => {
  const { cluster } = withSecret();
  const [before] = cluster.fromFirst;
  cluster.chance = { draw: () => 7, now: 3, cutOffs: 1 };
  inSteps(cluster, () => assert.ok(isBelieved(cluster)));
  const [after] = cluster.fromFirst;
  assert.deepEqual([after!.session, after!.secret], [before!.session + 1, 7]);
  cluster.chance = { draw: () => 8, now: 4, cutOffs: 1 };
  cluster.settle();
  assert.deepEqual(cluster.fromFirst, [after]);
});
