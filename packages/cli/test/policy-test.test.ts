/** The text of `policy test`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyTest, PolicyTestRow } from '@mirrorplane/contract';
import { testText } from '../src/output/policy-test.ts';

const ROW: PolicyTestRow = {
  ...{ node: 'node-1', to: 'node-2', size: 'small', length: 64 },
  ...{ made: 1, sent: 1, arrived: 1, delivered: 1, outcome: 'delivered' },
};

const resultOf = (rows: PolicyTestRow[], more: Partial<PolicyTest> = {}): PolicyTest => ({
  ...{ policy: 'ids', destination: 'ids-1/0', by: 'admin', outcome: 'delivered', rows, untested: [] },
  ...{ beganAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:00:01.000Z' },
  ...more,
});

test('each size has a row, and a size that dies a reason below the table', () => {
  const died: PolicyTestRow = {
    ...{ ...ROW, size: 'full', length: 1514, arrived: 0, delivered: 0, outcome: 'died', place: 'way' },
    ...{ code: 'PROBE_LOST_BY_SIZE', message: 'raise it' },
  };
  const lines = testText(resultOf([ROW, died], { outcome: 'died' }), false).split('\n');
  assert.equal(lines[0], 'policy ids: copies of some sizes do not reach the destination');
  assert.match(lines[3]!, /^node-1 +node-2 +small +64 +1 +1 +1 +1 +delivered$/);
  assert.match(lines[4]!, /^node-1 +node-2 +full +1514 +1 +1 +0 +0 +died between the nodes$/);
  assert.equal(lines[6], 'node-1, full: PROBE_LOST_BY_SIZE: raise it');
});

test('what is not known is said to be unknown, and nodes that were left out are named', () => {
  const nothing = { length: null, made: null, sent: null, arrived: null, delivered: null };
  const row: PolicyTestRow = {
    ...ROW,
    ...nothing,
    outcome: 'unknown',
    code: 'PROBE_UNKNOWN',
    message: 'check\u001b[2J',
  };
  const text = testText(resultOf([row], { outcome: 'unknown', untested: ['node-8', 'node-9'] }), false);
  assert.match(text, /small( +unknown){6}\n/);
  assert.match(text, /too many nodes: node-8, node-9\n$/);
  assert.ok(!text.includes('\u001b'));
});
