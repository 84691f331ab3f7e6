/** Generated clusters and policies for property tests. */
import { type Inventory, MANY_POLICIES, type Policy, type PolicySpec } from '@mirrorplane/contract';
import { normalise, type Sessions, validate } from '@mirrorplane/planner';
import fc from 'fast-check';
import { policyOf, specOf, wireguardKey } from './golden.ts';

const NODES = ['node-1', 'node-2', 'node-3', 'node-4'];
const POOLS = ['pool-a', 'pool-b', 'pool-c'];
const IDS = Array.from({ length: 12 }, (_, index) => `if-${index}`);

const nodes = fc.tuple(
  ...NODES.map((name, index) =>
    fc
      .record({
        pool: fc.constantFrom(...POOLS),
        underlay: fc.constantFrom(true, true, true, false),
        encrypts: fc.constantFrom(true, true, false),
      })
      .map(({ pool, underlay, encrypts }) => ({
        name,
        pool,
        ...(underlay && {
          underlay: {
            ...{ device: 'mirror', address: `10.9.0.${index + 1}`, mtu: 1500 },
            ...(encrypts && { wireguard: { publicKey: wireguardKey(index + 1), port: 51_850 } }),
          },
        }),
      })),
  ),
);

const pools = fc.tuple(
  ...POOLS.map((name) =>
    fc
      .record({
        domain: fc.constantFrom('east', 'east', 'west'),
        underlay: fc.constantFrom(undefined, 'plain', 'wireguard'),
      })
      .map((pool): Inventory['pools'][number] => ({ name, ...pool })),
  ),
);

const someNodes = fc.uniqueArray(fc.constantFrom(...NODES), { maxLength: 2 });

function deviceOn(node: string): Inventory['interfaces'][number]['devices'][number] {
  return { node, name: 'dev', ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true };
}

/**
 * Places of the interfaces. A second call for the same cluster moves them. The kind depends on the
 * id, and does not change.
 */
const interfaces = fc.tuple(
  ...IDS.map((id, index) =>
    fc
      .record({
        on: someNodes,
        pool: fc.option(fc.constantFrom(...POOLS), { nil: undefined }),
        node: fc.constantFrom(...NODES),
        home: fc.nat({ max: 1 }),
      })
      .map(({ on, pool, node, home }): Inventory['interfaces'][number] => {
        if (index % 3 === 0) {
          const edge = { node, device: 'eth1' };
          return { id, kind: 'edge', edge, devices: on.length > 0 ? [deviceOn(node)] : [] };
        }
        return {
          id,
          kind: index % 3 === 1 ? 'vm' : 'nfv',
          ...(pool && { pool }),
          ...(on[home] && { home: on[home] }),
          devices: on.map(deviceOn),
        };
      }),
  ),
);

/** An inventory of four nodes and twelve interfaces; every third is an edge. */
export const inventories: fc.Arbitrary<Inventory> = fc
  .record({ nodes, pools, interfaces })
  .map((parts) => ({ ...parts, domains: [{ name: 'east' }, { name: 'west' }] }));

const specs: fc.Arbitrary<PolicySpec> = fc
  .record({
    sources: fc.uniqueArray(fc.constantFrom(...IDS), { minLength: 1, maxLength: 4 }),
    destination: fc.constantFrom(...IDS),
    direction: fc.constantFrom('all', 'inbound', 'outbound'),
    percent: fc.constantFrom(0, 12.34, 100),
    vlanId: fc.option(fc.constantFrom(1, 100, 4094), { nil: undefined }),
    enabled: fc.boolean(),
  })
  .map(specOf);

/**
 * Policies that a controller would have accepted, one after the other, with the inventory of that
 * time.
 */
export const clusters = fc
  .record({ inventory: inventories, moved: interfaces, specs: fc.array(specs, { maxLength: 14 }) })
  .map(({ inventory, moved, specs: candidates }) => {
    const policies: Policy[] = [];
    for (const candidate of candidates) {
      const spec = { ...candidate, name: `p${policies.length}` };
      const { refusals, type } = validate(spec, { policies, inventory });
      if (refusals.length === 0) {
        policies.push(policyOf({ ...(normalise(spec) as Partial<Policy>), name: spec.name, type: type! }));
      }
    }
    return { inventory, later: { ...inventory, interfaces: moved }, policies };
  });

/** Earlier session numbers, also impossible ones. */
export const sessionsBefore: fc.Arbitrary<Sessions> = fc.dictionary(
  fc.constantFrom(...NODES, 'gone', 'constructor'),
  fc.record(
    {
      given: fc.integer({ min: -1, max: 1_000_000 }),
      policies: fc.dictionary(
        fc.constantFrom('u-p0', 'u-p1', 'u-p2', 'u-p3', 'u-gone'),
        fc.record(
          {
            session: fc.integer({ min: -1, max: 1025 }),
            generation: fc.integer({ min: -1, max: 513 }),
            end: fc.constantFrom(...IDS, 'elsewhere'),
          },
          { noNullPrototype: true },
        ),
        { noNullPrototype: true },
      ),
    },
    { noNullPrototype: true },
  ),
  { noNullPrototype: true },
);

/** A value of every shape in place of any field. */
export const anySpec = fc.record({
  name: fc.anything(),
  description: fc.anything(),
  sources: fc.oneof(fc.anything(), fc.array(fc.oneof(fc.anything(), fc.constantFrom(...IDS)))),
  destination: fc.oneof(fc.anything(), fc.constantFrom(...IDS)),
  direction: fc.anything(),
  percent: fc.oneof(fc.anything(), fc.double()),
  vlanId: fc.oneof(fc.anything(), fc.double()),
  enabled: fc.anything(),
});

/** A PolicySpec of the declared type with any values in it. */
export const wildSpecs: fc.Arbitrary<PolicySpec> = fc
  .record({
    name: fc.string(),
    sources: fc.array(fc.oneof(fc.string(), fc.constantFrom(...IDS))),
    destination: fc.oneof(fc.string(), fc.constantFrom(...IDS)),
    direction: fc.string(),
    percent: fc.double(),
    vlanId: fc.option(fc.double(), { nil: undefined }),
    enabled: fc.boolean(),
  })
  .map(specOf);

/** `count` policies that break no rule, with interfaces that do not exist. */
export function manyPolicies(count = MANY_POLICIES): Policy[] {
  return Array.from({ length: count }, (_, index) =>
    policyOf({ name: `p${index}`, sources: [`s${index}`], destination: 'd' }),
  );
}
