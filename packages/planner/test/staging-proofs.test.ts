/** The order in which the two ends of a path change what proves and encrypts its copies. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Chance, SECRET_LIFE_MS } from '@mirrorplane/planner';
import fc from 'fast-check';
import { wireguardKey } from './golden.ts';
import { Cluster, inventory, NODES, order, policy, settled } from './staging-cluster.ts';

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

test('each CPU numbers copies only while the agents of both ends count loss in lanes', () => {
  const cluster = settled(policy(['a1'], 'a2'));
  const numbers = () => {
    const sent = cluster.kernel('node-1')!.deliveries.find((one) => one.kind === 'erspan' && one.node === 'node-2');
    return sent?.kind === 'erspan' && sent.lanes;
  };
  const able = (...nodes: string[]) => {
    const all = inventory.nodes.map((node) =>
      nodes.includes(node.name) ? { ...node, underlay: { ...node.underlay!, lanes: true as const } } : node,
    );
    cluster.inventory = { ...inventory, nodes: all };
    inSteps(cluster, () => assert.ok(isBelieved(cluster)));
  };
  assert.equal(numbers(), undefined);
  able('node-1');
  assert.equal(numbers(), undefined, 'the receiver is of an earlier version');
  able('node-2', 'node-3');
  assert.equal(numbers(), undefined, 'the sender is');
  able('node-1', 'node-2');
  assert.equal(numbers(), true);
  able('node-1');
  assert.equal(numbers(), undefined, 'the receiver is an earlier one again');
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

/** The inventory with keys of nodes. @param keys by node, in its order; 0: the node has none */
function withKeys(underlay: 'plain' | 'wireguard', keys: readonly number[]): typeof inventory {
  return {
    ...inventory,
    pools: inventory.pools.map((pool) => ({ ...pool, underlay })),
    nodes: inventory.nodes.map((node, i) => ({
      ...node,
      underlay: { ...node.underlay!, wireguard: { publicKey: wireguardKey(keys[i]!), port: 51_850 } },
    })),
  };
}

const networks = fc.record({
  underlay: fc.constantFrom('plain' as const, 'wireguard' as const),
  keys: fc.tuple(...NODES.map((_, i) => fc.constantFrom(2 * i + 1, 2 * i + 2))),
  order,
});

test('nodes change their keys, and pools begin and end to encrypt, in any order of confirmations: no copy is lost', () => {
  fc.assert(
    fc.property(fc.array(networks, { minLength: 1, maxLength: 6 }), (all) => {
      const cluster = settled(policy(['a1', 'a3'], 'a2'));
      for (const { underlay, keys, order: acts } of all) {
        cluster.inventory = withKeys(underlay, keys);
        for (const [act, node] of acts) {
          cluster.tell();
          cluster[act as 'apply' | 'take' | 'confirm'](node);
          assert.deepEqual([cluster.pathOf('a1'), cluster.pathOf('a3')], ['a2', 'a2']);
        }
      }
      cluster.settle();
      const { underlay } = all.at(-1)!;
      const ends = cluster.kernel('node-2')!.terminations;
      assert.deepEqual(
        ends.map(({ node, tunnel }) => [node, tunnel !== undefined]),
        ['node-1', 'node-3'].map((node) => [node, underlay === 'wireguard']),
      );
    }),
    { numRuns: 200 },
  );
});
