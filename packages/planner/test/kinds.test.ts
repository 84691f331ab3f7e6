/** The type of a policy. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { InterfaceKind } from '@mirrorplane/contract';
import { normalise, policyType } from '@mirrorplane/planner';
import { specOf } from './golden.ts';

const matrix: [InterfaceKind[], InterfaceKind, string | undefined][] = [
  [['vm'], 'vm', 'virtual'],
  [['vm'], 'nfv', 'virtual'],
  [['nfv'], 'vm', 'virtual'],
  [['nfv', 'vm'], 'nfv', 'virtual'],
  [['vm'], 'edge', 'virtual-to-physical'],
  [['nfv', 'vm'], 'edge', 'virtual-to-physical'],
  [['edge', 'edge'], 'edge', 'physical'],
  [['edge'], 'vm', undefined],
  [['edge'], 'nfv', undefined],
  [['edge', 'vm'], 'edge', undefined],
  [['edge', 'nfv'], 'vm', undefined],
  [[], 'vm', undefined],
];

for (const [sources, destination, type] of matrix) {
  test(`${sources.join(' and ') || 'nothing'} to ${destination} is ${type ?? 'no policy type'}`, () => {
    assert.equal(policyType(sources, destination), type);
  });
}

test('normalise turns -0 percent into 0, and leaves an undefined vlanId out', () => {
  const kept = normalise({ ...specOf({ percent: -0 }), vlanId: undefined });
  assert.ok(Object.is(kept.percent, 0));
  assert.ok(!Object.hasOwn(kept, 'vlanId'));
  assert.deepEqual(normalise(specOf({ percent: 0.29, vlanId: 5 })), specOf({ percent: 0.29, vlanId: 5 }));
});
