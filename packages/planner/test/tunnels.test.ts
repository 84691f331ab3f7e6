/** Which paths are encrypted, and that none is in clear text where a pool forbids it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Delivery,
  type Inventory,
  type NodeProgram,
  type Termination,
  tunnelAddress,
} from '@mirrorplane/contract';
import { type Plan, plan } from '@mirrorplane/planner';
import fc from 'fast-check';
import { clusters } from './arbitrary.ts';
import { inventoryOf, policyOf, wireguardKey } from './golden.ts';

type Erspan = Extract<Delivery, { kind: 'erspan' }>;

/** Two nodes of pool-a and one of pool-b, with a VM on each, named as its node. @param keys of nodes by name */
function inventoryWith(keys: Record<string, number>, pools: Record<string, 'plain' | 'wireguard'>): Inventory {
  const places = { n1: 'pool-a', n2: 'pool-a', n3: 'pool-b' };
  const inventory = inventoryOf(
    {
      pools: { 'pool-a': 'east', 'pool-b': 'east' },
      nodes: Object.fromEntries(
        Object.entries(places).map(([name, pool], i) => [name, { pool, underlay: `10.9.0.${i + 1}` }]),
      ),
      interfaces: Object.fromEntries(Object.keys(places).map((name) => [name, { kind: 'vm' as const, on: [name] }])),
    },
    {},
  );
  return {
    ...inventory,
    pools: inventory.pools.map((pool) => ({ ...pool, underlay: pools[pool.name] })),
    nodes: inventory.nodes.map(({ underlay, ...node }) => {
      const key = keys[node.name];
      const wireguard = key === undefined ? {} : { wireguard: { publicKey: wireguardKey(key), port: 51_850 } };
      return { ...node, underlay: { ...underlay!, ...wireguard } };
    }),
  };
}

const POLICY = policyOf({ name: 'p', sources: ['n1', 'n3'], destination: 'n2' });

function sent({ programs }: Plan, from: string): Erspan[] {
  return programs.get(from)!.deliveries.filter((delivery) => delivery.kind === 'erspan');
}

test('copies are in clear text in a pool that does not ask for more, also if the nodes could encrypt', () => {
  const planned = plan([POLICY], inventoryWith({ n1: 1, n2: 2, n3: 3 }, { 'pool-a': 'plain' }));
  assert.deepEqual(
    sent(planned, 'n1').map(({ address, tunnel }) => [address, tunnel]),
    [['10.9.0.2', undefined]],
  );
});

test('one pool of the two decides: both ends name both keys, and where to send', () => {
  const planned = plan([POLICY], inventoryWith({ n1: 1, n2: 2, n3: 3 }, { 'pool-b': 'wireguard' }));
  const [key2, key3] = [wireguardKey(2), wireguardKey(3)];
  assert.equal(sent(planned, 'n1')[0]?.tunnel, undefined);
  const [delivery] = sent(planned, 'n3');
  assert.equal(delivery?.address, tunnelAddress(key2));
  assert.deepEqual(delivery?.tunnel, {
    ...{ ownKey: key3, peerKey: key2 },
    endpoint: { address: '10.9.0.2', port: 51_850 },
  });
  const end = planned.programs.get('n2')!.terminations.find(({ node }) => node === 'n3');
  assert.equal(end?.address, tunnelAddress(key3));
  assert.deepEqual(end?.tunnel, {
    ...{ ownKey: key2, peerKey: key3 },
    endpoint: { address: '10.9.0.3', port: 51_850 },
  });
});

test('a node that cannot encrypt sends nothing to another node, and the policy says which one it is and why', () => {
  const planned = plan([POLICY], inventoryWith({ n2: 2, n3: 3 }, { 'pool-a': 'wireguard' }));
  assert.deepEqual(sent(planned, 'n1'), []);
  assert.deepEqual(planned.programs.get('n1')!.captures, []);
  assert.equal(sent(planned, 'n3').length, 1);
  const { reasons, sources } = planned.policies.get('u-p')!;
  assert.deepEqual(
    reasons.map(({ code, node, params }) => [code, node, params]),
    [['WIREGUARD_MISSING', 'n1', { node: 'n1', pool: 'pool-a' }]],
  );
  assert.deepEqual(sources, [
    { interface: 'n1', nodes: [] },
    { interface: 'n3', nodes: ['n3'] },
  ]);
});

test('copies within a node need no key', () => {
  const inventory = inventoryWith({}, { 'pool-a': 'wireguard' });
  const near = {
    ...inventory,
    interfaces: inventory.interfaces.map((item) => (item.id === 'n1' ? moved(item) : item)),
  };
  const planned = plan([policyOf({ name: 'p', sources: ['n1'], destination: 'n2' })], near);
  assert.equal(planned.programs.get('n2')!.captures.length, 1);
  assert.deepEqual(planned.policies.get('u-p')!.reasons, []);
});

function moved(item: Inventory['interfaces'][number]): Inventory['interfaces'][number] {
  return { ...item, devices: item.devices.map((device) => ({ ...device, node: 'n2' })) };
}

/** Deliveries of a relay that a node makes while its guest is absent, with the terminations before them. */
function relays({
  deliveries,
  terminations,
}: Pick<NodeProgram, 'deliveries' | 'terminations'>): { relay: Erspan; from: Termination[] }[] {
  return deliveries.flatMap(({ id, duringHandover }) => {
    const relay = deliveries.find((one) => one.kind === 'erspan' && one.id === duringHandover?.delivery);
    return relay ? [{ relay: relay as Erspan, from: terminations.filter(({ delivery }) => delivery === id) }] : [];
  });
}

test('what one node has encrypted, another one does not relay in clear text', () => {
  const keys = { n1: 1, n2: 2, n3: 3 };
  const migrating = (pools: Record<string, 'plain' | 'wireguard'>): Inventory => {
    const inventory = inventoryWith(keys, pools);
    // The source is alone in its pool, the destination moves from n2 to n3.
    const nodes = inventory.nodes.map((node) => ({ ...node, pool: node.name === 'n1' ? 'pool-a' : 'pool-b' }));
    const [first, second] = ['n2', 'n3'].map((name) => inventory.interfaces.find(({ id }) => id === name)!);
    const both = { ...first!, devices: [...first!.devices, ...second!.devices], home: 'n2' };
    return { ...inventory, nodes, interfaces: inventory.interfaces.map((item) => (item.id === 'n2' ? both : item)) };
  };
  const policies = [policyOf({ name: 'p', sources: ['n1'], destination: 'n2' })];
  const relaysWith = (pools: Record<string, 'plain' | 'wireguard'>) => {
    const planned = plan(policies, migrating(pools));
    assert.equal(
      sent(planned, 'n1').some(({ node }) => node === 'n2'),
      true,
    );
    return relays(planned.programs.get('n2')!).map(({ relay }) => [relay.node, relay.tunnel !== undefined]);
  };
  assert.deepEqual(relaysWith({}), [['n3', false]]);
  assert.deepEqual(relaysWith({ 'pool-a': 'wireguard' }), []);
  assert.deepEqual(relaysWith({ 'pool-a': 'wireguard', 'pool-b': 'wireguard' }), [['n3', true]]);
});

test('no path of any cluster is in clear text where a pool forbids it, and both ends of each path fit', () => {
  let encrypted = 0;
  fc.assert(
    fc.property(clusters, ({ later, policies }) => {
      const forbids = new Set(later.pools.filter(({ underlay }) => underlay === 'wireguard').map(({ name }) => name));
      const nodes = new Map(later.nodes.map((node) => [node.name, node]));
      const { programs } = plan(policies, later);
      for (const [name, { deliveries, terminations }] of programs) {
        const ways = [...deliveries.filter(({ kind }) => kind === 'erspan'), ...terminations] as Erspan[];
        for (const { node, address, tunnel } of ways) {
          const demands = [name, node].some((one) => forbids.has(nodes.get(one)!.pool));
          assert.equal(tunnel !== undefined, demands);
          const { underlay } = nodes.get(node)!;
          assert.equal(address, tunnel ? tunnelAddress(underlay!.wireguard!.publicKey) : underlay!.address);
          assert.equal(tunnel?.ownKey, demands ? nodes.get(name)!.underlay!.wireguard!.publicKey : undefined);
          encrypted += tunnel ? 1 : 0;
        }
        for (const { relay, from } of relays(programs.get(name)!)) {
          assert.ok(relay.tunnel !== undefined || from.every(({ tunnel }) => tunnel === undefined), `${name} relays`);
        }
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(encrypted > 0);
});
