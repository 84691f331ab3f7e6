/** Which counters of a source that a node has not, as far as is known, are its fault. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { CaptureReport, NodeProgram } from '@mirrorplane/contract';
import { counterJudge, type JudgedNode } from '../../src/sync/counter-judge.ts';

const report = { policy: 'p', source: 'web-1/0', direction: 'inbound' } as CaptureReport;
const program = { captures: [{ id: 'p/web-1/0', policy: 'p', source: 'web-1/0' }], deliveries: [], terminations: [] };
const nothing = { captures: [], deliveries: [], terminations: [] };
const policy = { createdAt: 'a', updatedAt: 'a', sources: ['web-1/0'], destination: 'ids-1/0' };

const node: JudgedNode = {
  program: program as unknown as NodeProgram,
  hasInterface: () => false,
  wasTold: () => true,
  unseen: false,
  hasPart: () => true,
  policyOf: () => policy,
  readBefore: undefined,
  now: 0,
};
const judged = (changed: Partial<JudgedNode>) => counterJudge({ ...node, ...changed }).owns('capture', report);

test('a node that was not seen may have had the interface of its program, and no other node', () => {
  assert.equal(judged({ unseen: true }), true);
  assert.equal(judged({}), false);
});

test('what it tells of it after the policy was deleted is neither counted nor its fault', () => {
  const deleted = { program: nothing as unknown as NodeProgram, policyOf: () => undefined };
  assert.equal(judged(deleted), 'unknown');
  assert.equal(judged({ ...deleted, hasPart: () => false }), false, 'it never had a part in it');
});
