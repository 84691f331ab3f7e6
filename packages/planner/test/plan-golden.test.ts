/** Plans of the clusters in golden/plan: a new case is a new file. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Policy, StatusReason } from '@mirrorplane/contract';
import { messageOf, NodeProgram } from '@mirrorplane/contract';
import { type PlannedProgram, type PolicyPlan, plan, type Sessions } from '@mirrorplane/planner';
import { inventoryOf, policyOf, readGoldens, type ShortInventory } from './golden.ts';

interface Input {
  policies: (Partial<Policy> & { name: string })[];
  /** All of it: nothing is added. */
  inventory: ShortInventory;
  sessions?: Sessions;
  /** Nodes that interfaces have just left. */
  origins?: Record<string, string>;
}

/** Programs that are left out are empty, and so are lists. `says`: what the message of a reason has to name. */
interface Expected {
  programs: Record<string, Partial<PlannedProgram>>;
  sessions: Sessions;
  policies: Record<string, Omit<PolicyPlan, 'reasons'> & { reasons: (Omit<StatusReason, 'message'> & Says)[] }>;
}
interface Says {
  says?: string[];
}

const goldens = readGoldens<Input, Expected>('plan');

for (const { file, title, input, expected } of goldens) {
  test(`${title} [${file}]`, () => {
    const inventory = inventoryOf(input.inventory, {});
    const result = plan(
      input.policies.map(policyOf),
      inventory,
      input.sessions ?? {},
      new Map(Object.entries(input.origins ?? {})),
    );
    const programs = inventory.nodes.map(({ name }): [string, PlannedProgram] => {
      const empty = {
        node: name,
        edges: [],
        copyVlans: [],
        standby: [],
        handingOver: [],
        captures: [],
        deliveries: [],
        terminations: [],
      };
      return [name, { ...empty, ...expected.programs[name] }];
    });
    assert.deepEqual(result.programs, new Map(programs));
    assert.deepEqual(result.sessions, expected.sessions);
    for (const program of result.programs.values()) {
      assert.doesNotThrow(() => NodeProgram.parse({ ...program, revision: 1 }));
    }
    assert.deepEqual([...result.policies.keys()].sort(), Object.keys(expected.policies).sort());
    for (const [uid, { reasons, ...rest }] of Object.entries(expected.policies)) {
      const { reasons: found, ...foundRest } = result.policies.get(uid)!;
      assert.deepEqual(foundRest, { ...rest, uid });
      assert.deepEqual(
        found.map(({ message: _, params: __, remedy: ___, ...reason }) => reason),
        reasons.map(({ says: _, ...reason }) => reason),
      );
      for (const { code, message, params = {} } of found) {
        assert.equal(messageOf(code, params), message);
      }
      for (const [index, { says = [] }] of reasons.entries()) {
        for (const text of says) {
          assert.ok(found[index]!.message.includes(text), `does not name ${text}: ${found[index]!.message}`);
        }
      }
    }
  });
}

test('every file of golden/plan has a title of its own', () => {
  assert.equal(new Set(goldens.map(({ title }) => title)).size, goldens.length);
  assert.ok(goldens.length > 0);
});
