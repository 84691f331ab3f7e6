/**
 * Errors that a form shows while a user types: the words of `validate`, without any check that
 * depends on the cluster.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicySpec } from '@mirrorplane/contract';
import { refusalsAsTyped, validate } from '@mirrorplane/planner';

const GOOD: PolicySpec = {
  name: 'ids-web',
  description: '',
  sources: ['web-1/0'],
  destination: 'ids-1/0',
  direction: 'all',
  percent: 100,
  enabled: true,
};
const CASES: [change: Partial<PolicySpec>, expected: string[]][] = [
  [{}, []],
  [{ name: 'IDS' }, ['POLICY_NAME_INVALID name']],
  [{ sources: [] }, ['POLICY_NO_SOURCES sources']],
  [{ sources: Array.from({ length: 1025 }, (_, i) => `v/${i}`) }, ['POLICY_TOO_MANY_SOURCES sources']],
  [{ sources: ['a', 'a'] }, ['POLICY_SOURCE_REPEATED sources[1]']],
  [{ destination: 'web-1/0' }, ['POLICY_DESTINATION_IS_SOURCE destination']],
  [{ direction: 'up' }, ['POLICY_DIRECTION_INVALID direction']],
  [{ percent: 12.345 }, ['POLICY_PERCENT_INVALID percent']],
  [{ vlanId: 4095 }, ['POLICY_VLAN_INVALID vlanId']],
  [{ vlanId: 100 }, []],
  [{ maxRate: 0 }, ['POLICY_RATE_INVALID maxRate']],
  [{ percent: 101, maxRate: 0 }, ['POLICY_PERCENT_INVALID percent', 'POLICY_RATE_INVALID maxRate']],
];

for (const [change, expected] of CASES) {
  const shown = JSON.stringify(change).slice(0, 60);
  test(`of a policy with ${shown} a form refuses ${expected.join(' and ') || 'nothing'}`, () => {
    const refusals = refusalsAsTyped({ ...GOOD, ...change });
    assert.deepEqual(
      refusals.map(({ code, field }) => `${code} ${field}`),
      expected,
    );
    const context = { policies: [], inventory: { domains: [], pools: [], nodes: [], interfaces: [] } };
    const all = validate({ ...GOOD, ...change }, context).refusals.map(({ message }) => message);
    assert.deepEqual(
      refusals.filter(({ message }) => !all.includes(message)),
      [],
      'the words are those of the controller',
    );
  });
}
