/** Verdicts on the policies in golden/validate: a new case is a new file. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { CATALOGUE, messageOf, type Policy, type PolicySpec, RULE_SENTENCES } from '@mirrorplane/contract';
import { validate } from '@mirrorplane/planner';
import { inventoryOf, policyOf, readGoldens, type ShortInventory, specOf } from './golden.ts';

interface Input {
  spec: Partial<PolicySpec>;
  policies?: (Partial<Policy> & { name: string })[];
  inventory?: ShortInventory;
  replacing?: string;
}

/** `says`: what the message has to name, each. */
interface Expected {
  refusals: { code: string; field: string; says?: string[] }[];
  warnings?: { code: string; field?: string; says?: string[] }[];
  type?: string;
}

const goldens = readGoldens<Input, Expected>('validate');

for (const { file, title, input, expected } of goldens) {
  test(`${title} [${file}]`, () => {
    const policies = (input.policies ?? []).map(policyOf);
    const result = validate(specOf(input.spec), { policies, inventory: inventoryOf(input.inventory) }, input.replacing);
    const found = result.refusals.map(({ code, field }) => ({ code, field }));
    assert.deepEqual(
      found,
      expected.refusals.map(({ code, field }) => ({ code, field })),
    );
    for (const { code, message, params } of [...result.refusals, ...result.warnings]) {
      assert.ok(
        code === 'FIELD_INVALID' || messageOf(code, params!, RULE_SENTENCES) === message,
        `${code}: ${message}`,
      );
    }
    for (const [index, { says = [] }] of expected.refusals.entries()) {
      for (const text of says) {
        const { message } = result.refusals[index]!;
        assert.ok(message.includes(text), `the message does not name ${text}: ${message}`);
      }
    }
    const warnings = expected.warnings ?? [];
    assert.deepEqual(
      result.warnings.map(({ code, field }) => ({ code, field })),
      warnings.map(({ code, field }) => ({ code, field })),
    );
    for (const [index, { says = [] }] of warnings.entries()) {
      const { message } = result.warnings[index]!;
      for (const text of says) {
        assert.ok(message.includes(text), `the warning does not name ${text}: ${message}`);
      }
    }
    assert.equal(result.type, expected.type);
  });
}

test('every POLICY_ code of the catalogue is refused or warned of in a golden or by a generated case', () => {
  const generated = ['POLICY_INVALID', 'POLICY_TOO_MANY_SOURCES', 'POLICY_MANY'];
  // Rules of the controller: one refuses the test of a policy, one needs a clock, and one knows what
  // who asks may read.
  const others = ['POLICY_NOT_TESTABLE', 'POLICY_END_PAST', 'POLICY_END_UNSEEN'];
  const shown = new Set([
    ...generated,
    ...others,
    ...goldens.flatMap(({ expected }) => [
      ...expected.refusals.map(({ code }) => code),
      ...(expected.warnings ?? []).map(({ code }) => code),
    ]),
  ]);
  const missing = Object.keys(CATALOGUE).filter((code) => code.startsWith('POLICY_') && !shown.has(code));
  assert.deepEqual(missing, []);
});

test('every file of golden/validate has a title of its own', () => {
  assert.equal(new Set(goldens.map(({ title }) => title)).size, goldens.length);
  assert.ok(goldens.length > 0);
});
