/** What a change would break is what two whole inventories say that it would. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validate } from '@mirrorplane/planner';
import fc from 'fast-check';
import { refuseBroken, withInterface, withRecords } from '../src/http/dependents.ts';
import { mergeInventory, oneInterface, type Records } from '../src/inventory/inventory.ts';
import { KeptStatuses } from '../src/planning/kept-statuses.ts';
import type { StatusParts } from '../src/planning/policy-status.ts';
import { ProblemError } from '../src/problems/problems.ts';
import type { Services } from '../src/services.ts';
import { policiesOf, policiesUsing } from '../src/store/policies.ts';
import { vmDevice } from './harness.ts';
import { underlayOf, type World } from './inventory-world.ts';
import { carryOut, NODES, steps } from './reporting-world.ts';

/** `POLICY: CODE FIELD` of each refusal that is new, from two whole inventories. */
function fromNothing(parts: StatusParts, before: Records, after: Records, id?: string): string[] {
  const { view, live } = parts;
  const policies = policiesOf(view);
  const affected = id === undefined ? policies : policiesUsing(policies, id);
  const inventories = [mergeInventory(before, live), mergeInventory(after, live)];
  return affected.flatMap((policy) => {
    const [old, next] = inventories.map((inventory) => {
      const { refusals } = validate(policy, { policies, inventory }, policy.name);
      return new Map(refusals.map((one) => [`${one.code} ${one.field}`, one]));
    });
    return [...next!].flatMap(([key, { message }]) => (old!.has(key) ? [] : [`policy "${policy.name}": ${message}`]));
  });
}

function refused(check: () => void): string[] {
  try {
    check();
    return [];
  } catch (error) {
    assert.ok(error instanceof ProblemError);
    return (error.problem.errors ?? []).map(({ message }) => message);
  }
}

/** Changes that may break a policy, each with the records after it. */
function* tries({ records }: World): Generator<{ after: Records; id?: string }> {
  for (const [id, { value }] of records.interfaces) {
    for (const more of [{ boundTo: 'node-3' }, { edge: { node: 'node-1', device: 'eth1' } }, { pool: 'p2' }]) {
      const changed = { ...value, ...more, ...('edge' in more && { kind: 'edge' as const }) };
      yield {
        id,
        after: { ...records, interfaces: new Map(records.interfaces).set(id, { value: changed, revision: 0 }) },
      };
    }
  }
  for (const name of NODES.filter((one) => records.nodes.has(one))) {
    for (const pool of ['p1', 'p2']) {
      yield { after: { ...records, nodes: new Map(records.nodes).set(name, { value: { name, pool }, revision: 0 }) } };
    }
  }
  for (const domain of ['east', 'west']) {
    yield {
      after: { ...records, pools: new Map(records.pools).set('p2', { value: { name: 'p2', domain }, revision: 0 }) },
    };
  }
}

test('after any changes, an interface, a node or a pool is refused for what it would break, and for no more', () => {
  let broken = 0;
  fc.assert(
    fc.property(steps, (list) => {
      carryOut(
        list,
        (parts) => new KeptStatuses(parts),
        (statuses, world, parts) => {
          const services = { ...parts, statuses } as unknown as Services;
          // A kind that an agent tells is in the record after the next planning: what is in force is compared.
          const before = world.records;
          if (
            JSON.stringify(mergeInventory(before, world.live).interfaces) !==
            JSON.stringify(parts.inventory.now().interfaces)
          ) {
            return;
          }
          for (const { after, id } of tries(world)) {
            const expected = fromNothing(parts, before, after, id).sort();
            const change =
              id === undefined
                ? withRecords(services, after)
                : withInterface(services, id, oneInterface(id, after, world.live));
            assert.deepEqual(refused(() => refuseBroken(change)).sort(), expected);
            broken += expected.length;
          }
        },
      );
    }),
    { numRuns: 80 },
  );
  assert.ok(broken > 100, `${broken} refusals`);
});

/** What is refused where the pool p2, which is in the same domain as p1, gets another one. */
function refusedForDomain(declare: (world: World) => void): { expected: string[]; found: string[] } {
  let result = { expected: ['not tried'], found: [''] };
  const begin = (world: World) => {
    world.pools.set('p2', { value: { name: 'p2', domain: 'east' }, revision: 2 });
    declare(world);
  };
  carryOut(
    [[begin, true]],
    (parts) => new KeptStatuses(parts),
    (statuses, world, parts) => {
      const services = { ...parts, statuses } as unknown as Services;
      const pools = new Map(world.pools).set('p2', { value: { name: 'p2', domain: 'west' }, revision: 0 });
      const after = { ...world.records, pools };
      const found = refused(() => refuseBroken(withRecords(services, after)));
      result = { expected: fromNothing(parts, world.records, after), found };
    },
  );
  return result;
}

test('a pool that gets another domain is refused for its interfaces that are nowhere, too', () => {
  const { expected, found } = refusedForDomain((world) => {
    world.write('a', { id: 'a', kind: 'vm', name: 'a', declared: true, pool: 'p2' });
    world.live.inventory('node-1', { type: 'inventory', devices: [vmDevice('b', 5)] }, underlayOf('node-1'));
  });
  assert.equal(expected.length, 1);
  assert.deepEqual(found, expected);
});
