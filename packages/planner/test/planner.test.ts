/**
 * A planner that plans again and again gives what a plan from nothing gives, and keeps what has
 * stayed.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Inventory, Policy } from '@mirrorplane/contract';
import { type Plan, Planner, partsOf, plan, type Sessions } from '@mirrorplane/planner';
import fc from 'fast-check';
import { clusters } from './arbitrary.ts';
import { inventoryOf, policyOf, wireguardKey } from './golden.ts';

/** One change of what is planned. */
type Change = (state: State) => State;

interface State {
  policies: Policy[];
  inventory: Inventory;
  origins: Map<string, string>;
}

function replaceAt<T>(items: readonly T[], index: number, change: (item: T) => T): T[] {
  return items.map((item, at) => (at === index % items.length ? change(item) : item));
}

/** Changes of a cluster, drawn together with the things that may take its places. */
const runs = clusters.chain(({ inventory, later, policies }) => {
  const index = fc.nat({ max: 30 });
  const withInventory = (change: (inventory: Inventory) => Partial<Inventory>): Change => {
    return (state) => ({ ...state, inventory: { ...state.inventory, ...change(state.inventory) } });
  };
  const moved = index.map((at) =>
    withInventory(({ interfaces }) => ({
      interfaces: interfaces.map((item) =>
        item.id === later.interfaces[at % later.interfaces.length]!.id
          ? later.interfaces[at % later.interfaces.length]!
          : item,
      ),
    })),
  );
  const gone = index.map((at) =>
    withInventory(({ interfaces }) => ({ interfaces: interfaces.filter((_, i) => i !== at % 12) })),
  );
  const whole = fc.constantFrom(inventory, later).map(
    (next): Change =>
      (state) => ({ ...state, inventory: next }),
  );
  const copied: fc.Arbitrary<Change> = fc.constant((state) => structuredClone(state));
  const node = fc.tuple(index, fc.boolean(), fc.constantFrom(0, 1, 2)).map(([at, has, key]) =>
    withInventory(({ nodes }) => ({
      nodes: replaceAt(nodes, at, ({ name, pool }) => ({
        name,
        pool,
        ...(has && {
          underlay: {
            ...{ device: 'mirror', address: `10.9.1.${at + 1}`, mtu: 1500 + at, proves: true as const },
            ...(key > 1 && { lanes: true as const }),
            ...(key > 0 && { wireguard: { publicKey: wireguardKey(3 * at + key), port: 51_850 } }),
          },
        }),
      })),
    })),
  );
  const nodeGone = index.map((at) => withInventory(({ nodes }) => ({ nodes: nodes.filter((_, i) => i !== at % 4) })));
  const pool = fc
    .tuple(index, fc.constantFrom('east', 'west'), fc.constantFrom('plain' as const, 'wireguard' as const))
    .map(([at, domain, underlay]) =>
      withInventory(({ pools }) => ({ pools: replaceAt(pools, at, ({ name }) => ({ name, domain, underlay })) })),
    );
  const edited = fc
    .tuple(
      index,
      fc.constantFrom<Partial<Policy>>({ enabled: false }, { enabled: true }, { percent: 50 }, { maxRate: 7 }),
    )
    .map(
      ([at, change]): Change =>
        (state) => ({
          ...state,
          policies: replaceAt(state.policies, at, (policy) => ({ ...policy, ...change })),
        }),
    );
  const some = fc.subarray(policies).map(
    (next): Change =>
      (state) => ({ ...state, policies: next }),
  );
  const left = fc.dictionary(fc.constantFrom('if-1', 'if-2', 'if-4'), fc.constantFrom('node-1', 'node-2')).map(
    (origins): Change =>
      (state) => ({ ...state, origins: new Map(Object.entries(origins)) }),
  );
  const change = fc.oneof(moved, moved, gone, whole, copied, node, nodeGone, pool, edited, some, left);
  const start: State = { policies, inventory, origins: new Map() };
  return fc.record({ start: fc.constant(start), changes: fc.array(change, { minLength: 1, maxLength: 8 }) });
});

test('after any changes, a planner gives exactly what planning from nothing gives', () => {
  fc.assert(
    fc.property(runs, ({ start, changes }) => {
      const planner = new Planner();
      let [state, sessions]: [State, Sessions] = [start, {}];
      for (const change of [(same: State) => same, ...changes]) {
        state = change(state);
        const { policies, inventory, origins } = state;
        const next = planner.plan(policies, inventory, { sessions, origins });
        const fresh = plan(policies, inventory, sessions, origins);
        assert.deepEqual(next, fresh);
        assert.deepEqual([...next.programs.keys()], [...fresh.programs.keys()]);
        assert.deepEqual([...next.policies.keys()], [...fresh.policies.keys()]);
        for (const program of next.programs.values()) {
          const parts = partsOf(program);
          assert.deepEqual(
            parts.flatMap(({ captures }) => captures),
            program.captures,
          );
          assert.deepEqual(
            parts.flatMap(({ deliveries }) => deliveries),
            program.deliveries,
          );
          assert.deepEqual(
            parts.flatMap(({ terminations }) => terminations),
            program.terminations,
          );
        }
        sessions = next.sessions;
      }
    }),
    { numRuns: 1000 },
  );
});

test('what was prepared changes nothing of a plan, of the same or of something else', () => {
  fc.assert(
    fc.property(
      runs,
      fc.infiniteStream(fc.constantFrom('now', 'before', 'nothing')),
      ({ start, changes }, prepared) => {
        const planner = new Planner();
        let [state, sessions]: [State, Sessions] = [start, {}];
        for (const change of [(same: State) => same, ...changes]) {
          const before = state;
          state = change(state);
          const what = prepared.next().value;
          if (what !== 'nothing') {
            const { policies, inventory, origins } = what === 'now' ? state : before;
            assert.ok([...planner.prepare(policies, inventory, { sessions, origins })].length >= 0);
          }
          const { policies, inventory, origins } = state;
          const next = planner.plan(policies, inventory, { sessions, origins });
          assert.deepEqual(next, plan(policies, inventory, sessions, origins));
          sessions = next.sessions;
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a plan that was thrown away, or could not be made, changes nothing of the next one', () => {
  fc.assert(
    fc.property(runs, ({ start, changes }) => {
      const planner = new Planner();
      const { policies, inventory } = changes.reduce((state, change) => change(state), start);
      planner.plan(policies, inventory);
      assert.throws(() => planner.plan([...start.policies, {} as Policy], start.inventory));
      assert.deepEqual(planner.plan(start.policies, start.inventory), plan(start.policies, start.inventory));
    }),
    { numRuns: 100 },
  );
});

const NODES = ['node-1', 'node-2', 'node-3', 'node-4'];
const FOUR = {
  pools: { 'pool-a': 'east', 'pool-b': 'east' },
  nodes: Object.fromEntries(
    NODES.map((name, i) => [name, { pool: i < 3 ? 'pool-a' : 'pool-b', underlay: `10.9.0.${i + 1}` }]),
  ),
};
const ON = { a: ['node-1'], b: ['node-2'], c: ['node-3'], d: ['node-4'], e: ['node-4'] };

function cluster(on: Record<string, string[]>): Inventory {
  const interfaces = Object.entries(on).map(([id, nodes]) => [id, { kind: 'vm' as const, on: nodes }] as const);
  return inventoryOf({ ...FOUR, interfaces: Object.fromEntries(interfaces) }, {});
}

const POLICIES = [
  policyOf({ name: 'p1', sources: ['a', 'b'], destination: 'c' }),
  policyOf({ name: 'p2', sources: ['d'], destination: 'e' }),
];

/** Nodes whose program is another object. */
function changedNodes(before: Plan, after: Plan): string[] {
  return NODES.filter((node) => before.programs.get(node) !== after.programs.get(node));
}

test('programs stay the same objects where nothing differs', () => {
  const planner = new Planner();
  const first = planner.plan(POLICIES, cluster(ON));
  const { sessions } = first;
  assert.deepEqual(changedNodes(first, planner.plan(POLICIES, cluster(ON), { sessions })), []);
  assert.deepEqual(changedNodes(first, planner.plan(structuredClone(POLICIES), cluster(ON), { sessions })), []);
  // A source that moves within its pool changes no program: all nodes of the pool capture it.
  const moved = planner.plan(POLICIES, cluster({ ...ON, a: ['node-2'] }), { sessions });
  assert.deepEqual(changedNodes(first, moved), []);
  assert.deepEqual(moved.policies.get('u-p1')!.sources[0], { interface: 'a', nodes: ['node-2'] });
  assert.equal(moved.policies.get('u-p2'), first.policies.get('u-p2'));
});

test('an edited policy changes the programs of its nodes alone, and in them its own part alone', () => {
  const planner = new Planner();
  const all = [...POLICIES, policyOf({ name: 'p3', sources: ['c'], destination: 'b' })];
  const first = planner.plan(all, cluster(ON));
  const edited = [{ ...all[0]!, percent: 50 }, ...all.slice(1)];
  const second = planner.plan(edited, cluster(ON), { sessions: first.sessions });
  assert.deepEqual(changedNodes(first, second), ['node-1', 'node-2', 'node-3']);
  for (const node of ['node-1', 'node-2', 'node-3']) {
    const before = new Map(partsOf(first.programs.get(node)!).map((part) => [part.policy, part]));
    const others = partsOf(second.programs.get(node)!).filter((part) => before.get(part.policy) !== part);
    assert.deepEqual(
      others.map(({ policy }) => policy),
      ['u-p1'],
    );
  }
  const [one, two] = ['node-1', 'node-2'].map((node) => partsOf(second.programs.get(node)!)[0]!);
  assert.equal(one!.captures, two!.captures, 'nodes share the captures of a policy');
});

test('a plan has the numbers that were prepared, and of what was prepared nothing is left to do', () => {
  const planner = new Planner();
  let draws = 0;
  const chance = { draw: () => ++draws, now: 1 };
  const sessions = {};
  const steps = [...planner.prepare(POLICIES, cluster(ON), { sessions, chance })].length;
  assert.equal(steps, 2 * POLICIES.length, 'each policy is placed, and carried out');
  const drawn = draws;
  assert.ok(drawn > 0);
  const planned = planner.plan(POLICIES, cluster(ON), { sessions, chance: { ...chance, now: 2 } });
  assert.equal(draws, drawn);
  const next = { sessions: planned.sessions, chance };
  assert.deepEqual([...planner.prepare(POLICIES, cluster(ON), next)], []);
  // Numbers that were prepared for something else are not used.
  planner.prepare(POLICIES.slice(0, 1), cluster(ON), { sessions, chance }).next();
  const others = planner.plan(POLICIES, cluster(ON), { sessions, chance });
  assert.ok(draws > drawn);
  assert.deepEqual(Object.keys(others.sessions), Object.keys(planned.sessions));
});
